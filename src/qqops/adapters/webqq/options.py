"""Settings of a WebQQ account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import attrs

from qqops.model import Secret
from qqops.model.allowed import Bytes, Form, Number, OneOf, Pause, Seconds
from qqops.protocol.webqq.profile import PROFILES, STATUSES


@attrs.frozen(kw_only=True)
class WebQQOptions:
    """Settings of a WebQQ account.

    Attributes:
        profile: Generation of the service: ``webqq2013``: number and password; ``smartqq``: QR code.
        number: Own QQ number; the QR login finds it out by itself.
        password: For profile webqq2013.
        cipher: How the password is sent: ``md5``; ``tea`` (from March 2015); ``auto`` goes by what the service answers,
            and tries the other one once where that does not tell.
        endpoints: Host, or host and port → base URL, ``*`` for all others; empty for the service's own addresses.
        poll_hold: Seconds the service holds a poll. Twice that without an answer is a dead session.
        call_deadline: Seconds for any call but the poll; clients used 10–30.
        refresh: Seconds between two fetches of the lists.
        send_gap: Seconds between two sends; below 0.5 messages vanish (webqq.md §12.3).
        vary_equal: Add an invisible mark to the second of two equal messages in a row to one room; the service swallows
            it otherwise (§12.4).
        max_bytes: UTF-8 bytes of text in one message (§12.4).
        status: What others see the account as: online, away, busy, callme, silent or hidden. One that is set while the
            bot runs holds until this setting is changed.
        on_kick: ``relogin`` after *kick_pause* seconds, or ``stop``.
        kick_pause: Seconds to wait before that new login.
        qr_interval: Seconds between two looks at the QR code.
        save_session: Keep the login in a private file, so that a restart takes it up again instead of logging in.
            The bot then does not log out when it stops.
        relogin_at: Hour of a planned new login every day, ``04:30`` in local time; empty for none. Sessions live
            one or two days (§12.3) and end at an hour of their own otherwise.
        picture_wait: Seconds that an uploaded picture is given to spread (§12.3).
    """

    profile: Annotated[str, OneOf(tuple(PROFILES))] = "smartqq"
    number: Number = 0
    password: Secret = Secret("")  # noqa: RUF009 - immutable
    cipher: Annotated[str, OneOf(("auto", "md5", "tea"))] = "auto"
    endpoints: Mapping[str, str] = attrs.field(factory=dict)
    poll_hold: Seconds = 60.0
    call_deadline: Seconds = 20.0
    refresh: Seconds = 300.0
    send_gap: Pause = 0.5
    vary_equal: bool = True
    max_bytes: Bytes = 720
    status: Annotated[str, OneOf(STATUSES)] = "online"
    on_kick: Annotated[str, OneOf(("relogin", "stop"))] = "relogin"
    kick_pause: Pause = 30.0
    qr_interval: Seconds = 2.0
    save_session: bool = True
    relogin_at: Annotated[str, Form(r"|([01]?\d|2[0-3]):[0-5]\d", "an hour like 04:30")] = ""
    picture_wait: Pause = 5.0


def identity(options: WebQQOptions) -> Mapping[str, int]:
    """Return the number: of two logins with one number, each would kick the other out, for ever."""
    return {"number": options.number} if options.number else {}
