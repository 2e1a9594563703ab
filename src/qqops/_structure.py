"""Tables of a settings file → checked values; every mistake is named with file, line and key."""

from __future__ import annotations

import difflib
import math
import os
import pathlib
import re
import stat
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from qqops.errors import ConfigError
from qqops.model import Secret

if TYPE_CHECKING:
    import cattrs


class SettingsFile:
    """A settings file: finds the line of a key for messages.

    Args:
        path: The file, for messages and for what is relative to it.
        text: Its content.
    """

    def __init__(self, path: pathlib.Path, text: str) -> None:
        self.path = path
        #: Key → text of what the environment has set.
        self.overrides: dict[str, str] = {}
        self._lines = text.splitlines()

    def where(self, key: str, otherwise: str = "") -> str:
        """Return ``file:line: key``; without a line when the key stands nowhere (environment, default).

        Args:
            otherwise: Key whose line is named then.
        """
        line = self._line(key) or (self._line(otherwise) if otherwise else 0)
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
            if entry is None:
                continue
            found = (*section, *(p.strip("\"'") for p in entry[1].split(".")))
            if found == wanted:
                return number
            if found == wanted[: len(found)]:  # in a table that is written in one line
                best = best or number
        return best


def secrets(
    table: Mapping[str, Any], options: type[Any], file: SettingsFile, key: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return *table* with its secrets fetched: from the environment, from a private file, or as they stand."""
    hints = typing.get_type_hints(options)
    return {
        name: _secret(value, file, f"{key}.{name}", environ) if hints.get(name) is Secret else value
        for name, value in table.items()
    }


def is_secret(options: type[Any], name: str) -> bool:
    """Whether the key *name* of *options* holds a secret."""
    return typing.get_type_hints(options).get(name) is Secret


def _secret(value: Any, file: SettingsFile, key: str, environ: Mapping[str, str]) -> Secret:
    where = file.where(key)
    if key in file.overrides and not isinstance(value, dict):
        return Secret(file.overrides[key])  # as it was typed: a password of digits is not a number
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
        except (OSError, ValueError) as exc:
            raise ConfigError(f"cannot read the secret from {path}: {exc}", where=where) from exc
        _must_be_private(path, where, "")
        return Secret(text)
    raise ConfigError('a secret is { env = "NAME" } or { file = "PATH" }', where=where)


def _must_be_private(path: pathlib.Path, where: str, hint: str) -> None:
    if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        advice = f"chmod 600 {path}" + (f", {hint}" if hint else "")
        raise ConfigError(f"{path} holds a secret and others can read it", where=where, hint=advice)


def _converter() -> cattrs.Converter:
    """Return a converter that takes TOML's types as they are: "5" is not a number, 1 is not text."""
    import cattrs  # here: only who has something to convert pays for it

    converter = cattrs.Converter(forbid_extra_keys=True)

    def strict(kind: type[Any], shown: str) -> None:
        def check(value: Any, _: object) -> Any:
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise ConfigError(f"must be {shown}, got {value!r}")
            if kind is float and not math.isfinite(value):
                raise ConfigError(f"must be a finite number, got {value!r}")
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


def structure(
    data: Mapping[str, Any], kind: type[Any], file: SettingsFile, key: str, known: set[str] | None = None
) -> Any:
    from cattrs.errors import ClassValidationError, IterableValidationError

    try:
        return _converter().structure(data, kind)
    except (ClassValidationError, IterableValidationError) as exc:
        raise _first_mistake(exc, kind, file, key, known) from None


def _first_mistake(
    group: BaseException, kind: Any, file: SettingsFile, key: str, known: set[str] | None
) -> ConfigError:
    """Return the first mistake in what cattrs found, named by file, line and key."""
    from cattrs.errors import ForbiddenExtraKeysError

    for exc, path, cls in _walk(group, key, kind):
        if isinstance(exc, ForbiddenExtraKeysError):
            wrong = min(exc.extra_fields)
            names = known if known is not None and cls is kind else {a.name for a in attrs.fields(exc.cl)}
            full = f"{path}.{wrong}" if path else wrong
            return ConfigError(f"unknown key {wrong!r}", where=file.where(full), hint=nearest(wrong, names))
        if isinstance(exc, ConfigError):
            return ConfigError(exc.message, where=file.where(path), hint=exc.hint)
        if isinstance(exc, KeyError):
            # It stands nowhere; its table is where to write it.
            return ConfigError(f"{exc.args[0]} is missing", where=file.where(path, path.rpartition(".")[0]))
        if isinstance(exc, TypeError | AttributeError):  # cattrs looked for keys in something that has none
            return ConfigError("must be a table", where=file.where(path))
        return ConfigError(str(exc) or type(exc).__name__, where=file.where(path))
    return ConfigError(str(group), where=file.where(key))


def _walk(exc: BaseException, path: str, kind: Any) -> Iterator[tuple[BaseException, str, Any]]:
    if not isinstance(exc, BaseExceptionGroup):
        yield exc, path, kind
        return
    for inner in exc.exceptions:
        note = next(
            (n for n in getattr(inner, "__notes__", []) if hasattr(n, "name") or hasattr(n, "index")), None
        )
        step = getattr(note, "name", None) or getattr(note, "index", None)
        below = f"{path}.{step}" if path and step is not None else str(step) if step is not None else path
        yield from _walk(inner, below, getattr(note, "type", kind))


def nearest(word: str, known: typing.Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"
