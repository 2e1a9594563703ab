"""Settings: one TOML file, overridden by the environment, checked as a whole.

``QQOPS_BOT__LANGUAGE=zh`` sets ``bot.language``: the prefix, then the path in capitals, its parts joined by
two underscores. A value is read as TOML, and as plain text when it is none.
"""

from __future__ import annotations

import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

import attrs

from qqops._checks import check_access, check_rooms
from qqops._structure import SettingsFile, nearest, secrets, structure
from qqops.errors import ConfigError
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.questions import Place
from qqops.runtime.storage.blobs import BlobPolicy
from qqops.runtime.storage.datafile import SYNCHRONOUS, StorePolicy
from qqops.runtime.storage.journal import JournalPolicy
from qqops.texts import LANGUAGES

#: Version of the file's layout; a file of a later one is refused rather than misread.
SCHEMA = 1
PREFIX = "QQOPS_"
#: Environment variables with that prefix that are not settings.
NOT_SETTINGS = frozenset({"QQOPS_PLUGINS"})


@attrs.frozen(kw_only=True)
class BotSettings:
    """Table ``[bot]``.

    Attributes:
        language: ``en`` or ``zh``.
        timezone: Time zone in which people mean what they say: ``14:30``, ``tomorrow``.
        prefixes: What a command begins with.
        grace_seconds: How long a shutdown waits for handlers and replies.
        data: Folder for files of the bot (sessions, store, pictures to answer); relative to the settings file.
        ask: Who is asked what only a person can do (captcha, QR code): ``terminal``, ``file``, and rooms as
            ``room:ACCOUNT/ROOM``. All at the same time; the first answer counts.
        ask_missing: Ask for an argument that a command lacks: in private chats, and when it was called by a prefix.
        owners: Who may do everything that no rule denies, each as ``network:account/id``.
        tune_gc: Let Python's garbage collector run less often; long runs pause less.
    """

    language: str = "en"
    timezone: str = "Asia/Shanghai"
    prefixes: tuple[str, ...] = ("/", "／")
    grace_seconds: float = 10.0
    data: str = "qqops-data"
    ask: tuple[str, ...] = ("terminal",)
    ask_missing: bool = True
    owners: tuple[str, ...] = ()
    tune_gc: bool = True


