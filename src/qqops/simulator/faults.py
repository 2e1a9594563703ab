"""Breaking things on purpose: which requests go wrong, and how. Pure; seeded."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from qqops.errors import ConfigError

#: What can go wrong, and what it means.
KINDS = {
    "http": "answer with an HTTP error and an HTML page (status, default 502)",
    "close": "close the connection before the status line (after=true: the request was obeyed all the same)",
    "stall": "do not answer for some seconds (seconds, default 3600), then close",
    "duplicate": "deliver the messages of a poll twice",
    "reorder": "shuffle the messages of a poll",
    "lose": "lose a message on the way to a poll; where messages are counted, a number is missing",
    "late": "deliver messages only when they are some seconds old (seconds, default 1200)",
    "forget": "lose what nobody polls for within some seconds (seconds, default 60)",
    "cut": "cut sends after 720 bytes",
    "equal": "swallow the second of two equal messages in a row to one target, and say ok",
    "spam": "after a burst (more than `most` sends in 10 s, default 10) swallow sends for some seconds (default 600)",
    "new-ip": "swallow sends to groups for some seconds after a login (seconds, default 600)",
    "1202": "answer a send with 1202 (delivered=true: it was delivered all the same)",
    "port": "close the port and every connection for some seconds (seconds, default 3)",
    "html": "answer with an HTML page and status 200",
    "retcode": "answer a JSON call with a return code (code; p, t, retmsg) after some seconds (seconds, default 0); after=true: the request was obeyed all the same",
    "empty": "answer a poll at once with retcode 0 and errmsg error: nothing new, or a dead session",
}

#: Faults that only a call with a JSON answer can have.
CODED = frozenset({"retcode", "empty"})


@attrs.frozen(kw_only=True)
class Repertoire:
    """What can go wrong with one kind of service.

    Attributes:
        kinds: What each fault means.
        seconds: How long some of them take unless a call says so.
        places: Where some of them strike unless a call says so.
        lasting: Those that stay on until they are cleared, unless they are given a count.
    """

    kinds: Mapping[str, str]
    seconds: Mapping[str, float] = attrs.field(factory=dict)
    places: Mapping[str, str] = attrs.field(factory=dict)
    lasting: frozenset[str] = frozenset()


#: Faults that concern what a poll delivers or what a send answers, not the request as such.
INSIDE = frozenset(
    {"duplicate", "reorder", "1202", "lose", "late", "forget", "cut", "equal", "spam", "new-ip"}
)

#: What can go wrong with WebQQ.
WEBQQ = Repertoire(
    kinds=KINDS,
    seconds={
        "port": 3.0,
        "late": 1200.0,
        "forget": 60.0,
        "spam": 600.0,
        "new-ip": 600.0,
        **dict.fromkeys(CODED, 0.0),
    },
    places={
        **dict.fromkeys(("duplicate", "reorder", "lose", "late", "forget", *CODED), "poll2"),
        **dict.fromkeys(("1202", "cut", "equal", "spam", "new-ip"), "send_"),
    },
    lasting=frozenset({"late", "forget", "cut", "equal", "spam", "new-ip"}),
)


@attrs.define(kw_only=True)
class Rule:
    """One fault that is on.

    Attributes:
        on: Part of the request's path that must match, or "".
        left: How many more times; None for as often as *probability* says.
        code: Return code; *p*, *t* and *retmsg* go with it (§12.1: 116 has p, 121 has t, 100012 has retmsg).
    """

    fault: str
    on: str = ""
    left: int | None = None
    probability: float = 1.0
    status: int = 502
    seconds: float = 3600.0
    delivered: bool = False
    after: bool = False
    most: int = 10
    code: int = 0
    p: str = ""
    t: str = ""
    retmsg: str = ""

    @property
    def answer(self) -> dict[str, object]:
        """The JSON body of a fault that is a return code. Source: webqq.md §12.1."""
        if self.fault == "empty":
            return {"retcode": 0, "errmsg": "error"}
        more = {"p": self.p, "t": self.t or ("0" if self.code == 121 else ""), "retmsg": self.retmsg}
        return {"retcode": self.code, "errmsg": "", **{key: value for key, value in more.items() if value}}

    def hits(self, path: str, rng: random.Random) -> bool:
        """Whether this request goes wrong; counts down."""
        if self.on not in path or self.left == 0 or rng.random() >= self.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The faults that are on at the moment."""

    def __init__(self, repertoire: Repertoire = WEBQQ) -> None:
        self.repertoire = repertoire
        self.rules: list[Rule] = []
        self.counts: dict[str, int] = {}
        self._rng = random.Random(0)

    def find(self, path: str, kinds: frozenset[str]) -> Rule | None:
        """Return the first rule of *kinds* that hits this request, or None."""
        for rule in self.rules:
            if rule.fault in kinds and rule.hits(path, self._rng):
                self.counts[rule.fault] = self.counts.get(rule.fault, 0) + 1
                return rule
        return None

    def peek(self, path: str, fault: str) -> Rule | None:
        """Return the rule for *fault* that is on for this request, without counting it."""
        return next((r for r in self.rules if r.fault == fault and r.on in path and r.left != 0), None)

    def shuffle(self, items: list[Any]) -> None:
        """Shuffle *items* in place, reproducibly."""
        self._rng.shuffle(items)

    def set(self, data: Mapping[str, Any]) -> Rule | None:
        """Take over what a control call asks for; return the rule that was added.

        ``{"clear": true}`` switches all off, ``{"clear": "late"}`` those of one kind; ``{"seed": 7}`` starts the dice anew; ``{"fault": "close", "count":
        1, "on": "poll2", "probability": 0.1, …}`` adds one.

        Raises:
            ConfigError: Something in it is unknown.
        """
        data = dict(data)
        if clear := data.pop("clear", False):
            self.rules[:] = [rule for rule in self.rules if clear is not True and rule.fault != clear]
        if "seed" in data:
            self._rng = random.Random(_typed("seed", data.pop("seed"), int))
        if not data:
            return None
        kind = str(data.pop("fault", ""))
        can = self.repertoire
        if kind not in can.kinds:
            raise ConfigError(f"unknown fault {kind!r}", hint=f"one of: {', '.join(can.kinds)}")
        count, probability = data.pop("count", None), data.pop("probability", None)
        if count is None and probability is None:
            count = None if kind in can.lasting else 1
        more: dict[str, Any] = {"on": str(data.pop("on", can.places.get(kind, "")))}
        if kind in can.seconds:
            more["seconds"] = can.seconds[kind]
        for key, wanted in (
            ("status", int),
            ("seconds", float),
            ("delivered", bool),
            ("after", bool),
            ("most", int),
            ("code", int),
            ("p", str),
            ("t", str),
            ("retmsg", str),
        ):
            if key in data:
                more[key] = _typed(key, data.pop(key), wanted)
        if not 0 <= more.get("seconds", 0.0) < 1e6:
            raise ConfigError(f"seconds must be 0 to 1000000, got {more['seconds']!r}")
        if not 100 <= more.get("status", 502) <= 599:
            raise ConfigError(f"status must be 100 to 599, got {more['status']!r}")
        if data:
            raise ConfigError(f"unknown key {min(data)!r} for the fault {kind!r}")
        if kind == "retcode" and "code" not in more:
            raise ConfigError("the fault 'retcode' needs a code", hint="such as 103, 121 or 100000")
        rule = Rule(
            fault=kind,
            left=None if count is None else _typed("count", count, int),
            probability=1.0 if probability is None else _typed("probability", probability, float),
            **more,
        )
        self.rules.append(rule)
        return rule


def _typed(key: str, value: Any, wanted: type[Any]) -> Any:
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 10**15 else value
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{key} must be {wanted.__name__}, got {value!r}")
