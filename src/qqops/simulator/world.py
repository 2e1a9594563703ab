"""Who there is: people, bot accounts, groups, discussion groups."""

from __future__ import annotations

import pathlib
import tomllib
from typing import Any, TypeVar

import attrs

from qqops.errors import ConfigError

T = TypeVar("T")

DEFAULT_BOT = 100200300
#: The first of the accounts that `add_accounts` makes; their password; how many of them share a group.
FIRST_ACCOUNT, ACCOUNT_PASSWORD, GROUP_SIZE = 1_000_000_001, "sim-pass-1", 20
#: Most accounts that can be asked for.
MAX_ACCOUNTS = 100_000


@attrs.define(kw_only=True)
class Person:
    """Somebody with a QQ number; an account of a bot has a password and friends."""

    number: int
    nick: str
    password: str = ""
    friends: list[int] = attrs.field(factory=list)
    marks: dict[int, str] = attrs.field(factory=dict)
    signature: str = ""

    @property
    def is_bot(self) -> bool:
        """Whether a client can log in as this person."""
        return bool(self.password)


@attrs.define(kw_only=True)
class Group:
    """A group by its real number."""

    number: int
    name: str
    members: list[int] = attrs.field(factory=list)
    owner: int = 0
    cards: dict[int, str] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Discussion:
    """A discussion group; its id is permanent."""

    did: int
    name: str
    members: list[int] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class World:
    """Everybody and every room, by real number."""

    people: dict[int, Person] = attrs.field(factory=dict)
    groups: dict[int, Group] = attrs.field(factory=dict)
    discussions: dict[int, Discussion] = attrs.field(factory=dict)

    @property
    def bots(self) -> list[Person]:
        """The accounts that a client can log in to."""
        return [p for p in self.people.values() if p.is_bot]

    def person(self, who: str | int) -> Person:
        """Return a person by number or nick (any case). Raises `ConfigError` when it is not clear who."""
        found = [p for p in self.people.values() if who in (p.number, str(p.number))]
        found = found or [p for p in self.people.values() if p.nick.casefold() == str(who).casefold()]
        return _one(found, "person", who, [p.nick for p in self.people.values()])

    def room(self, which: str | int) -> Group | Discussion:
        """Return a group or discussion group by number or name. Raises `ConfigError` when it is not clear."""
        rooms: list[Group | Discussion] = [*self.groups.values(), *self.discussions.values()]
        found = [r for r in rooms if which in (_id(r), str(_id(r)))]
        found = found or [r for r in rooms if r.name.casefold() == str(which).casefold()]
        return _one(found, "room", which, [r.name for r in rooms])


def _id(room: Group | Discussion) -> int:
    return room.number if isinstance(room, Group) else room.did


def _one(found: list[T], what: str, wanted: str | int, names: list[str]) -> T:
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} {what}s are called {wanted!r}; use the number")
    raise ConfigError(f"there is no {what} {wanted!r}", hint=f"there are: {', '.join(names)}")


def default_world() -> World:
    """Return the world of the demo: one bot, two friends, two groups, one discussion group."""
    bot = Person(number=DEFAULT_BOT, nick="qqops-bot", password="sim-pass-1", friends=[20001, 20002])
    ali, bo = Person(number=20001, nick="Ali"), Person(number=20002, nick="Bo")
    everyone = [ali.number, bo.number, bot.number]
    return World(
        people={p.number: p for p in (bot, ali, bo)},
        groups={
            30001: Group(number=30001, name="qqops-test", members=list(everyone), owner=ali.number),
            30002: Group(number=30002, name="ops", members=list(everyone), owner=bo.number),
        },
        discussions={40001: Discussion(did=40001, name="plan", members=list(everyone))},
    )