@attrs.frozen(kw_only=True)
class PluginSettings:
    """Table ``[plugins]``; the tables ``[plugins.NAME]`` in it belong to the plugins of these names.

    Attributes:
        only: Load just these; empty for all that are installed.
        off: Leave these out.
    """

    only: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    tables: Mapping[str, dict[str, Any]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class OneRoom:
    """Table ``[rooms.NAME]``, by name or id of the room.

    Attributes:
        language: ``en`` or ``zh``; empty for the bot's.
        timezone: Time zone; empty for the bot's.
        prefixes: What a command begins with there; empty for the bot's.
        account: Which account responds there, where several are; empty for the first one.
    """

    language: str = ""
    timezone: str = ""
    prefixes: tuple[str, ...] = ()
    account: str = ""


@attrs.frozen(kw_only=True)
class Settings:
    """The whole file."""

    schema: int = SCHEMA
    bot: BotSettings = attrs.field(factory=BotSettings)
    plugins: PluginSettings = attrs.field(factory=PluginSettings)
    dispatch: DispatchPolicy = attrs.field(factory=DispatchPolicy)
    outbox: OutboxPolicy = attrs.field(factory=OutboxPolicy)
    journal: JournalPolicy = attrs.field(factory=JournalPolicy)
    blobs: BlobPolicy = attrs.field(factory=BlobPolicy)
    store: StorePolicy = attrs.field(factory=StorePolicy)
    commands: Mapping[str, str] = attrs.field(factory=dict)
    rooms: Mapping[str, OneRoom] = attrs.field(factory=dict)
    roles: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    permissions: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    rules: RulesSettings = attrs.field(factory=RulesSettings)
    accounts: Mapping[str, dict[str, Any]] = attrs.field(factory=dict)

    @property
    def ask_in(self) -> tuple[Place, ...]:
        """The rooms among ``bot.ask``."""
        rooms = [one.removeprefix("room:").partition("/") for one in self.bot.ask if one.startswith("room:")]
        return tuple(Place(account, room) for account, _, room in rooms)

    @property
    def access(self) -> AccessPolicy:
        """Who may do what."""
        return AccessPolicy(
            owners=self.bot.owners, roles=self.roles, permissions=self.permissions, rules=self.rules
        )

    @property
    def room_settings(self) -> RoomSettings:
        """What holds for rooms, as one look-up."""
        languages = {name: room.language for name, room in self.rooms.items() if room.language}
        return RoomSettings(
            default=self.bot.language,
            languages=languages,
            timezone=self.bot.timezone,
            timezones={name: room.timezone for name, room in self.rooms.items() if room.timezone},
            prefixes={name: room.prefixes for name, room in self.rooms.items() if room.prefixes},
            accounts={name: room.account for name, room in self.rooms.items() if room.account},
        )


def load_settings(path: pathlib.Path, environ: Mapping[str, str]) -> tuple[Settings, SettingsFile]:
    """Return the settings of a file, overridden by *environ*.

    Raises:
        ConfigError: The file cannot be read or something in it is wrong; the first mistake is named with
            file, line and key.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(
            f"there is no file {path}", hint="`qqops init` writes one, or name it with -c FILE"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}: {exc}") from exc
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"no valid TOML: {exc}", where=str(path)) from exc
    file = SettingsFile(path, text)
    _override(data, environ, file)
    tables = _plugin_tables(data)
    settings = structure(data, Settings, file, "")
    settings = attrs.evolve(settings, plugins=attrs.evolve(settings.plugins, tables=tables))
    _check(settings, file)
    return settings, file


def _plugin_tables(data: dict[str, Any]) -> Mapping[str, dict[str, Any]]:
    """Take the tables of single plugins out of *data*: what may stand in them is known once they are loaded."""
    table = data.get("plugins")
    if not isinstance(table, dict):
        return {}
    lists = {a.name for a in attrs.fields(PluginSettings) if a.name != "tables"}
    names = [name for name, value in table.items() if isinstance(value, dict) and name not in lists]
    return {name: table.pop(name) for name in names}


def plugin_config(
    settings: Settings, file: SettingsFile | None, environ: Mapping[str, str], plugin: str, cls: type[Any]
) -> Any:
    """Return an object of a plugin's configuration class, from its table. Raises `ConfigError`."""
    key = f"plugins.{plugin}"
    file = file or SettingsFile(pathlib.Path("qqops.toml"), "")
    table = settings.plugins.tables.get(plugin, {})
    return structure(secrets(table, cls, file, key, environ), cls, file, key)


def _check(settings: Settings, file: SettingsFile) -> None:
    if settings.schema > SCHEMA:
        raise ConfigError(
            f"the file has layout {settings.schema}, this qqops knows up to {SCHEMA}",
            where=file.where("schema"),
            hint="update qqops",
        )
    if settings.store.synchronous not in SYNCHRONOUS:
        raise ConfigError(
            f"unknown value {settings.store.synchronous!r}",
            where=file.where("store.synchronous"),
            hint=f"one of: {', '.join(SYNCHRONOUS)}",
        )
    languages = {"bot.language": settings.bot.language}
    languages |= {
        f"rooms.{name}.language": room.language for name, room in settings.rooms.items() if room.language
    }
    for key, language in languages.items():
        if language not in LANGUAGES:
            raise ConfigError(
                f"unknown language {language!r}",
                where=file.where(key),
                hint=f"one of: {', '.join(LANGUAGES)}",
            )
    if not settings.bot.prefixes:
        raise ConfigError("at least one prefix, and none of them blank", where=file.where("bot.prefixes"))
    check_rooms(settings, file)
    for one in settings.bot.ask:
        account, slash, room = one.removeprefix("room:").partition("/")
        if one in ("terminal", "file") or (one.startswith("room:") and account and slash and room):
            continue
        raise ConfigError(
            f"nobody is called {one!r}",
            where=file.where("bot.ask"),
            hint="terminal, file or room:ACCOUNT/ROOM",
        )
    for place in settings.ask_in:
        if place.account not in settings.accounts:
            raise ConfigError(
                f"there is no account {place.account!r}",
                where=file.where("bot.ask"),
                hint=nearest(place.account, settings.accounts),
            )
    check_access(settings, file)
    minimum = {
        "bot.grace_seconds": (settings.bot.grace_seconds, 0), "dispatch.slots": (settings.dispatch.slots, 1),
        "dispatch.per_plugin": (settings.dispatch.per_plugin, 0), "dispatch.backlog": (settings.dispatch.backlog, 1),
        "dispatch.threads": (settings.dispatch.threads, 1), "dispatch.window": (settings.dispatch.window, 1),
        "outbox.size": (settings.outbox.size, 1), "outbox.max_age": (settings.outbox.max_age, 0),
        "dispatch.timeout": (settings.dispatch.timeout, 0.001), "journal.max_age": (settings.journal.max_age, 0),
        "journal.max_starts": (settings.journal.max_starts, 1), "journal.remember": (settings.journal.remember, 60),
        "blobs.max_bytes": (settings.blobs.max_bytes, 1), "blobs.max_total": (settings.blobs.max_total, 1),
        "blobs.max_age": (settings.blobs.max_age, 60),
    }  # fmt: skip
    for key, (value, least) in minimum.items():
        if not value >= least:
            raise ConfigError(f"must be at least {least:g}, got {value:g}", where=file.where(key))


def _override(data: dict[str, Any], environ: Mapping[str, str], file: SettingsFile) -> None:
    """Write the environment's values into *data*, and note in *file* which ones these are."""
    for name, text in environ.items():
        if not name.startswith(PREFIX) or "__" not in name or name in NOT_SETTINGS:
            continue
        *path, last = (part.lower() for part in name[len(PREFIX) :].split("__"))
        table = data
        keys: list[str] = []
        for part in path:
            keys.append(_as_written(part, table))
            inner = table.setdefault(keys[-1], {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{name}: {part!r} is not a table")
            table = inner
        file.overrides[".".join([*keys, _as_written(last, table)])] = text
        try:
            table[_as_written(last, table)] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            table[_as_written(last, table)] = text


def _as_written(part: str, table: Mapping[str, Any]) -> str:
    """Return the key of *table* that *part* means; names may be written in any case there."""
    return next((key for key in table if key.lower() == part), part)
