"""Steps of a conversation with the service that takes several calls.

A flow is a generator: it yields a step and is sent what came of it. Whoever drives it does the waiting, so
that the flow itself is pure, and can be wired back to back with a server in a test.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

import attrs

from qqops.protocol.webqq.http import Request, Response

T = TypeVar("T")


@attrs.frozen
class Call:
    """Make a request; answered with its `Response`. Cookies are taken before the flow sees it."""

    request: Request


@attrs.frozen
class Pause:
    """Wait this many seconds."""

    seconds: float


@attrs.frozen
class AskCaptcha:
    """Ask a person for the letters in a picture; answered with the text, or None when it came too late.

    Attributes:
        lifetime: Seconds after which an answer is worthless.
    """

    picture: bytes
    lifetime: float


@attrs.frozen
class AskRenewal:
    """A picture has gone stale; ask a person whether a fresh one is wanted now. Answered when it is."""


@attrs.frozen
class ShowQR:
    """Show a person a QR picture; not answered."""

    picture: bytes
    refreshed: bool


Step: TypeAlias = Call | Pause | AskCaptcha | AskRenewal | ShowQR
Flow: TypeAlias = Generator[Step, Any, T]


def call(request: Request) -> Flow[Response]:
    """Make one request within a flow."""
    response = yield Call(request)
    assert isinstance(response, Response)
    return response
