"""What single settings cannot say by their type: who may do what, and what rooms have for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qqops._structure import SettingsFile, nearest
from qqops.errors import ConfigError
from qqops.runtime.gate import Gate
from qqops.runtime.granted import GIVEN_BY_PLACE, AccessPolicy, RulesSettings
from qqops.runtime.zones import time_zone

if TYPE_CHECKING:
    from qqops.settings import BotSettings, OneRoom, Settings


def check_access(settings: Settings, file: SettingsFile) -> None:
    """Raises `ConfigError` for the first key about access that is wrong."""

    def check(key: str, policy: AccessPolicy) -> None:
        try:
            Gate(policy)
        except ConfigError as exc:
            raise ConfigError(exc.message, where=file.where(key), hint=exc.hint) from None

    check("bot.owners", AccessPolicy(owners=settings.bot.owners))
    for role, people in settings.roles.items():
        check(f"roles.{role}", AccessPolicy(roles={role: people}))
    for role, permissions in settings.permissions.items():
        key = f"permissions.{role}"
        if role not in GIVEN_BY_PLACE:
            check(key, AccessPolicy(roles={role: ()}))
        check(key, AccessPolicy(permissions={role: permissions}))
    check("rules.allow", AccessPolicy(rules=RulesSettings(allow=settings.rules.allow)))
    check("rules.deny", AccessPolicy(rules=RulesSettings(deny=settings.rules.deny)))


def check_rooms(settings: Settings, file: SettingsFile) -> None:
    """Check what a single room may set for itself, and the bot for all of them. Raises `ConfigError`."""
    for name, room in settings.rooms.items():
        if room.account and room.account not in settings.accounts:
            raise ConfigError(
                f"there is no account {room.account!r}",
                where=file.where(f"rooms.{name}.account"),
                hint=nearest(room.account, settings.accounts),
            )
    every: dict[str, BotSettings | OneRoom] = {"bot": settings.bot}
    every |= {f"rooms.{name}": room for name, room in settings.rooms.items()}
    for key, one in every.items():
        if not all(prefix.strip() for prefix in one.prefixes):
            where = file.where(f"{key}.prefixes")
            raise ConfigError("at least one prefix, and none of them blank", where=where)
        try:
            time_zone(one.timezone or "UTC")
        except ConfigError as exc:
            raise ConfigError(exc.message, where=file.where(f"{key}.timezone"), hint=exc.hint) from None
