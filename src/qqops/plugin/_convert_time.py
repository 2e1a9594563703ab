"""Words that are moments, days and lengths of time, as people type them in both languages.

Moments are meant in the room's time zone. A time of day without a day is the next such moment.
"""

from __future__ import annotations

import datetime
import re
import unicodedata

from qqops.plugin._converter import BadWord, Converter, short
from qqops.protocol.words import Word
from qqops.runtime.context import Context
from qqops.texts import Say

#: Part of a line that is looked at, in characters; nobody types a longer moment.
_REACH = 64

_DAY_WORDS = {
    "大后天": 3, "后天": 2, "後天": 2, "明天": 1, "明日": 1, "今天": 0, "今日": 0, "昨天": -1, "前天": -2,
    "tomorrow": 1, "today": 0, "yesterday": -1, "明早": 1, "明晚": 1, "今早": 0, "今晚": 0,
}  # fmt: skip
#: Parts of the day → whether hours up to 11 are meant after noon.
_PARTS = {
    "凌晨": False, "清晨": False, "早上": False, "早晨": False, "上午": False, "中午": True, "下午": True,
    "傍晚": True, "晚上": True, "夜里": True,
}  # fmt: skip
_EVENINGS = ("今晚", "明晚")

_HAN = "零一二两三四五六七八九十"
_NUMBER = rf"(?:\d{{1,2}}|[{_HAN}]{{1,3}})"
_DAY = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})(?:[日号]|(?![\d日号]))"
    r"|(?P<month2>\d{1,2})月(?P<day2>\d{1,2})(?:[日号]|(?![\d日号]))"
    rf"|(?P<word>{'|'.join(sorted(_DAY_WORDS, key=len, reverse=True))})",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    rf"(?P<part>{'|'.join(_PARTS)})?\s?"
    r"(?:(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:\s?(?P<half>[ap]m))?"
    rf"|(?P<hour2>{_NUMBER})[点點时時](?:(?P<minute2>{_NUMBER})分?|(?P<fraction>半|一刻|三刻)|整)?"
    r"|(?P<hour3>\d{1,2})\s?(?P<half3>[ap]m))(?![\w:])",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?(?!\S)", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s,T]?\s?(?:at\s)?", re.IGNORECASE)
_FRACTIONS = {"半": 30, "一刻": 15, "三刻": 45}

_UNITS = {
    604800: "w|week|weeks|周|星期|个星期", 86400: "d|day|days|天|日",
    3600: "h|hr|hrs|hour|hours|小时|个小时|钟头|个钟头|时", 60: "m|min|mins|minute|minutes|分钟|分",
    1: "s|sec|secs|second|seconds|秒|秒钟",
}  # fmt: skip
_SECONDS = {name: size for size, names in _UNITS.items() for name in names.split("|")}
_LENGTH = re.compile(
    rf"(?P<number>\d{{1,9}}(?:\.\d{{1,3}})?|[{_HAN}]{{1,3}}|半)(?P<unit>{'|'.join(sorted(_SECONDS, key=len, reverse=True))})(?P<half>半)?",
    re.IGNORECASE,
)


def duration(word: str) -> datetime.timedelta:
    """Return the length of time that *word* says: ``1h30m``, ``2天``, ``半小时``. Raises `BadWord`."""
    text = word.casefold()
    seconds, end = 0.0, 0
    for found in _LENGTH.finditer(text):
        if found.start() != end:
            break
        size = _SECONDS[found["unit"]]
        number = found["number"]
        seconds += size * (0.5 if number == "半" else _amount(number)) + (size / 2 if found["half"] else 0)
        end = found.end()
    try:
        if not end or end != len(text):
            raise ValueError(word)
        return datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise BadWord(Say("refuse.bad_duration", {"word": short(word)})) from None


