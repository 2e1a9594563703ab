"""Settings: one TOML file, overridden by the environment, checked as a whole.

``QQOPS_BOT__LANGUAGE=zh`` sets ``bot.language``: the prefix, then the path in capitals, its parts joined by
two underscores. A value is read as TOML, and as plain text when it is none.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import re
import stat
import tomllib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from qqops.adapters.base import Network
from qqops.errors import ConfigError
from qqops.model import Secret
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.rooms import RoomSettings
from qqops.runtime.supervisor import LinkPolicy, Reconnect
from qqops.texts import LANGUAGES

#: Version of the file's layout; a file of a later one is refused rather than misread.
SCHEMA = 1
PREFIX = "QQOPS_"
#: Environment variables with that prefix that are no settings.
NOT_SETTINGS = frozenset({"QQOPS_PLUGINS"})


@attrs.frozen(kw_only=True)
class BotSettings:
    """Table ``[bot]``.

    Attributes:
        language: ``en`` or ``zh``.
        prefixes: What a command begins with.
        grace_seconds: How long a shutdown waits for handlers and replies.
        data: Folder for files of the bot; relative to the settings file.
        tune_gc: Let Python's garbage collector run less often; long runs pause less.
    """

    language: str = "en"
    prefixes: tuple[str, ...] = ("/", "／")
    grace_seconds: float = 10.0
    data: str = "qqops-data"
    tune_gc: bool = True


@attrs.frozen(kw_only=True)
class PluginSettings:
    """Table ``[plugins]``.

    Attributes:
        only: Load just these; empty for all that are installed.
        off: Leave these out.
    """

    only: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class OneRoom:
    """Table ``[rooms.NAME]``, by name or id of the room.

    Attributes:
        language: ``en`` or ``zh``; empty for the bot's.
    """

    language: str = ""


@attrs.frozen(kw_only=True)
class AccountSettings:
    """What every ``[accounts.NAME]`` may say, whatever its network.

    Attributes:
        network: Kind of network; the remaining keys depend on it.
        reconnect: ``always``, ``on-transient``, ``never`` or ``exit``.
        retry_first: Seconds of the first back-off window.
        retry_cap: Longest back-off window in seconds.
        retry_stable: Seconds online after which failed attempts are forgotten.
        connect_within: Seconds in which a session must come online or prove that it is getting there.
    """

    network: str
    reconnect: str = "always"
    retry_first: float = 1.0
    retry_cap: float = 60.0
    retry_stable: float = 60.0
    connect_within: float = 120.0


@attrs.frozen(kw_only=True)
class Account:
    """One account, checked.

    Attributes:
        options: An object of the network's own options class.
    """

    name: str
    network: str
    link: LinkPolicy
    options: Any


@attrs.frozen(kw_only=True)
class Settings:
    """The whole file."""

    schema: int = SCHEMA
    bot: BotSettings = attrs.field(factory=BotSettings)
    plugins: PluginSettings = attrs.field(factory=PluginSettings)
    dispatch: DispatchPolicy = attrs.field(factory=DispatchPolicy)
    outbox: OutboxPolicy = attrs.field(factory=OutboxPolicy)
    rooms: Mapping[str, OneRoom] = attrs.field(factory=dict)
    accounts: Mapping[str, dict[str, Any]] = attrs.field(factory=dict)

    @property
    def room_settings(self) -> RoomSettings:
        """What holds for rooms, as one look-up."""
        languages = {name: room.language for name, room in self.rooms.items() if room.language}
        return RoomSettings(default=self.bot.language, languages=languages)


class SettingsFile:
    """A settings file: finds the line of a key for messages.

    Args:
        path: The file, for messages and for what is relative to it.
        text: Its content.
    """

    def __init__(self, path: pathlib.Path, text: str) -> None:
        self.path = path
        self._lines = text.splitlines()

    def where(self, key: str) -> str:
        """Return ``file:line: key``; without a line when the key stands nowhere (environment, default)."""
        line = self._line(key)
        return f"{self.path}:{line}: {key}" if line else f"{self.path}: {key}"

    def _line(self, key: str) -> int:
        section: tuple[str, ...] = ()
        wanted = tuple(key.split("."))
        best = 0
        for number, text in enumerate(self._lines, 1):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", text)
            if header:
                section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
                best = best or (number if section == wanted else 0)
                continue
            entry = re.match(r"\s*([\w.\-\"']+)\s*=", text)
            if entry and (*section, *(p.strip("\"'") for p in entry[1].split("."))) == wanted:
                return number
        return best


def load_settings(path: pathlib.Path, environ: Mapping[str, str]) -> tuple[Settings, SettingsFile]:
    """Return the settings of a file, overridden by *environ*.

    Raises:
        ConfigError: The file cannot be read or something in it is wrong; the first mistake is named with
            file, line and key.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(f"there is no file {path}", hint="`qqops init` writes one, or name it with -c FILE") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}: {exc}") from exc
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"no valid TOML: {exc}", where=str(path)) from exc
    file = SettingsFile(path, text)
    _override(data, environ)
    settings = _structure(data, Settings, file, "")
    _check(settings, file)
    return settings, file


