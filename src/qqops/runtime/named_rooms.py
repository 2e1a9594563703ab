"""Which rooms the settings mean. A name becomes an address once; from then on only the address counts."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs
import structlog

from qqops.model import Room, RoomKind, RoomRef
from qqops.texts import DEFAULT_LANGUAGE

if TYPE_CHECKING:
    from qqops.runtime.context import Context

log = structlog.get_logger("qqops.rooms")

T = TypeVar("T")


@attrs.frozen
class RoomSettings:
    """What is set for rooms.

    Attributes:
        default: Language where nothing else is set.
        languages: Language by room name or id.
        timezone: Time zone where nothing else is set.
        timezones: Time zone by room name or id.
        prefixes: What a command begins with, by room name or id.
        accounts: Which of our accounts responds where several are, by room name or id.
    """

    default: str = DEFAULT_LANGUAGE
    languages: Mapping[str, str] = attrs.field(factory=dict)
    timezone: str = "Asia/Shanghai"
    timezones: Mapping[str, str] = attrs.field(factory=dict)
    prefixes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    accounts: Mapping[str, str] = attrs.field(factory=dict)


class NamedRooms:
    """Looks up what is set for a room.

    What is all digits is a number and never a name; a number means the group before the person. A name is that of a
    room of several people (a private chat bears the name of the other side, who may choose it), and means the only one
    of an account that is called so at the time when it is first looked for. That room keeps the setting when it is
    renamed, and no other that takes on its name gets it.

    Args:
        rooms_of: Returns the rooms that the account of that name knows.
    """

    def __init__(self, settings: RoomSettings, rooms_of: Callable[[str], Iterable[Room]]) -> None:
        self._settings = settings
        self._rooms_of = rooms_of
        tables: Iterable[Collection[str]] = (
            settings.languages,
            settings.timezones,
            settings.prefixes,
            settings.accounts,
        )
        self._keys = frozenset(key for table in tables for key in table)
        self._meant: dict[tuple[str, str], RoomRef] = {}
        self._names: dict[RoomRef, str] = {}
        self._unclear: set[tuple[str, str]] = set()

    @property
    def prefixes(self) -> Mapping[str, tuple[str, ...]]:
        """What a command begins with, by `key`."""
        return {key: found for key, found in self._settings.prefixes.items() if found}

    def language(self, room: Room | None) -> str:
        """Return the language of *room*."""
        return self._settings.languages.get(self.key(room)) or self._settings.default

    def zone(self, room: Room | None) -> datetime.tzinfo:
        """Return the time zone of *room*; objects of one zone are the same."""
        return zoneinfo.ZoneInfo(self._settings.timezones.get(self.key(room)) or self._settings.timezone)

    def prefix(self, room: Room | None) -> tuple[str, ...]:
        """Return what a command begins with in *room*, or () for the bot's own."""
        return self._settings.prefixes.get(self.key(room)) or ()

    def account(self, room: Room | None) -> str:
        """Return which of our accounts is to respond in *room*; "" where nothing is set."""
        return self._settings.accounts.get(self.key(room)) or ""

    def key(self, room: Room | None) -> str:
        """Return under which name or id *room* stands in the settings; "" for none."""
        if room is None or not self._keys:
            return ""
        return room.id if room.id in self._keys else self._name(room)

    def own(self, table: Mapping[str, T], room: Room, otherwise: T) -> T:
        """Return what *table*, by room name or id, has for *room*; *otherwise* where it has nothing."""
        return table[room.id] if room.id in table else table.get(self._name(room), otherwise)

    def here(self, config: object) -> object:
        """Return *config*; if it is a `PerRoom`, it looks its rooms up here from now on."""
        if not isinstance(config, PerRoom):
            return config
        self._keys |= config.own.keys()
        return attrs.evolve(config, named=self)

    def _name(self, room: Room) -> str:
        """Return the name among those of the settings that means *room*; "" where none does."""
        name = self._names.get(room.ref)
        if name is None and room.name in self._keys and _may_be_meant(room, room.name):
            found = self._called(room.ref.account.id, room.name, room)
            name = room.name if found is not None and found.ref == room.ref else None
        return name if name is not None and name in self._keys else ""

    def find(self, account: str, name: str) -> Room | None:
        """Return the room of *account* that *name* (a number or a name) means; None while there is none, or not just one.

        What is said there may open an account to whoever sees it: a group whose number is no more than likely is not
        found by it.
        """
        by_id = [room for room in self._rooms_of(account) if room.id == name and room.verified]
        if by_id:
            return min(by_id, key=lambda room: room.ref.kind is not RoomKind.GROUP)
        found = None if _is_number(name) else self._called(account, name)
        return found if found is not None and found.verified else None

    def _called(self, account: str, name: str, also: Room | None = None) -> Room | None:
        """Return the room that *name* means; *also* is there even if the account's list does not have it (yet)."""
        rooms = {room.ref: room for room in self._rooms_of(account)}
        if also is not None:
            rooms.setdefault(also.ref, also)
        if (meant := self._meant.get((account, name))) is not None:
            return rooms.get(meant)
        found = [room for room in rooms.values() if room.name == name and _may_be_meant(room, name)]
        self._report_unclear(account, name, found)
        if len(found) != 1:
            return None
        if found[0].verified:  # the address of any other is the name itself
            self._meant[account, name] = found[0].ref
            self._names[found[0].ref] = name
        return found[0]

    def _report_unclear(self, account: str, name: str, found: Collection[Room]) -> None:
        if len(found) <= 1:
            self._unclear.discard((account, name))
        elif (account, name) not in self._unclear:
            self._unclear.add((account, name))
            log.error(
                "several rooms are called so, and none of them is meant: name the room by its number",
                account=account, room=name, numbers=[room.id for room in found],
            )  # fmt: skip


@attrs.frozen(eq=False)
class PerRoom:
    """A plugin's configuration, of which single rooms have one of their own.

    Attributes:
        plain: What holds everywhere else, and where there is no room.
        own: By name or id of a room.
        named: Finds the room; the bot sets it.
    """

    plain: object
    own: Mapping[str, object]
    named: NamedRooms | None = None

    def value(self, ctx: Context | None) -> object:
        """Return what holds in the room of *ctx*."""
        room: Room | None = getattr(ctx.event, "room", None) if ctx is not None else None
        return (
            self.plain if room is None or self.named is None else self.named.own(self.own, room, self.plain)
        )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _may_be_meant(room: Room, name: str) -> bool:
    return not room.private and not _is_number(name)
