"""Tables of a settings file → checked values; all mistakes are named, each with its place and key."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import pathlib
import stat
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from qqops._file import SettingsFile, read_text
from qqops.errors import ConfigError, Mistakes
from qqops.model import Secret
from qqops.model.allowed import Allowed

if TYPE_CHECKING:
    import cattrs

#: From table to table down to a key, or to a place in a list.
_Path: TypeAlias = tuple[Any, ...]


def filled(
    table: Mapping[str, Any],
    options: type[Any],
    file: SettingsFile,
    key: str,
    environ: Mapping[str, str],
    known: set[str] | None = None,
) -> Any:
    """Return an object of *options* from *table*, its secrets fetched: from the environment, a private file, or as they stand.

    Args:
        key: Of the table.
        known: Keys to be named where one is unknown; None for those of *options*.

    Raises:
        ConfigError: Something in it is wrong; all of it is named.
    """
    mistakes = Mistakes()
    fetched = with_secrets(table, options, file, key, environ, mistakes)
    with mistakes.noted():
        found = structure(fetched, options, file, key, known)
    mistakes.check()
    return found


def with_secrets(
    table: Mapping[str, Any], options: type[Any], file: SettingsFile, key: str, environ: Mapping[str, str],
    mistakes: Mistakes,
) -> Mapping[str, Any]:  # fmt: skip
    """Return *table* with the secrets of *options* fetched; one that cannot be had is empty, and noted."""
    hints = typing.get_type_hints(options)
    fetched = dict(table)
    for name in [name for name in table if hints.get(name) is Secret]:
        fetched[name] = Secret("")  # so that it is not missing besides
        with mistakes.noted():
            fetched[name] = _secret(table[name], file, f"{key}.{name}", environ)
    return fetched


def is_secret(options: type[Any], name: str) -> bool:
    """Whether the key *name* of *options* holds a secret."""
    return typing.get_type_hints(options).get(name) is Secret


def _secret(value: Any, file: SettingsFile, key: str, environ: Mapping[str, str]) -> Secret:
    where = file.where(key)
    variable = file.variables.get(key)
    if variable is not None and not isinstance(value, dict):
        return Secret(variable.text)  # as it was typed: a password of digits is not a number
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
            text = read_text(path).strip()
        except (OSError, ValueError) as exc:
            raise ConfigError(f"cannot read the secret from {path}: {exc}", where=where) from exc
        except ConfigError as exc:
            raise ConfigError(
                f"the secret's file {exc.where} {exc.message}", where=where, hint=exc.hint
            ) from exc
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
        accepted = (int, float) if kind is float else (kind,)

        def check(value: Any, _: object) -> Any:
            if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
                raise ConfigError(f"must be {shown}, got {value!r}")
            return _finite(value) if kind is float else value

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

    def held(kind: Any) -> Callable[[Any, Any], Any]:
        rules = [one for one in kind.__metadata__ if isinstance(one, Allowed)]

        def check(value: Any, _: object) -> Any:
            found = converter.structure(value, kind.__origin__)
            for rule in rules:
                rule.check(found)
            return found

        return check

    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], texts)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, Any], table)
    converter.register_structure_hook_factory(lambda kind: hasattr(kind, "__metadata__"), held)
    converter.register_structure_hook(Secret, lambda value, _: value)
    return converter


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise ConfigError("must be a finite number, got one of hundreds of digits") from None
    if not math.isfinite(number):
        raise ConfigError(f"must be a finite number, got {number!r}")
    return number


def structure(
    data: Mapping[str, Any], kind: type[Any], file: SettingsFile, key: str, known: set[str] | None = None
) -> Any:
    """Return an object of *kind* from a table as TOML gives it. Raises `ConfigError` that names all mistakes.

    Args:
        key: Of the table; "" for the whole file.
        known: Keys to be named where one is unknown; None for those of *kind*.
    """
    found, wrong = _structured(data, kind, file, key, known)
    if wrong:
        raise ConfigError.of(mistake for _, mistake in wrong)
    return found


def salvaged(data: Mapping[str, Any], kind: type[Any], file: SettingsFile, mistakes: Mistakes) -> Any:
    """Return an object of *kind* from the tables of *file*, without those keys in it that are wrong; they are noted.

    Every key of *kind* has a default.
    """
    found, wrong = _structured(data, kind, file, "", None)
    mistakes.found += [mistake for _, mistake in wrong]
    for path, _ in wrong:
        data = _without(data, path)
    return _structured(data, kind, file, "", None)[0] if wrong else found


def _without(data: Mapping[str, Any], path: _Path) -> Mapping[str, Any]:
    """Return *data* without what lies at *path*; of a list nothing is left."""
    step, *more = path
    inner = data.get(step)
    if more and isinstance(inner, Mapping):
        return {**data, step: _without(inner, tuple(more))}
    return {name: value for name, value in data.items() if name != step}


def _structured(
    data: Mapping[str, Any], kind: type[Any], file: SettingsFile, key: str, known: set[str] | None
) -> tuple[Any, list[tuple[_Path, ConfigError]]]:
    """Return the object, or None and what is wrong, each with its path from *key* on."""
    from cattrs.errors import ClassValidationError, IterableValidationError

    converter = _converter()
    try:
        return converter.structure(data, kind), []
    except (ClassValidationError, IterableValidationError) as exc:
        leaves = list(_leaves(exc, (), kind))
    invalid = list(_invalid(data, kind, converter))
    wrong = list(invalid)
    for leaf, path, cls in leaves:
        if invalid and not path and not _unknown(leaf):
            continue  # the first of the validators has ended it, and all of them are told
        wrong += _told(leaf, path, data, known if cls is kind else None)
    return None, [(path, _placed(mistake, path, file, key)) for path, mistake in wrong]


def _told(
    exc: BaseException, path: _Path, data: Mapping[str, Any], known: set[str] | None
) -> Iterator[tuple[_Path, ConfigError]]:
    """Yield what to say of *exc*, which concerns what lies at *path*, and where that lies."""
    if unknown := _unknown(exc):
        names = known if known is not None else _names(exc.cl)  # type: ignore[attr-defined]
        for wrong in unknown:
            yield (*path, wrong), ConfigError(f"unknown key {wrong!r}", hint=nearest(wrong, names))
    elif isinstance(exc, ConfigError):
        yield path, exc
    elif isinstance(exc, KeyError):
        yield path, ConfigError(f"{exc.args[0]} is missing")
    elif isinstance(exc, TypeError | AttributeError) and not isinstance(_at(data, path), Mapping):
        yield path, ConfigError("must be a table")  # keys were looked for in something that has none
    else:
        yield path, ConfigError(_said(exc))


def _unknown(exc: BaseException) -> list[str]:
    from cattrs.errors import ForbiddenExtraKeysError

    return sorted(exc.extra_fields) if isinstance(exc, ForbiddenExtraKeysError) else []


def _invalid(
    data: Mapping[str, Any], kind: type[Any], converter: cattrs.Converter
) -> Iterator[tuple[_Path, ConfigError]]:
    """Yield what the validators of *kind* say, each for itself: an object that is made ends at the first."""
    checked = [
        a for a in attrs.fields(kind) if a.validator is not None and a.converter is None and a.name in data
    ]
    probe = object.__new__(kind)
    for field in checked:
        with contextlib.suppress(Exception):  # of the wrong type: that is told already
            object.__setattr__(probe, field.name, converter.structure(data[field.name], field.type))
            try:
                field.validator(probe, field, getattr(probe, field.name))
            except Exception as exc:  # noqa: BLE001 - the author's own check
                mistake = exc if isinstance(exc, ConfigError) else ConfigError(_said(exc))
                yield (field.name,), mistake


def _placed(mistake: ConfigError, path: _Path, file: SettingsFile, key: str) -> ConfigError:
    full = ".".join(filter(None, (key, *map(str, path))))
    # What stands nowhere belongs into its table.
    return ConfigError(mistake.message, where=file.where(full, full.rpartition(".")[0]), hint=mistake.hint)


def _at(data: Any, path: _Path) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return data


def _leaves(exc: BaseException, path: _Path, kind: Any) -> Iterator[tuple[BaseException, _Path, Any]]:
    """Yield each exception in a group of cattrs, the path to what it is about, and the class that was being made."""
    if not isinstance(exc, BaseExceptionGroup):
        yield exc, path, kind
        return
    for inner in exc.exceptions:
        note = next(
            (n for n in getattr(inner, "__notes__", []) if hasattr(n, "name") or hasattr(n, "index")), None
        )
        step = getattr(note, "name", None) or getattr(note, "index", None)
        yield from _leaves(inner, path if step is None else (*path, step), getattr(note, "type", kind))


def _said(exc: BaseException) -> str:
    """Return what an exception says; validators of attrs give more than a text."""
    return str(exc.args[0]) if exc.args else type(exc).__name__


def _names(cls: type[Any]) -> set[str]:
    return {a.name for a in attrs.fields(cls)}


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """Return the hint after a word that does not exist: the nearest of *known*, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"