def accounts(
    settings: Settings, file: SettingsFile, networks: Mapping[str, Network], environ: Mapping[str, str]
) -> list[Account]:
    """Return the accounts, each checked against the options of its network. Raises `ConfigError`."""
    found = []
    for name, table in settings.accounts.items():
        key = f"accounts.{name}"
        common_names = {a.name for a in attrs.fields(AccountSettings)}
        if "network" not in table:
            raise ConfigError("network is missing", where=file.where(key), hint=f"one of: {', '.join(networks)}")
        network = networks.get(table["network"])
        if network is None:
            near = _nearest(str(table["network"]), networks)
            raise ConfigError(
                f"unknown network {table['network']!r}", where=file.where(f"{key}.network"), hint=near
            )
        common = _structure({k: v for k, v in table.items() if k in common_names}, AccountSettings, file, key)
        own = {k: v for k, v in table.items() if k not in common_names}
        known = common_names | {a.name for a in attrs.fields(network.options)}
        options = _structure(_secrets(own, network.options, file, key, environ), network.options, file, key, known)
        found.append(Account(name=name, network=network.name, link=_link(common, file, key), options=options))
    _check_twice(found, file)
    return found


def _link(common: AccountSettings, file: SettingsFile, key: str) -> LinkPolicy:
    try:
        reconnect = Reconnect(common.reconnect)
    except ValueError:
        choices = ", ".join(r.value for r in Reconnect)
        raise ConfigError(
            f"unknown value {common.reconnect!r}", where=file.where(f"{key}.reconnect"), hint=f"one of: {choices}"
        ) from None
    for name in ("retry_first", "retry_cap", "connect_within"):
        if not getattr(common, name) > 0:
            raise ConfigError(
                f"must be > 0 seconds, got {getattr(common, name):g}", where=file.where(f"{key}.{name}")
            )
    backoff = BackoffPolicy(first=common.retry_first, cap=common.retry_cap, stable=common.retry_stable)
    return LinkPolicy(reconnect=reconnect, backoff=backoff, connect_within=common.connect_within)


def _check_twice(found: list[Account], file: SettingsFile) -> None:
    """Refuse one QQ number under two names: each login would kick the other out, for ever."""
    seen: dict[tuple[str, object], str] = {}
    for account in found:
        number = getattr(account.options, "number", 0)
        if number and (other := seen.setdefault((account.network, number), account.name)) != account.name:
            raise ConfigError(
                f"{number} is the account {other!r} already", where=file.where(f"accounts.{account.name}.number")
            )


