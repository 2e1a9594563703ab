"""Settings: one TOML file, overridden by the environment, checked as a whole.

``QQOPS_BOT__LANGUAGE=zh`` sets ``bot.language``: the prefix, then the path in capitals, its parts joined by
two underscores. A value is read as TOML, and as plain text when it is none. All mistakes are told at once.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import attrs

from qqops._checks import semantic_mistakes
from qqops._environment import override
from qqops._file import SettingsFile, read_text, read_toml
from qqops._overrides import configured
from qqops._structure import salvaged, with_secrets
from qqops.errors import ConfigError, Mistakes
from qqops.model.allowed import Between, OneOf, Pause
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.questions import Place
from qqops.runtime.storage.blobs import BlobPolicy
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.journal import JournalPolicy
from qqops.runtime.web import HttpPolicy
from qqops.texts import LANGUAGES

#: Version of the file's layout; a file of a later one is refused rather than misread.
SCHEMA = 1


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

    language: Annotated[str, OneOf(LANGUAGES)] = "en"
    timezone: str = "Asia/Shanghai"
    prefixes: tuple[str, ...] = ("/", "／")
    grace_seconds: Pause = 10.0
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

    language: Annotated[str, OneOf(("", *LANGUAGES))] = ""
    timezone: str = ""
    prefixes: tuple[str, ...] = ()
    account: str = ""


@attrs.frozen(kw_only=True)
class Settings:
    """The whole file.

    Attributes:
        schema: Layout of the file; one of a later qqops is refused.
        commands: Plugin whose command a name calls, where several have one.
        roles: Who has a role, each as ``network:account/id``.
        permissions: What a role may, as ``deploy.run``, ``deploy.*`` or ``*``.
    """

    schema: Annotated[int, Between(1, SCHEMA)] = SCHEMA
    bot: BotSettings = attrs.field(factory=BotSettings)
    plugins: PluginSettings = attrs.field(factory=PluginSettings)
    dispatch: DispatchPolicy = attrs.field(factory=DispatchPolicy)
    outbox: OutboxPolicy = attrs.field(factory=OutboxPolicy)
    journal: JournalPolicy = attrs.field(factory=JournalPolicy)
    blobs: BlobPolicy = attrs.field(factory=BlobPolicy)
    store: StorePolicy = attrs.field(factory=StorePolicy)
    http: HttpPolicy = attrs.field(factory=HttpPolicy)
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


@attrs.frozen(kw_only=True)
class Reading:
    """What a settings file says, as far as it is right.

    Attributes:
        wrong: All that is not; empty when the settings can be used.
    """

    settings: Settings
    file: SettingsFile
    wrong: Sequence[ConfigError]


def read_settings(path: pathlib.Path, environ: Mapping[str, str]) -> Reading:
    """Return the settings of a file, overridden by *environ*; a key or table that is wrong is as if it were left out.

    Raises:
        ConfigError: There is nothing to be had: no such file, no TOML, or one of a later qqops.
    """
    try:
        text = read_text(path)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"there is no file {path}", hint="`qqops init` writes one, or name it with -c FILE"
        ) from exc
    except (OSError, ValueError) as exc:
        raise ConfigError(f"cannot read {path}: {exc}") from exc
    data = read_toml(text, path)
    file = SettingsFile(path, text, data)
    _check_schema(data, file)
    mistakes = Mistakes()
    override(data, environ, file, mistakes)
    core, tables = _plugin_tables(data)
    if isinstance(store := core.get("store"), dict):
        core = {**core, "store": with_secrets(store, StorePolicy, file, "store", environ, mistakes)}
    settings: Settings = salvaged(core, Settings, file, mistakes)
    written = data.get("accounts")
    for key, mistake in semantic_mistakes(settings, written if isinstance(written, dict) else {}):
        mistakes.add(mistake.message, where=file.where(key), hint=mistake.hint)
        table = key.partition(".")[0]
        settings = attrs.evolve(settings, **{table: getattr(Settings(), table)})
    settings = attrs.evolve(settings, plugins=attrs.evolve(settings.plugins, tables=tables))
    return Reading(settings=settings, file=file, wrong=mistakes.found)


def load_settings(path: pathlib.Path, environ: Mapping[str, str]) -> tuple[Settings, SettingsFile]:
    """Return the settings of a file, overridden by *environ*.

    Raises:
        ConfigError: The file cannot be read or something in it is wrong; all mistakes are named with
            file, line and key, or with the variable that has set it.
    """
    reading = read_settings(path, environ)
    if reading.wrong:
        raise ConfigError.of(reading.wrong)
    return reading.settings, reading.file


def _check_schema(data: Mapping[str, Any], file: SettingsFile) -> None:
    """Refuse a file of a later qqops before anything in it is called unknown."""
    schema = data.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigError(
            f"the file has layout {schema}, this qqops knows up to {SCHEMA}",
            where=file.where("schema"),
            hint="update qqops",
        )


def _plugin_tables(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, dict[str, Any]]]:
    """Return *data* without the tables of single plugins, and these: what may stand in them is known once they are loaded."""
    table = data.get("plugins")
    if not isinstance(table, dict):
        return data, {}
    lists = {a.name for a in attrs.fields(PluginSettings) if a.name != "tables"}
    tables = {name: value for name, value in table.items() if isinstance(value, dict) and name not in lists}
    rest = {name: value for name, value in table.items() if name not in tables}
    return {**data, "plugins": rest}, tables


def plugin_config(
    settings: Settings, file: SettingsFile | None, environ: Mapping[str, str], plugin: str, cls: type[Any]
) -> Any:
    """Return an object of a plugin's configuration class, from its table; see `configured`.

    Raises:
        ConfigError: Something in it is wrong; all of it is named.
    """
    file = file or SettingsFile(pathlib.Path("qqops.toml"), "")

    def fetch(keys: Mapping[str, Any], at: str, mistakes: Mistakes) -> Mapping[str, Any]:
        return with_secrets(keys, cls, file, at, environ, mistakes)

    return configured(settings.plugins.tables.get(plugin, {}), cls, file, f"plugins.{plugin}", fetch)
