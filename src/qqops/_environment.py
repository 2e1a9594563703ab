"""The environment's part of the settings: ``QQOPS_BOT__LANGUAGE=zh`` sets ``bot.language``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from qqops._file import SettingsFile, Variable
from qqops.errors import ConfigError, Mistakes

PREFIX = "QQOPS_"
#: Environment variables with that prefix that are not settings.
NOT_SETTINGS = frozenset({"QQOPS_PLUGINS"})


def variable_of(key: str) -> str:
    """Return the name of the variable that sets *key*."""
    return PREFIX + key.upper().replace(".", "__")


def override(
    data: dict[str, Any], environ: Mapping[str, str], file: SettingsFile, mistakes: Mistakes
) -> None:
    """Write the environment's values into *data*, and note in *file* which ones these are.

    A variable from which a secret is fetched is no setting, whatever it is called.
    """
    mine = {name: text for name, text in environ.items() if _sets(name)}
    fetched = {*_fetched(data), *_fetched([_value(text) for text in mine.values()])}
    # A whole table first, then what is in it.
    for name in sorted(mine.keys() - fetched, key=lambda name: (name.count("__"), name)):
        *path, last = (part.lower() for part in name[len(PREFIX) :].split("__"))
        table, keys = data, []
        for part in path:
            keys.append(_as_written(part, table))
            inner = table.setdefault(keys[-1], {})
            if not isinstance(inner, dict):
                mistakes.add(f"there is no table {'.'.join(keys)!r}", where=name)
                break
            table = inner
        else:
            key = _as_written(last, table)
            table[key] = _value(mine[name])
            file.variables[".".join((*keys, key))] = Variable(name, mine[name])


def strange(
    environ: Mapping[str, str],
    data: Mapping[str, Any],
    plugins: Iterable[str],
    keys: Callable[[], Iterable[str]],
) -> Iterator[ConfigError]:
    """Yield a mistake for each variable that looks like a setting and is none.

    Args:
        data: The settings; what they fetch secrets from is fine.
        plugins: Names of the installed plugins: what begins with ``QQOPS_NAME_`` may be the plugin's own.
        keys: Returns every key that can be set; called when there is a variable to be explained.
    """
    fetched = set(_fetched(data))
    names = [name for name in sorted(environ) if name.startswith(PREFIX) and not _sets(name)]
    names = [name for name in names if name not in NOT_SETTINGS and name not in fetched]
    if not names:
        return
    known = {variable_of(key) for key in keys() if "." in key} | NOT_SETTINGS
    by_letters = {name.replace("__", "_"): name for name in sorted(known)}
    own = tuple(f"{PREFIX}{name.upper().replace('-', '_')}_" for name in plugins)
    for name in names:
        meant = by_letters.get(name.upper())
        if meant is None and name.startswith(own):
            continue
        near = [meant] if meant else difflib.get_close_matches(name, known, 1, cutoff=0.75)
        hint = (
            f"did you mean {near[0]}?" if near else "a setting's variable is QQOPS_TABLE__KEY; unset this one"
        )
        yield ConfigError("is no setting", where=name, hint=hint)


def _sets(name: str) -> bool:
    return name.startswith(PREFIX) and "__" in name and name not in NOT_SETTINGS


def _value(text: str) -> Any:
    """Return what *text* means as TOML; itself when it means nothing there."""
    try:
        found = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return text
    return found["v"] if len(found) == 1 else text


def _as_written(part: str, table: Mapping[str, Any]) -> str:
    """Return the key of *table* that *part* means; names may be written in any case there."""
    return next((key for key in table if key.lower() == part), part)


def _fetched(data: Any) -> Iterator[str]:
    """Yield the names of the variables from which *data* fetches secrets."""
    if isinstance(data, Mapping):
        if data.keys() == {"env"} and isinstance(data["env"], str):
            yield data["env"]
        for value in data.values():
            yield from _fetched(value)
    elif isinstance(data, list):
        for value in data:
            yield from _fetched(value)
