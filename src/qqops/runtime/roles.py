"""Who has which roles: from the settings, from the chat, from the network's own groups, from plugins."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import attrs

from qqops.errors import ConfigError
from qqops.model import MemberRole, RoomKind, User

#: May do everything that no rule denies.
OWNER = "owner"
#: Whoever it is has this one; also somebody whom nobody knows.
EVERYONE = "everyone"
#: The bot itself: declared jobs run in its name.
SYSTEM = "system"

#: What the network's own role in a group becomes.
_IN_ROOM: Mapping[MemberRole, str] = {
    role: f"room.{role.value}" for role in MemberRole if role is not MemberRole.UNKNOWN
}
#: Seconds for which a plugin's answer about a person is remembered, and most people that are.
IDENTITY_LASTS, MAX_IDENTITIES = 60.0, 10_000

_NAME = re.compile(r"[^\W\d_][\w.-]{0,63}")
_NOBODY = frozenset({EVERYONE})


@attrs.frozen
class Grant:
    """A role that was given in the chat.

    Attributes:
        person: ``network:account/id``.
        by: Who gave it.
        at: When, as ISO 8601.
    """

    role: str
    person: str
    by: str
    at: str


class Standing(NamedTuple):
    """The roles of somebody. A tuple: one is made for each decision.

    Attributes:
        proven: Those that may open something.
        claimed: Those that may close something: also what is known only for a name that anybody can take on.
    """

    proven: frozenset[str]
    claimed: frozenset[str]


NOBODY = Standing(_NOBODY, _NOBODY)
SELF = Standing(frozenset({SYSTEM}), frozenset({SYSTEM}))


def check_role(name: str) -> None:
    """Raises `ConfigError` unless *name* can be given to people."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name[:64]!r} is not a role name: a letter, then letters, digits, . - and _")
    if name in (EVERYONE, SYSTEM) or name.startswith("room."):
        raise ConfigError(f"the role {name!r} is not given to people: it follows from who and where they are")


def check_person(address: str) -> None:
    """Raises `ConfigError` unless *address* can be that of a person."""
    account, slash, person = address.rpartition("/")
    network, colon, name = account.partition(":")
    if not (slash and colon and person and network and name) or " " in address:
        raise ConfigError(
            f"{address!r} is not a person", hint="write network:account/id, as onebot11:main/10001"
        )


class Roles:
    """Looks up roles.

    Args:
        fixed: Role → addresses of people, from the settings.
        now: Seconds of any steady clock.

    Attributes:
        grants: What was given in the chat, by (role, address).
        identify: Asks the plugins for a person's roles; None when no plugin wants to be asked. May raise.
    """

    def __init__(self, fixed: Mapping[str, Collection[str]], now: Callable[[], float]) -> None:
        for role, people in fixed.items():
            check_role(role)
            for address in people:
                check_person(address)
        self.fixed = {role: frozenset(people) for role, people in fixed.items()}
        self.grants: dict[tuple[str, str], Grant] = {}
        self.identify: Callable[[User], Iterable[str]] | None = None
        self._now = now
        self._known: dict[User, tuple[float, frozenset[str]]] = {}
        self._people: dict[str, frozenset[str]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over changes of `grants` and `identify`."""
        people: dict[str, set[str]] = {}
        for role, members in self.fixed.items():
            for address in members:
                people.setdefault(address, {EVERYONE}).add(role)
        for role, address in self.grants:
            people.setdefault(address, {EVERYONE}).add(role)
        self._people = {address: frozenset(roles) for address, roles in people.items()}
        self._known.clear()

    def members(self, role: str) -> frozenset[str]:
        """Return the addresses of those who have *role* by the settings or the chat."""
        return self.fixed.get(role, frozenset()) | {address for name, address in self.grants if name == role}

    def names(self) -> list[str]:
        """Return every role that somebody has by the settings or the chat."""
        return sorted({*self.fixed, *(role for role, _ in self.grants)})

    def of(self, user: User, address: str, kind: RoomKind | None) -> Standing:
        """Return the roles of *user*, whose address is *address*, in a room of *kind*.

        Raises whatever a plugin's hook raises: who decides takes it for a no.
        """
        roles = self._people.get(address, _NOBODY)
        if kind is RoomKind.GROUP and (here := _IN_ROOM.get(user.role)):
            roles = roles | {here}
        if self.identify is not None:
            roles = roles | self._identified(user)
        return Standing(roles, roles) if user.verified else Standing(_NOBODY, roles)

    def _identified(self, user: User) -> frozenset[str]:
        found = self._known.get(user)
        now = self._now()
        if found is not None and 0 <= now - found[0] < IDENTITY_LASTS:
            return found[1]
        assert self.identify is not None
        roles = frozenset(self.identify(user))
        for role in roles:
            check_role(role)
        if OWNER in roles:
            raise ConfigError("no plugin makes owners")
        if len(self._known) >= MAX_IDENTITIES:
            self._known.clear()
        self._known[user] = now, roles
        return roles
