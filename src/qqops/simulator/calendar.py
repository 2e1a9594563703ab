"""What the service demanded and answered at a date. Source: webqq.md §1, the calendar of breaking changes."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

import attrs

from qqops.errors import ConfigError

_OFF = datetime.date(2019, 1, 1)


@attrs.frozen(kw_only=True)
class Era:
    """One generation at one time.

    Attributes:
        friends_hash: Variants of the friends hash that are accepted; None when none was asked for.
        groups_hash: The same for the list of groups.
        check_args: How many arguments `check` answers with.
        cipher: ``md5`` or ``tea``.
        password_login: Whether number and password still get in.
        dead_hosts: Hosts on which login2 answers 403.
        qr_token: Whether ptqrlogin wants ptqrtoken.
        real_numbers: Whether get_friend_uin2 still tells.
        open_lists: Whether lists hold real numbers and empty nicks, as in four days of May 2017.
        idle: Code of an idle poll; 0 is ``{"retcode":0,"errmsg":"error"}``.
        send_code: ``result``, ``errCode`` or ``both``: how an accepted send is answered.
        gate: Whether polls need get_online_buddies2 first.
        https_lists: Whether lists refuse plain http.
        https: Whether a login leads to https addresses.
        pictures: Whether pictures of others arrive.
    """

    friends_hash: frozenset[str] | None
    groups_hash: frozenset[str] | None
    check_args: int = 3
    cipher: str = "md5"
    password_login: bool = True
    dead_hosts: frozenset[str] = frozenset()
    qr_token: bool = True
    real_numbers: bool = True
    open_lists: bool = False
    idle: int = 102
    send_code: str = "result"
    gate: bool = False
    https: bool = False
    https_lists: bool = False
    pictures: bool = True


#: The generations without a date: lenient about what differed within their years.
DEFAULTS: Mapping[str, Era] = {
    "webqq2013": Era(friends_hash=frozenset("NOPQ"), groups_hash=frozenset("NOPQ")),
    "smartqq": Era(
        friends_hash=frozenset("P"), groups_hash=frozenset("P"), idle=100012, send_code="both", gate=True
    ),
}

_SINCE = {"webqq2013": datetime.date(2011, 1, 1), "smartqq": datetime.date(2014, 1, 1)}


def era(profile: str) -> tuple[str, Era]:
    """Return (generation, its rules) of ``webqq2013``, ``smartqq``, ``webqq2013@2013-03`` or with a day.

    Raises:
        ConfigError: There is no such generation or it did not exist at that date.
    """
    name, at, when = profile.partition("@")
    if name not in DEFAULTS:
        raise ConfigError(
            f"unknown profile {profile!r}", hint=f"one of: {', '.join(DEFAULTS)}, or NAME@YYYY-MM"
        )
    if not at:
        return name, DEFAULTS[name]
    found = re.fullmatch(r"(\d{4})-(\d\d)(?:-(\d\d))?", when, re.ASCII)
    try:
        day = datetime.date(*(int(part or 1) for part in found.groups())) if found else None
    except ValueError:
        day = None
    if day is None:
        raise ConfigError(f"{when!r} is not a date", hint="a profile is NAME@YYYY-MM or NAME@YYYY-MM-DD")
    if not _SINCE[name] <= day < _OFF:
        raise ConfigError(f"{name} did not exist on {day}", hint=f"from {_SINCE[name]} to 2018-12-31")
    return name, _at(name, day)


def _at(name: str, day: datetime.date) -> Era:
    def since(year: int, month: int, first: int = 1) -> bool:
        return day >= datetime.date(year, month, first)

    variants = _hash_of(day)
    hashes = frozenset(variants) if variants else None
    smart = name == "smartqq"
    return Era(
        friends_hash=hashes,
        groups_hash=hashes if since(2014, 6, 15) else None,
        check_args=5 if since(2014, 1) else 3,
        cipher="tea" if since(2015, 3) else "md5",
        password_login=not since(2015, 9, 26),
        dead_hosts=frozenset({"d.web2.qq.com"}) if smart and since(2015, 12, 9) else frozenset(),
        qr_token=since(2017, 2, 9),
        real_numbers=not since(2017, 4, 17),
        open_lists=datetime.date(2017, 5, 11) <= day <= datetime.date(2017, 5, 15),
        idle=(100012 if since(2018, 1) else 0 if since(2016, 1) else 102) if smart else 102,
        send_code="errCode" if smart and since(2016, 1) else "result",
        gate=smart and since(2016, 1),
        https=since(2018, 6),
        https_lists=since(2018, 12, 5),
        pictures=not since(2015, 12, 9),
    )


def _hash_of(day: datetime.date) -> str:
    """Return the variants in use at *day*; where N and the first P sit is disputed, so both count there."""
    if day < datetime.date(2013, 6, 1):
        return ""
    if day < datetime.date(2013, 8, 22):
        return "NO"
    if day < datetime.date(2014, 1, 1):
        return "NOP"
    if day < datetime.date(2014, 6, 1):
        return "Q"
    if day < datetime.date(2014, 7, 1):
        return "O"
    return "P"
