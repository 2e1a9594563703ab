"""Requests and answers of a network that calls us, as values; `server` reads and writes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from qqops.errors import ConfigError

if TYPE_CHECKING:
    import trio


@attrs.frozen(kw_only=True)
class HttpRequest:
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query, not decoded."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """Return the first header of that name, or ""."""
        return next((v for k, v in self.headers if k == name), "")


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """What to answer.

    Attributes:
        close: Close the connection without writing anything.
        sent: Called once with whether the whole answer was written.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    close: bool = False
    sent: Callable[[bool], None] = attrs.field(default=lambda ok: None, eq=False)


@attrs.frozen(kw_only=True)
class Takeover:
    """The connection speaks another protocol from here on.

    Attributes:
        serve: Gets the stream and what was read beyond the request; the connection is closed when it returns.
    """

    serve: Callable[[trio.abc.Stream, bytes], Awaitable[None]]


#: Answers a request.
HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpAnswer | Takeover]]


def is_upgrade(request: HttpRequest) -> bool:
    """Whether *request* asks for a WebSocket."""
    return request.header("upgrade").lower() == "websocket"


def address(listen: str) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises `ConfigError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not int(port) < 65536:
        raise ConfigError(
            f"listen must be HOST:PORT, got {listen!r}", hint="127.0.0.1:8080; 0.0.0.0:8080 for all"
        )
    return host.strip("[]"), int(port)
