"""Settings of a WebQQ account."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qqops.model import Secret


@attrs.frozen(kw_only=True)
class Options:
    """Settings of a WebQQ account.

    Attributes:
        number: Own QQ number; the QR login finds it out by itself.
        password: For profile webqq2013.
        endpoints: Host → base URL, ``*`` for all others; empty for the service's own addresses.
        poll_hold: Seconds the service holds a poll. Twice that without an answer is a dead session.
        refresh: Seconds between two fetches of the lists.
        send_gap: Seconds between two sends; below 0.5 messages vanish (webqq.md §12.3).
        max_bytes: UTF-8 bytes of text in one message (§12.4).
        status: What others see the account as: online, away, busy, callme, silent or hidden.
        on_kick: ``relogin`` after *kick_pause* seconds, or ``stop``.
        qr_interval: Seconds between two looks at the QR code.
    """

    profile: str = "smartqq"
    number: int = 0
    password: Secret = Secret("")  # noqa: RUF009 - immutable
    endpoints: Mapping[str, str] = attrs.field(factory=dict)
    poll_hold: float = 60.0
    refresh: float = 300.0
    send_gap: float = 0.5
    max_bytes: int = 720
    status: str = "online"
    on_kick: str = "relogin"
    kick_pause: float = 30.0
    qr_interval: float = 2.0
