"""What nothing that the bot writes about its failures may show: the secrets of its settings."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs
import structlog

from qqops.model import Secret

T = TypeVar("T")

#: Characters of the shortest text that is hidden: what is shorter stands in too many words that are no secret.
SHORTEST = 4
#: What stands in its place.
MASK = "***"
#: What holds no text.
_BARE = (type(None), bool, int, float)


class Hidden:
    """Knows secrets, and takes them out of texts: as they stand, and as Python, JSON and URLs write them."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, values: object) -> None:
        """Hide every `Secret` in *values* from now on: in attrs objects, mappings, lists and tuples, however deep."""
        found = {text for secret in _secrets(values) for text in _ways(secret.reveal())} - self._texts
        if found:
            self._texts |= found
            longest_first = sorted(self._texts, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def learned(self, values: T) -> T:
        """Return *values*, their secrets hidden from now on."""
        self.learn(values)
        return values

    def mask(self, text: str) -> str:
        """Return *text* with ``***`` in place of each secret."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def mask_line(
        self, logger: object, method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Take secrets out of a log line, its exception included: a processor for structlog."""
        if self._pattern is not None:
            for key, value in line.items():
                line[key] = self._masked(value)
        return line

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, _BARE):
            return value
        if isinstance(value, dict):
            return {self._masked(key): self._masked(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(one) for one in value]
        try:
            shown = repr(value)  # as it will be written
        except Exception:  # noqa: BLE001 - a value of a plugin
            return f"<{type(value).__name__}, which cannot be printed>"
        masked = self.mask(shown)
        return value if masked == shown else masked


def _secrets(values: object) -> Iterator[Secret]:
    if isinstance(values, Secret):
        yield values
    elif isinstance(values, Mapping):
        for one in values.values():
            yield from _secrets(one)
    elif isinstance(values, list | tuple | set | frozenset):
        for one in values:
            yield from _secrets(one)
    elif attrs.has(type(values)):
        kind: type[Any] = type(values)
        for field in attrs.fields(kind):
            yield from _secrets(getattr(values, field.name, None))


def _ways(text: str) -> Iterator[str]:
    """Yield how *text* may be written; its single lines as well, as a traceback puts something before each.

    Of an address with a password in it that is a secret by itself.
    """
    for one in {text, *text.splitlines(), *_passwords(text)}:
        ways = (
            one, one.strip(), repr(one)[1:-1], json.dumps(one)[1:-1], urllib.parse.quote(one, safe=""),
            urllib.parse.quote(one), urllib.parse.quote_plus(one),
        )  # fmt: skip
        yield from (way for way in ways if len(way) >= SHORTEST)


def _passwords(text: str) -> Iterator[str]:
    if "://" in text:
        with contextlib.suppress(ValueError):
            password = urllib.parse.urlsplit(text).password or ""
            yield from (password, urllib.parse.unquote(password))