def add_accounts(world: World, count: int) -> None:
    """Add *count* bot accounts to *world*, numbered from `FIRST_ACCOUNT` on.

    Each has the friends that the first bot has; every `GROUP_SIZE` of them share a group with these.

    Raises:
        ConfigError: That is too many, or too few.
    """
    if not 0 <= count <= MAX_ACCOUNTS:
        raise ConfigError(f"accounts must be 0 to {MAX_ACCOUNTS}, got {count}")
    friends = [n for n in world.bots[0].friends if not world.people[n].is_bot]
    numbers = range(FIRST_ACCOUNT, FIRST_ACCOUNT + count)
    if taken := next((n for n in numbers if n in world.people or n in world.groups), None):
        raise ConfigError(f"the number {taken} is taken; numbers of added accounts begin at {FIRST_ACCOUNT}")
    for number in numbers:
        nick = f"bot-{number - FIRST_ACCOUNT + 1}"
        world.people[number] = Person(
            number=number, nick=nick, password=ACCOUNT_PASSWORD, friends=list(friends)
        )
    for start in range(0, count, GROUP_SIZE):
        number = FIRST_ACCOUNT + start
        members = [*numbers[start : start + GROUP_SIZE], *friends]
        name = f"crowd-{start // GROUP_SIZE + 1}"
        world.groups[number] = Group(number=number, name=name, members=members, owner=members[-1])


def load_world(path: pathlib.Path) -> World:
    """Return the world described by a TOML file.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"cannot read the world: {exc.strerror}", where=str(path)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the world is not valid TOML: {exc}", where=str(path)) from exc
    unknown = set(data) - {"person", "group", "discussion"}
    if unknown:
        raise ConfigError(
            f"unknown table {min(unknown)!r}", where=str(path), hint="person, group or discussion"
        )
    for table in data:
        if not isinstance(data[table], list):
            raise ConfigError(f"write [[{table}]], a table for each", where=str(path))
    people = [_make(Person, row, "person", path) for row in data.get("person", [])]
    groups = [_make(Group, row, "group", path) for row in data.get("group", [])]
    discussions = [_make(Discussion, row, "discussion", path) for row in data.get("discussion", [])]
    world = World(
        people={p.number: p for p in people},
        groups={g.number: g for g in groups},
        discussions={d.did: d for d in discussions},
    )
    _check(world, path)
    return world


def _make(kind: type[Any], row: object, name: str, path: pathlib.Path) -> Any:
    where = f"{path}: [[{name}]]"
    if not isinstance(row, dict):
        raise ConfigError("must be a table", where=where)
    row = dict(row)
    for key in ("marks", "cards"):
        if isinstance(row.get(key), dict):
            row[key] = {int(k): str(v) for k, v in row[key].items() if str(k).isdigit()}
    types = {a.name: a.type for a in attrs.fields(kind)}
    for key, value in row.items():
        if key not in types:
            raise ConfigError(f"unknown key {key!r}", where=where, hint=f"known are: {', '.join(types)}")
        wanted = {"int": int, "str": str}.get(str(types[key]))
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise ConfigError(f"{key} must be {types[key]}, got {value!r}", where=where)
        if key in ("friends", "members") and not (
            isinstance(value, list) and all(type(v) is int for v in value)
        ):
            raise ConfigError(f"{key} must be a list of numbers, got {value!r}", where=where)
        if key in ("marks", "cards") and not isinstance(value, dict):
            raise ConfigError(f"{key} must be a table, got {value!r}", where=where)
    try:
        return kind(**row)
    except TypeError as exc:
        raise ConfigError(str(exc).partition("() ")[2] or str(exc), where=where) from exc


def _check(world: World, path: pathlib.Path) -> None:
    if not world.bots:
        raise ConfigError("no person has a password, so nobody can log in", where=str(path))
    rooms: list[Group | Discussion] = [*world.groups.values(), *world.discussions.values()]
    for room in rooms:
        for number in room.members:
            if number not in world.people:
                raise ConfigError(
                    f"the room {room.name!r} has a member {number} who does not exist", where=str(path)
                )
    for person in world.people.values():
        for number in person.friends:
            if number not in world.people:
                raise ConfigError(f"{person.nick} has a friend {number} who does not exist", where=str(path))
