"""What single settings cannot say by their type: who may do what, what rooms have for themselves, who is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from qqops._structure import nearest
from qqops.errors import ConfigError
from qqops.runtime.gate import Gate
from qqops.runtime.granted import GIVEN_BY_PLACE, AccessPolicy, RulesSettings
from qqops.runtime.zones import time_zone

if TYPE_CHECKING:
    from qqops.settings import BotSettings, OneRoom, Settings

_NO_PREFIX = "at least one prefix, and none of them blank"


def semantic_mistakes(settings: Settings, accounts: Collection[str]) -> Iterator[tuple[str, ConfigError]]:
    """Yield all that is wrong, each with its key.

    Args:
        accounts: Names of the accounts, also of those in which something is wrong.
    """
    yield from _of_rooms(settings, accounts)
    yield from _of_asking(settings, accounts)
    yield from _of_access(settings)
    yield from _of_http(settings)


def _of_http(settings: Settings) -> Iterator[tuple[str, ConfigError]]:
    if not settings.http.private:
        return
    from qqops.adapters.http.addresses import Addresses  # here: hardly anybody has this

    for one in settings.http.private:
        try:
            Addresses([one])
        except ConfigError as exc:
            yield "http.private", exc


def _of_rooms(settings: Settings, accounts: Collection[str]) -> Iterator[tuple[str, ConfigError]]:
    """What a single room may set for itself, and the bot for all of them."""
    if not settings.bot.prefixes:
        yield "bot.prefixes", ConfigError(_NO_PREFIX)
    every: dict[str, BotSettings | OneRoom] = {"bot": settings.bot}
    every |= {f"rooms.{name}": room for name, room in settings.rooms.items()}
    for key, one in every.items():
        if not all(prefix.strip() for prefix in one.prefixes):
            yield f"{key}.prefixes", ConfigError(_NO_PREFIX)
        try:
            time_zone(one.timezone or "UTC")
        except ConfigError as exc:
            yield f"{key}.timezone", exc
    for name, room in settings.rooms.items():
        if room.account and room.account not in accounts:
            yield f"rooms.{name}.account", _no_account(room.account, accounts)


def _of_asking(settings: Settings, accounts: Collection[str]) -> Iterator[tuple[str, ConfigError]]:
    for one in settings.bot.ask:
        account, slash, room = one.removeprefix("room:").partition("/")
        if one in ("terminal", "file"):
            continue
        if not (one.startswith("room:") and account and slash and room):
            hint = "terminal, file or room:ACCOUNT/ROOM"
            yield "bot.ask", ConfigError(f"nobody is called {one!r}", hint=hint)
        elif account not in accounts:
            yield "bot.ask", _no_account(account, accounts)


def _no_account(name: str, accounts: Collection[str]) -> ConfigError:
    return ConfigError(f"there is no account {name!r}", hint=nearest(name, accounts))


def _of_access(settings: Settings) -> Iterator[tuple[str, ConfigError]]:
    """Each owner, member, permission and rule by itself, so that every wrong one is told."""
    for owner in settings.bot.owners:
        yield from _refused("bot.owners", AccessPolicy(owners=(owner,)))
    for role, people in settings.roles.items():
        nobody = list(_refused(f"roles.{role}", AccessPolicy(roles={role: ()})))
        yield from nobody
        for person in people if not nobody else ():
            yield from _refused(f"roles.{role}", AccessPolicy(roles={role: (person,)}))
    for role, permissions in settings.permissions.items():
        key = f"permissions.{role}"
        if role not in GIVEN_BY_PLACE:
            yield from _refused(key, AccessPolicy(roles={role: ()}))
        for permission in permissions:
            yield from _refused(key, AccessPolicy(permissions={role: (permission,)}))
    for rule in settings.rules.allow:
        yield from _refused("rules.allow", AccessPolicy(rules=RulesSettings(allow=(rule,))))
    for rule in settings.rules.deny:
        yield from _refused("rules.deny", AccessPolicy(rules=RulesSettings(deny=(rule,))))


def _refused(key: str, policy: AccessPolicy) -> Iterator[tuple[str, ConfigError]]:
    try:
        Gate(policy)
    except ConfigError as exc:
        yield key, exc
