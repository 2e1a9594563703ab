"""A settings file: read as a whole, and asked where a value has come from."""

from __future__ import annotations

import functools
import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import attrs

from qqops._lines import Lines, lines_of
from qqops.errors import ConfigError


@attrs.frozen
class Variable:
    """An environment variable that has set something.

    Attributes:
        text: What stands in it, as it was typed.
    """

    name: str
    text: str = attrs.field(repr=False)


class SettingsFile:
    """A settings file: finds where the value of a key has come from, for messages.

    Args:
        path: The file, for messages and for what is relative to it.
        text: Its content.

    Attributes:
        variables: Key → the environment variable that has set it.
        data: All that is set, by the file and by the environment, as it stands there.
    """

    def __init__(self, path: pathlib.Path, text: str, data: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.variables: dict[str, Variable] = {}
        self.data: Mapping[str, Any] = data if data is not None else {}
        self._text = text

    def where(self, key: str, otherwise: str = "") -> str:
        """Return ``file:line: key``; the name of the variable instead of file and line where one has set it.

        Without a line when the key stands nowhere.

        Args:
            otherwise: Key whose line is named then.
        """
        variable = self.variable(key)
        if variable is not None:
            return f"{variable.name}: {key}"
        line = self._lines.line(key)
        if not line and (beneath := [v for k, v in self.variables.items() if k.startswith(f"{key}.")]):
            return f"{beneath[0].name}: {key}"
        line = line or (self._lines.line(otherwise) if otherwise else 0)
        return f"{self.path}:{line}: {key}" if line else f"{self.path}: {key}"

    def origin(self, key: str) -> str:
        """Return the place of a value that is set: ``file:line``, or the variable's name."""
        return self.where(key).removesuffix(f": {key}")

    def variable(self, key: str) -> Variable | None:
        """Return the variable that has set *key*, or a table around it; None when the file has, or nobody."""
        while key:
            if key in self.variables:
                return self.variables[key]
            key = key.rpartition(".")[0]
        return None

    @functools.cached_property
    def _lines(self) -> Lines:
        return lines_of(self._text)


def read_text(path: pathlib.Path) -> str:
    """Return the text of a file that people have written, with any ends of lines, with or without a BOM.

    Raises:
        OSError: It cannot be read.
        ConfigError: It is no UTF-8; its line is named.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigError("is not UTF-8", where=f"{path}:{line}", hint="save it as UTF-8") from exc
    return text.replace("\r\n", "\n")


def read_toml(text: str, path: pathlib.Path) -> dict[str, Any]:
    """Return the tables of *text*. Raises `ConfigError`, which names the line."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, ValueError) else "it is nested too deeply"
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", reason)
        line = int(place[1] or text.count("\n") + 1) if place else 0
        reason = reason[: place.start()] if place else reason
        where = f"{path}:{line}" if line else str(path)
        raise ConfigError(f"no valid TOML: {reason[:1].lower()}{reason[1:]}", where=where) from exc
