"""Every setting: what holds, where it comes from, what it means."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from qqops._accounts import Account, AccountSettings
from qqops.errors import excerpt
from qqops.model import Secret
from qqops.plugin.host import Host
from qqops.runtime.named_rooms import PerRoom
from qqops.settings import Reading, Settings

#: Characters of a value that are shown.
MOST = 200


@attrs.frozen(kw_only=True)
class Row:
    """One setting.

    Attributes:
        value: As TOML; a secret as ``***``.
        origin: ``file:line``, or the name of the environment variable; "" for a default.
        meaning: One line; "" where its class says nothing.
    """

    key: str
    value: str
    origin: str
    meaning: str


def rows(reading: Reading, accounts: Sequence[Account], host: Host) -> Iterator[Row]:
    """Yield every setting, table by table.

    Args:
        accounts: Those of the settings.
        host: Says what the tables of plugins may hold.
    """
    at = _Rows(reading)
    meanings = meanings_of(Settings)
    for field in attrs.fields(Settings):
        value = getattr(reading.settings, field.name)
        if field.name == "plugins":
            yield from at.row("plugins.only", value.only, meanings_of(type(value))["only"])
            yield from at.row("plugins.off", value.off, meanings_of(type(value))["off"])
            for name in sorted(host.reports.keys() | value.tables.keys()):
                yield from _plugin(at, name, value.tables.get(name, {}), host)
        elif field.name == "accounts":
            for account in accounts:
                yield from _account(at, account)
        else:
            yield from at.below(field.name, value, meanings.get(field.name, ""))


def _plugin(at: _Rows, name: str, table: Mapping[str, Any], host: Host) -> Iterator[Row]:
    found = host.collected(name)
    if found is not None and found.configs:
        for config in found.configs.values():
            plain = config.plain if isinstance(config, PerRoom) else config
            yield from at.below(f"plugins.{name}", plain)
            for room, own in (config.own if isinstance(config, PerRoom) else {}).items():
                for key in table["rooms"][room]:
                    yield from at.row(f"plugins.{name}.rooms.{room}.{key}", getattr(own, key), "")
        return
    for key in table:  # nobody knows whether that is a secret
        yield from at.row(f"plugins.{name}.{key}", Secret("?"), "")


def _account(at: _Rows, account: Account) -> Iterator[Row]:
    key, meanings = f"accounts.{account.name}", meanings_of(AccountSettings)
    yield from at.row(f"{key}.network", account.network, meanings["network"])
    yield from at.below(key, account.options)
    yield from at.below(f"{key}.link", account.held)


@attrs.frozen
class _Rows:
    """Makes rows of values."""

    reading: Reading

    def below(self, key: str, value: Any, meaning: str = "") -> Iterator[Row]:
        """Yield a row for each setting in *value*, which is *key*."""
        if attrs.has(type(value)):
            meanings = meanings_of(type(value))
            for field in (one for one in attrs.fields(type(value)) if one.init):
                inner = getattr(value, field.name)
                yield from self._inner(f"{key}.{field.name}", inner, meanings.get(field.name, ""))
        elif isinstance(value, Mapping) and value:
            for name, inner in value.items():
                yield from self.below(f"{key}.{name}", inner, meaning)
        else:
            yield from self.row(key, value, meaning)

    def _inner(self, key: str, value: Any, meaning: str) -> Iterator[Row]:
        """A table within options is one setting; what has a class of its own is several."""
        yield from (self.below if attrs.has(type(value)) else self.row)(key, value, meaning)

    def row(self, key: str, value: Any, meaning: str) -> Iterator[Row]:
        """Yield the row of one setting."""
        file = self.reading.file
        origin = file.origin(key) if _stands(file.data, key) else ""
        yield Row(key=key, value=shown(value), origin=origin, meaning=meaning)


def _stands(data: Any, key: str) -> bool:
    """Whether *key* is set in *data*; names in it may have dots themselves."""
    if not isinstance(data, Mapping):
        return False
    if key in data:
        return True
    return any(_stands(data[name], key[len(name) + 1 :]) for name in data if key.startswith(f"{name}."))


def shown(value: Any) -> str:
    """Return *value* as TOML, without secrets."""
    return excerpt(_toml(value), MOST)


def _toml(value: Any) -> str:
    if isinstance(value, Secret):
        return "***" if value else '""'
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_name(str(name))} = {_toml(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list | set | frozenset):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, str | bool | int):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _name(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)


def meanings_of(cls: type[Any]) -> Mapping[str, str]:
    """Return what the docstring of *cls* says of its attributes, each in one line."""
    _, _, section = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    section = re.split(r"\n\S", section)[0]
    found = {}
    for entry in re.split(r"\n(?= {4}\S)", section):
        name, colon, text = entry.strip().partition(":")
        if colon and re.fullmatch(r"\w+", name):
            found[name] = " ".join(text.split())
    return found
