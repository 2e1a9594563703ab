"""People who talk to a bot: whom there is, what they say, and what happens beside. Pure; seeded."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import attrs

from qqops.simulator.onebot.implementation import Frame
from qqops.simulator.world import Group, Person, World

#: The bot's own number, the first of the people and of the groups.
BOT, FIRST_PERSON, FIRST_GROUP = 10001, 20001, 30001
#: How many there are, and in how many groups each of them talks: few, so that each says much in each.
PEOPLE, GROUPS, HAUNTS = 24, 48, 4
#: Parts of what happens: talk that concerns no bot, commands, notices. The rest are requests and meta events.
CHATTER, COMMANDS, NOTICES = 0.80, 0.15, 0.035
#: Part of the messages that come as CQ strings, whatever the others are.
STRINGS = 0.15
#: Part of the commands that are answered on the spot.
INLINE = 0.3
#: Times that something just said comes once more.
DUPLICATES = 0.02

_TALK = (
    "has anybody seen the keys", "今天天气不错", "I think the build is green again", "ok", "lunch at twelve?",
    "这个功能下周上线, 大家记得测试", "see https://example.org/a/b?c=d for more", "1 + 1 = 2 & so on", "[图片] is not one",
)  # fmt: skip
_MORE: Sequence[Frame] = (
    {"type": "at", "data": {"qq": str(FIRST_PERSON)}},
    {"type": "face", "data": {"id": "178"}},
    {"type": "image", "data": {"file": "a,b.jpg", "url": "https://example.invalid/a&b"}},
    {"type": "unheard-of", "data": {"x": [1, 2]}},
    {"type": "text", "data": {"text": " and [so] on"}},
)


@attrs.frozen
class Place:
    """Who said something, and where.

    Attributes:
        room: ``g30001`` for a group, ``p20001`` for a private chat.
        person: ``u20001``.
    """

    room: str
    person: str


@attrs.frozen
class Line:
    """Something that is said.

    Attributes:
        number: Running number of a command; 0 for chatter.
        strings: Whether it comes as a CQ string.
    """

    number: int
    person: int
    group: int
    segments: Sequence[Frame]
    strings: bool

    @property
    def place(self) -> Place:
        """Who says it, and where."""
        room = f"g{self.group}" if self.group else f"p{self.person}"
        return Place(room, f"u{self.person}")


def make_world() -> World:
    """Return a world with enough rooms and people that much goes on at the same time."""
    numbers = range(FIRST_PERSON, FIRST_PERSON + PEOPLE)
    bot = Person(number=BOT, nick="bot", password="-", friends=list(numbers))
    people = {n: Person(number=n, nick=f"P{n}") for n in numbers}
    members = [BOT, *numbers]
    groups = {
        n: Group(number=n, name=f"G{n}", members=list(members), owner=FIRST_PERSON)
        for n in range(FIRST_GROUP, FIRST_GROUP + GROUPS)
    }
    return World(people={BOT: bot, **people}, groups=groups)


def haunts(person: int) -> list[int]:
    """Return the groups in which somebody talks, and 0 for the private chat."""
    first = (person - FIRST_PERSON) * HAUNTS
    return [0, *(FIRST_GROUP + (first + n) % GROUPS for n in range(HAUNTS))]


class Crowd:
    """Decides by the dice what happens next.

    Attributes:
        commands: How many were given.
    """

    def __init__(self, rng: random.Random) -> None:
        self.commands = 0
        self._rng = rng
        self._flags = itertools.count(1)

    def next(self) -> Line | Frame:
        """Return what happens: something that is said, or another event without time and account."""
        dice = self._rng.random()
        if dice < CHATTER:
            return self.chatter()
        if dice < CHATTER + COMMANDS:
            return self.command()
        return self.notice() if dice < CHATTER + COMMANDS + NOTICES else self._other()

    def _who(self) -> tuple[int, int]:
        person = FIRST_PERSON + self._rng.randrange(PEOPLE)
        return person, self._rng.choice(haunts(person))

    def command(self, word: str = "") -> Line:
        """Return the next command, with the mark that the answer must bring back."""
        self.commands += 1
        person, group = self._who()
        line = Line(self.commands, person, group, (), self._rng.random() < STRINGS)
        word = word or ("now" if self._rng.random() < INLINE else "mark")
        mark = f"{line.number}.{line.place.room}.{line.place.person}"
        return attrs.evolve(line, segments=[_text(f"/{word} {mark}")])

    def chatter(self) -> Line:
        """Return something that concerns no bot."""
        person, group = self._who()
        rng = self._rng
        more = [rng.choice(_MORE) for _ in range(rng.choice((0, 0, 0, 0, 1, 3)))]
        segments = [_text(rng.choice(_TALK)), *more]
        return Line(0, person, group, segments, rng.random() < STRINGS)

    def notice(self) -> Frame:
        """Return something that happens in a group."""
        person, group = self._who()
        one = {"group_id": group or FIRST_GROUP, "user_id": person}
        return {
            "post_type": "notice", **one,
            **self._rng.choice((
                {"notice_type": "notify", "sub_type": "poke", "target_id": BOT},
                {"notice_type": "group_increase", "sub_type": "approve", "operator_id": FIRST_PERSON},
                {"notice_type": "group_decrease", "sub_type": "leave", "operator_id": person},
                {"notice_type": "group_ban", "sub_type": "ban", "operator_id": FIRST_PERSON, "duration": 60},
                {"notice_type": "group_card", "card_old": "", "card_new": "new"},
                {"notice_type": "group_recall", "operator_id": person, "message_id": self._rng.getrandbits(31)},
                {"notice_type": "group_upload", "file": {"id": "/f", "name": "a.txt", "size": 3, "busid": 102}},
                {"notice_type": "essence", "sub_type": "add", "sender_id": person, "operator_id": FIRST_PERSON, "message_id": 7},
                {"notice_type": "group_msg_emoji_like", "message_id": 7, "likes": [{"emoji_id": "66", "count": 1}]},
                {"notice_type": "unheard_of", "x": None},
            )),
        }  # fmt: skip

    def _other(self) -> Frame:
        """Return a request or a meta event."""
        person, group = self._who()
        if self._rng.random() < 0.3:
            flag = f"flag-{next(self._flags)}"
            one: Frame = {"post_type": "request", "user_id": person, "comment": "hi", "flag": flag}
            if not group:
                return one | {"request_type": "friend"}
            return one | {"request_type": "group", "sub_type": "add", "group_id": group}
        status = {"online": True, "good": True}
        return {
            "post_type": "meta_event",
            "meta_event_type": "heartbeat",
            "status": status,
            "interval": 30_000,
        }


def _text(words: str) -> Frame:
    return {"type": "text", "data": {"text": words}}
