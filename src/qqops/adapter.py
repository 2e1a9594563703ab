"""The door for authors of adapters: what an adapter is given, what it gives, and the connections it may use.

A package with an adapter offers it by the hook `qqops_networks`, which returns a `Network`. `Adapter` says what is asked
of it, `qqops.testing.contract` tests that it does so. WebSockets need the extra ``qqops[onebot]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qqops.adapters.base import (
    Adapter,
    Link,
    Listening,
    Network,
    OnWire,
    Opening,
    Operator,
    Outgoing,
    Poster,
    Question,
    QuestionKind,
    Routed,
    Sender,
)
from qqops.adapters.http.exchange import (
    HttpAnswer,
    HttpRequest,
    Takeover,
    address,
    is_upgrade,
)
from qqops.errors import Mistakes, Redaction
from qqops.model import Capabilities, Clock, Later, Pace, Scope, Secret, combine
from qqops.model.allowed import Between, Bytes, Count, CountOrNone, Form, Number, OneOf, Pause, Seconds

if TYPE_CHECKING:
    from qqops.adapters.http.client import Http, HttpClient, HttpReply
    from qqops.adapters.http.download import download
    from qqops.adapters.http.server import serve_connection
    from qqops.adapters.websocket.handshake import Dial, accept, connect
    from qqops.adapters.websocket.socket import Unauthorized, WebSocket

#: Names that bring a library along; it is loaded when the name is asked for.
_LATER = {
    "Http": "http.client", "HttpClient": "http.client", "HttpReply": "http.client", "download": "http.download",
    "serve_connection": "http.server",
    "Unauthorized": "websocket.socket", "WebSocket": "websocket.socket",
    "Dial": "websocket.handshake", "accept": "websocket.handshake", "connect": "websocket.handshake",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load what brings a library along."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"qqops.adapters.{_LATER[name]}"), name)


__all__ = [
    "Adapter",
    "Between",
    "Bytes",
    "Capabilities",
    "Clock",
    "Count",
    "CountOrNone",
    "Dial",
    "Form",
    "Http",
    "HttpAnswer",
    "HttpClient",
    "HttpReply",
    "HttpRequest",
    "Later",
    "Link",
    "Listening",
    "Mistakes",
    "Network",
    "Number",
    "OnWire",
    "OneOf",
    "Opening",
    "Operator",
    "Outgoing",
    "Pace",
    "Pause",
    "Poster",
    "Question",
    "QuestionKind",
    "Redaction",
    "Routed",
    "Scope",
    "Seconds",
    "Secret",
    "Sender",
    "Takeover",
    "Unauthorized",
    "WebSocket",
    "accept",
    "address",
    "combine",
    "connect",
    "download",
    "is_upgrade",
    "serve_connection",
]