def moment(text: str, now: datetime.datetime) -> tuple[datetime.datetime, int]:
    """Return the moment that *text* begins with, and where it ends.

    Args:
        now: This moment in the time zone that is meant.

    Raises:
        ValueError: It begins with none.
    """
    text = unicodedata.normalize("NFKC", text[:_REACH]) if not text[:_REACH].isascii() else text[:_REACH]
    iso = _ISO.match(text)
    if iso is not None:
        value = datetime.datetime.fromisoformat(iso[0].upper())
        return (value if value.tzinfo is not None else value.replace(tzinfo=now.tzinfo)), iso.end()
    found = _DAY.match(text)
    if found is None:
        clock = _CLOCK.match(text)
        if clock is None:
            raise ValueError(text)
        at = datetime.datetime.combine(now.date(), _time(clock, evening=False), now.tzinfo)
        return (at if at > now else _days_later(at, 1)), clock.end()
    day = _day(found, now)
    gap = _BETWEEN.match(text, found.end())
    clock = _CLOCK.match(text, gap.end() if gap is not None else found.end())
    if clock is not None:
        hour = _time(clock, evening=found["word"] in _EVENINGS)
        return datetime.datetime.combine(day, hour, now.tzinfo), clock.end()
    if found.end() < len(text) and not text[found.end()].isspace():
        raise ValueError(text)
    return datetime.datetime.combine(day, datetime.time(), now.tzinfo), found.end()


def day(text: str, now: datetime.datetime) -> datetime.date:
    """Return the day that *text* says. Raises ValueError."""
    found = _DAY.fullmatch(text.casefold())
    if found is None or found["word"] in _EVENINGS:
        raise ValueError(text)
    return _day(found, now)


def _day(found: re.Match[str], now: datetime.datetime) -> datetime.date:
    if found["word"]:
        return now.date() + datetime.timedelta(days=_DAY_WORDS[found["word"].lower()])
    if found["year"]:
        return datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    date = datetime.date(now.year, int(found["month2"]), int(found["day2"]))
    return date if date >= now.date() else date.replace(year=now.year + 1)


def _time(clock: re.Match[str], *, evening: bool) -> datetime.time:
    hour = int(_amount(clock["hour"] or clock["hour2"] or clock["hour3"]))
    minute = int(_amount(clock["minute"] or clock["minute2"] or "0"))
    minute = _FRACTIONS.get(clock["fraction"] or "", minute)
    half = (clock["half"] or clock["half3"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(clock[0])
        hour = hour % 12 + (12 if half == "pm" else 0)
    elif hour == 12 and (evening or clock["part"] in ("凌晨", "晚上", "夜里")):
        raise ValueError(clock[0])  # midnight: but of which day?
    elif hour < 12 and (_PARTS[clock["part"]] if clock["part"] else evening):
        hour += 12 if clock["part"] != "中午" or hour < 10 else 0
    return datetime.time(hour, minute, int(clock["second"] or 0))


def _days_later(at: datetime.datetime, days: int) -> datetime.datetime:
    return datetime.datetime.combine(at.date() + datetime.timedelta(days=days), at.timetz())


def _amount(text: str) -> float:
    """Return a number in digits, or in Chinese up to ninety-nine."""
    if text[0] not in _HAN:
        return float(text)
    tens, ten, ones = text.partition("十")
    if not ten:
        tens, ones = "零", text
    return 10 * (_digit(tens) if tens else 1) + (_digit(ones) if ones else 0)


def _digit(text: str) -> int:
    if len(text) != 1 or text == "十":
        raise ValueError(text)
    index = _HAN.index(text)
    return index if index < 3 else index - 1


def _read_moment(word: Word, ctx: Context) -> datetime.datetime:
    try:
        value, end = moment(word.text, ctx.now)
        if end != len(word.text):
            raise ValueError(word.text)
    except (ValueError, OverflowError):
        raise _bad_moment(word.text) from None
    return value


def _moment_at(line: str, start: int, ctx: Context) -> tuple[datetime.datetime, int]:
    stretch = line[start : start + _REACH]
    try:
        value, end = moment(stretch, ctx.now)
        # Only where the full-width forms change no length do positions in the line hold.
        if end < len(stretch) and not stretch[end].isspace():
            raise ValueError(stretch)
    except (ValueError, OverflowError):
        raise _bad_moment(stretch.split(maxsplit=1)[0]) from None
    return value, start + end


def _read_day(word: Word, ctx: Context) -> datetime.date:
    try:
        return day(word.text, ctx.now)
    except (ValueError, OverflowError):
        raise BadWord(Say("refuse.bad_date", {"word": short(word.text)})) from None


def _bad_moment(word: str) -> BadWord:
    return BadWord(Say("refuse.bad_moment", {"word": short(word)}))


MOMENT = Converter(str, in_context=_read_moment, spans=_moment_at)
DATE = Converter(str, in_context=_read_day)
DURATION = Converter(duration)