def _check(settings: Settings, file: SettingsFile) -> None:
    if settings.schema > SCHEMA:
        raise ConfigError(
            f"the file has layout {settings.schema}, this qqops knows up to {SCHEMA}",
            where=file.where("schema"),
            hint="update qqops",
        )
    languages = {"bot.language": settings.bot.language}
    languages |= {f"rooms.{name}.language": room.language for name, room in settings.rooms.items() if room.language}
    for key, language in languages.items():
        if language not in LANGUAGES:
            raise ConfigError(
                f"unknown language {language!r}", where=file.where(key), hint=f"one of: {', '.join(LANGUAGES)}"
            )
    if not settings.bot.prefixes or not all(p.strip() for p in settings.bot.prefixes):
        raise ConfigError("at least one prefix, and none of them blank", where=file.where("bot.prefixes"))
    minimum = {
        "bot.grace_seconds": (settings.bot.grace_seconds, 0), "dispatch.slots": (settings.dispatch.slots, 1),
        "dispatch.per_plugin": (settings.dispatch.per_plugin, 1), "dispatch.backlog": (settings.dispatch.backlog, 1),
        "dispatch.threads": (settings.dispatch.threads, 1), "dispatch.window": (settings.dispatch.window, 1),
        "outbox.size": (settings.outbox.size, 1), "outbox.max_age": (settings.outbox.max_age, 0),
        "dispatch.timeout": (settings.dispatch.timeout, 0.001),
    }  # fmt: skip
    for key, (value, least) in minimum.items():
        if not value >= least:
            raise ConfigError(f"must be at least {least:g}, got {value:g}", where=file.where(key))


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Write the environment's values into *data*."""
    for name, text in environ.items():
        if not name.startswith(PREFIX) or "__" not in name or name in NOT_SETTINGS:
            continue
        *path, last = (part.lower() for part in name[len(PREFIX) :].split("__"))
        table = data
        for part in path:
            inner = table.setdefault(_as_written(part, table), {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{name}: {part!r} is no table")
            table = inner
        try:
            table[_as_written(last, table)] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            table[_as_written(last, table)] = text


def _as_written(part: str, table: Mapping[str, Any]) -> str:
    """Return the key of *table* that *part* means; names may be written in any case there."""
    return next((key for key in table if key.lower() == part), part)


# -- values ------------------------------------------------------------------------------------------


def _secrets(
    table: Mapping[str, Any], options: type[Any], file: SettingsFile, key: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return *table* with its secrets fetched: from the environment, from a private file, or as they stand."""
    hints = typing.get_type_hints(options)
    return {
        name: _secret(value, file, f"{key}.{name}", environ) if hints.get(name) is Secret else value
        for name, value in table.items()
    }


def _secret(value: Any, file: SettingsFile, key: str, environ: Mapping[str, str]) -> Secret:
    where = file.where(key)
    if isinstance(value, str):
        _must_be_private(file.path, where, 'or write { env = "NAME" } instead of the secret')
        return Secret(value)
    if isinstance(value, dict) and set(value) == {"env"}:
        name = str(value["env"])
        if not environ.get(name):
            raise ConfigError(f"the environment variable {name} is not set", where=where)
        return Secret(environ[name])
    if isinstance(value, dict) and set(value) == {"file"}:
        path = file.path.parent / str(value["file"])
        try:
            text = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"cannot read the secret from {path}: {exc}", where=where) from exc
        _must_be_private(path, where, "")
        return Secret(text)
    raise ConfigError('a secret is { env = "NAME" } or { file = "PATH" }', where=where)


def _must_be_private(path: pathlib.Path, where: str, hint: str) -> None:
    if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        advice = f"chmod 600 {path}" + (f", {hint}" if hint else "")
        raise ConfigError(f"{path} holds a secret and others can read it", where=where, hint=advice)


def _converter() -> cattrs.Converter:
    """Return a converter that takes TOML's types as they are: "5" is no number, 1 is no text."""
    converter = cattrs.Converter(forbid_extra_keys=True)

    def strict(kind: type[Any], shown: str) -> None:
        def check(value: Any, _: object) -> Any:
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise ConfigError(f"must be {shown}, got {value!r}")
            return value

        converter.register_structure_hook(kind, check)

    strict(str, "a text")
    strict(int, "a whole number")
    strict(float, "a number")
    strict(bool, "true or false")

    def texts(value: Any, _: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise ConfigError(f"must be a list of texts, got {value!r}")
        return tuple(value)

    def table(value: Any, _: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ConfigError(f"must be a table, got {value!r}")
        return value

    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], texts)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, Any], table)
    converter.register_structure_hook(Secret, lambda value, _: value)
    return converter


def _structure(
    data: Mapping[str, Any], kind: type[Any], file: SettingsFile, key: str, known: set[str] | None = None
) -> Any:
    try:
        return _converter().structure(data, kind)
    except (ClassValidationError, IterableValidationError) as exc:
        raise _first_mistake(exc, kind, file, key, known) from None


def _first_mistake(
    group: BaseException, kind: Any, file: SettingsFile, key: str, known: set[str] | None
) -> ConfigError:
    """Return the first mistake in what cattrs found, named by file, line and key."""
    for exc, path, cls in _walk(group, key, kind):
        if isinstance(exc, ForbiddenExtraKeysError):
            wrong = sorted(exc.extra_fields)[0]
            names = known if known is not None and cls is kind else {a.name for a in attrs.fields(exc.cl)}
            full = f"{path}.{wrong}" if path else wrong
            return ConfigError(f"unknown key {wrong!r}", where=file.where(full), hint=_nearest(wrong, names))
        if isinstance(exc, ConfigError):
            return ConfigError(exc.message, where=file.where(path), hint=exc.hint)
        if isinstance(exc, KeyError):
            return ConfigError(f"{exc.args[0]} is missing", where=file.where(path))
        if isinstance(exc, TypeError | AttributeError):  # cattrs looked for keys in something that has none
            return ConfigError("must be a table", where=file.where(path))
        return ConfigError(str(exc) or type(exc).__name__, where=file.where(path))
    return ConfigError(str(group), where=file.where(key))


def _walk(exc: BaseException, path: str, kind: Any) -> Iterator[tuple[BaseException, str, Any]]:
    if not isinstance(exc, BaseExceptionGroup):
        yield exc, path, kind
        return
    for inner in exc.exceptions:
        note = next((n for n in getattr(inner, "__notes__", []) if hasattr(n, "name") or hasattr(n, "index")), None)
        step = getattr(note, "name", None) or getattr(note, "index", None)
        below = f"{path}.{step}" if path and step is not None else str(step) if step is not None else path
        yield from _walk(inner, below, getattr(note, "type", kind))


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"


