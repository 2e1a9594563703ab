"""Rules: who may do what, where, with which arguments. Pure.

A rule is an effect and a scope; every part of the scope must fit. Deny wins over allow, and what nothing allows is
denied as far as it asks for a permission. `Tables` sorts the rules by what they are about, so that a decision looks
only at those that could matter.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import attrs

from qqops.errors import ConfigError
from qqops.runtime.arguments import texts_of
from qqops.runtime.roles import OWNER, Standing

#: Parts of a scope; every other name in a rule is an argument of the command.
SCOPES = ("network", "account", "room", "user", "role", "plugin", "command", "permission")
#: Names in front of an argument that is called like a part of a scope.
ARGUMENT = "arg."
#: Plans that are kept; handlers have one each, `ctx.may` may ask for more.
MAX_PLANS = 10_000

_PERMISSION = re.compile(r"\*|[\w-]+(\.[\w-]+)*(\.\*)?")


class Effect(enum.Enum):
    """What a rule does."""

    ALLOW = "allow"
    DENY = "deny"


@attrs.frozen(kw_only=True)
class Rule:
    """One rule; what is empty fits everything.

    Attributes:
        id: How people call it: ``r7``; those of the settings have the place they come from.
        account: ``network:name``, or the name alone.
        room: Address of a room, ``network:account/group:123``.
        user: Address of a person, ``network:account/id``.
        command: Name of a command or of its group, with or without ``plugin:`` in front.
        permission: A permission, or all that begin alike: ``deploy.*``, ``*``.
        arguments: Values of the command's arguments in canonical form.
    """

    id: str
    effect: Effect
    network: str = ""
    account: str = ""
    room: str = ""
    user: str = ""
    role: str = ""
    plugin: str = ""
    command: str = ""
    permission: str = ""
    arguments: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [self.effect.value]
        parts += [f"{name}={getattr(self, name)}" for name in SCOPES if getattr(self, name)]
        parts += [f"{ARGUMENT if name in SCOPES else ''}{name}={value}" for name, value in self.arguments]
        return " ".join(f'"{part}"' if " " in part else part for part in parts)

    def about(self, plugin: str, name: str, permission: str) -> bool:
        """Whether it can say something about the handler *name* of *plugin*."""
        if self.plugin and self.plugin != plugin:
            return False
        if self.command:
            owner, colon, command = self.command.rpartition(":")
            if colon and owner != plugin:
                return False
            if name != command and not name.startswith(command + " "):
                return False
        return not self.permission or covers(self.permission, permission)


def covers(pattern: str, permission: str) -> bool:
    """Whether *permission* is meant by *pattern*; nothing means the empty one."""
    if not permission:
        return False
    if pattern == "*" or pattern == permission:
        return True
    return pattern.endswith(".*") and permission.startswith(pattern[:-1])


def make_rule(id_: str, effect: Effect, parts: Iterable[str]) -> Rule:
    """Return the rule of *parts*, each ``name=value``.

    Raises:
        ConfigError: A part is wrong, or there is none.
    """
    scope: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        known = name in SCOPES
        name = name.removeprefix(ARGUMENT)
        table = scope if known else arguments
        if not equals or not name or (known and not value):
            raise ConfigError(f"{part!r} is not name=value")
        if name in table:
            raise ConfigError(f"{name} stands there twice")
        table[name] = " ".join(value.split()).lower() if name == "command" and known else value
    if not scope and not arguments:
        raise ConfigError(f"a rule must say whom or what it is about; {effect.value} permission=* means all")
    if "permission" in scope and not _PERMISSION.fullmatch(scope["permission"]):
        raise ConfigError(f"{scope['permission']!r} is not a permission", hint="as deploy.run, deploy.* or *")
    for name, kind in (("user", "/"), ("room", "/")):
        if name in scope and (":" not in scope[name] or kind not in scope[name]):
            raise ConfigError(f"{scope[name]!r} is not an address of a {name}", hint="network:account/…")
    return Rule(id=id_, effect=effect, arguments=tuple(arguments.items()), **scope)


class Who(NamedTuple):
    """Whoever set something off, as far as rules look at it; "" for what there is not. One is made for each decision.

    Attributes:
        name: The account without its network.
        user_proven: Whether the person's address is the network's own number.
        room_proven: The same for the room.
    """

    network: str
    account: str
    name: str
    room: str
    user: str
    user_proven: bool
    room_proven: bool


class Ruling(enum.Enum):
    """What the rules say."""

    YES = "yes"
    NO = "no"
    #: It depends on the arguments.
    PERHAPS = "perhaps"


class Finding(NamedTuple):
    """What the rules say, and the rule that does; None when no rule does."""

    answer: Ruling
    rule: Rule | None = None


_YES, _NO, _PERHAPS = Finding(Ruling.YES), Finding(Ruling.NO), Finding(Ruling.PERHAPS)


class _Shelf:
    """Rules of one effect about one thing, found by what is rarest in their scope."""

    __slots__ = ("by_role", "by_room", "by_user", "rest")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.by_user: dict[str, list[Rule]] = {}
        self.by_room: dict[str, list[Rule]] = {}
        self.by_role: dict[str, list[Rule]] = {}
        self.rest: list[Rule] = []
        for rule in rules:
            if rule.user:
                self.by_user.setdefault(rule.user, []).append(rule)
            elif rule.room:
                self.by_room.setdefault(rule.room, []).append(rule)
            elif rule.role:
                self.by_role.setdefault(rule.role, []).append(rule)
            else:
                self.rest.append(rule)

    def __bool__(self) -> bool:
        return bool(self.by_user or self.by_room or self.by_role or self.rest)

    def about(self, who: Who, roles: frozenset[str]) -> Sequence[Rule]:
        """Return those that name nobody else than *who*."""
        found = self.rest
        if self.by_role:
            for role in roles:
                if role in self.by_role:
                    found = self.by_role[role] + found
        if who.room in self.by_room:
            found = self.by_room[who.room] + found
        if who.user in self.by_user:
            found = self.by_user[who.user] + found
        return found


@attrs.frozen(eq=False)
class Plan:
    """The rules that can say something about one handler."""

    denies: _Shelf
    allows: _Shelf
    permission: str
    by_argument: bool

    @property
    def idle(self) -> bool:
        """Whether nothing but "yes" can come out."""
        return not self.permission and not self.denies

    def decide(self, who: Who, standing: Standing, arguments: Mapping[str, Any] | None) -> Finding:
        """Return what the rules say about *who*.

        Args:
            arguments: By name; None while they are not known.
        """
        perhaps = False
        for rule in self.denies.about(who, standing.claimed):
            if _fits(rule, who, standing.claimed, proof=False):
                if not rule.arguments or (arguments is not None and _any(rule, arguments)):
                    return Finding(Ruling.NO, rule)
                perhaps = perhaps or arguments is None
        if not self.permission or OWNER in standing.proven:
            return _PERHAPS if perhaps else _YES
        pending = False
        for rule in self.allows.about(who, standing.proven):
            if _fits(rule, who, standing.proven, proof=True):
                if not rule.arguments or (arguments is not None and _all(rule, arguments)):
                    return Finding(Ruling.PERHAPS if perhaps else Ruling.YES, rule)
                pending = pending or arguments is None
        return _PERHAPS if pending else _NO


def _fits(rule: Rule, who: Who, roles: frozenset[str], *, proof: bool) -> bool:
    if rule.user and (rule.user != who.user or (proof and not who.user_proven)):
        return False
    if rule.room and (rule.room != who.room or (proof and not who.room_proven)):
        return False
    if rule.role and rule.role not in roles:
        return False
    if rule.network and rule.network != who.network:
        return False
    return not rule.account or rule.account in (who.account, who.name)


def _any(rule: Rule, arguments: Mapping[str, Any]) -> bool:
    """Whether a deny fits: of several words one is enough, and the case does not matter."""
    return all(
        name in arguments and value.casefold() in [text.casefold() for text in texts_of(arguments[name])]
        for name, value in rule.arguments
    )


def _all(rule: Rule, arguments: Mapping[str, Any]) -> bool:
    """Whether an allow fits: of several words every one must be the value."""
    for name, value in rule.arguments:
        texts = list(texts_of(arguments[name])) if name in arguments else []
        if not texts or any(text != value for text in texts):
            return False
    return True


class Tables:
    """All rules, sorted by what they are about as decisions ask for it. Made anew when a rule changes."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.denying = any(rule.effect is Effect.DENY for rule in self.rules)
        self.by_argument = any(rule.arguments for rule in self.rules)
        self._plans: dict[tuple[str, str, str], Plan] = {}

    def plan(self, plugin: str, name: str, permission: str) -> Plan:
        """Return the plan for the handler *name* of *plugin*, which needs *permission*."""
        key = (plugin, name, permission)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            about = [rule for rule in self.rules if rule.about(plugin, name.lower(), permission)]
            found = self._plans[key] = Plan(
                _Shelf(rule for rule in about if rule.effect is Effect.DENY),
                _Shelf(rule for rule in about if rule.effect is Effect.ALLOW),
                permission,
                any(rule.arguments for rule in about),
            )
        return found
