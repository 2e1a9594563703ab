"""Types for parameters that the model has no class for."""

from __future__ import annotations

from typing import Any

import attrs

from qqops.model import MessageRef


@attrs.frozen
class Json:
    """A JSON value that somebody typed; *value* is what it means in Python."""

    value: Any


@attrs.frozen
class Url:
    """A web address that somebody typed, taken apart; only http and https.

    Attributes:
        text: All of it, as it can be requested.
        host: In lower case, without port.
        port: As written, or the scheme's own.
        path: With its query, at least ``/``.
    """

    text: str
    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Quote:
    """The message that the command quotes; it takes no word. ``Quote | None`` when it may be missing."""

    ref: MessageRef
