"""Settings of a OneBot v11 account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import attrs

from qqops.model import Secret
from qqops.model.allowed import LARGEST, Between, Bytes, Count, Number, Pause, Seconds

#: Most sends that are under way at once over HTTP, where each holds a connection.
MAX_AT_ONCE = 6
#: The largest size there is, in MiB.
LARGEST_MIB = LARGEST // 2**20


@attrs.frozen(kw_only=True)
class OneBotOptions:
    """Settings of a OneBot v11 account. Give *url* or *listen*, or both for HTTP.

    Attributes:
        url: Where the implementation listens: ``ws://127.0.0.1:3001/`` for one connection. For its HTTP side,
            ``http://127.0.0.1:3000``; events then come by HTTP POST to *listen*.
        api_url: For an implementation that has a connection for actions beside the one for events: that one's URL.
        listen: Address on which the implementation calls us (reverse WebSocket, HTTP POST): ``127.0.0.1:8080``.
        path: Accept only this path on *listen*, ``/x/*`` for everything beneath ``/x``; empty for any.
        self_id: Own QQ number. Needed when several accounts share one address to listen on: of those with one path, one
            may do without.
        token: Access token; for HTTP POST also the secret of the signature.
        call_deadline: Seconds for an action.
        upload_deadline: Seconds for an action that carries a file.
        ping_every: Seconds of silence after which the other side is asked for a sign of life.
        ping_patience: Seconds that it has for it.
        send_gap: Seconds between two sends of the account.
        room_gap: Seconds between two sends to one room; bursts get accounts muted.
        jitter: By how much that may be longer, as a part of it.
        in_flight: Most sends that wait for their answer at the same time, one of each room.
        media_folder: Folder in which the implementation finds pictures and files of ours; empty: they travel in the
            frames themselves, which works across machines.
        media_seen_as: The same folder as the implementation sees it, where that is another path.
        max_media: Largest picture or file that is sent or fetched, in MiB.
        media_hosts: Hosts in private networks from which pictures and files may be fetched, such as the one on which the
            implementation keeps them.
        max_bytes: UTF-8 bytes of text in one message; 0 for no limit.
        max_frame: Largest frame that is received, in MiB.
    """

    url: str = ""
    api_url: str = ""
    listen: str = ""
    path: str = ""
    self_id: Number = 0
    token: Secret = Secret("")  # noqa: RUF009 - immutable
    call_deadline: Seconds = 30.0
    upload_deadline: Seconds = 600.0
    ping_every: Seconds = 20.0
    ping_patience: Seconds = 10.0
    send_gap: Pause = 0.0
    room_gap: Pause = 0.5
    jitter: Annotated[float, Between(0, 100)] = 0.3
    in_flight: Count = 64
    media_folder: str = ""
    media_seen_as: str = ""
    max_media: Annotated[float, Between(0, LARGEST_MIB, above=True)] = 30.0
    media_hosts: tuple[str, ...] = ()
    max_bytes: Bytes = 4500
    max_frame: Annotated[int, Between(1, LARGEST_MIB)] = 20


def identity(options: OneBotOptions) -> Mapping[str, str | int]:
    """Return the number, and where its implementation listens: whoever connects there gets all of its messages.

    Of those that connect to one address of ours only those with one number get the same; the listener tells the rest apart.
    """
    known: dict[str, str | int] = {"self_id": options.self_id, "url": options.url.rstrip("/")}
    return {key: value for key, value in known.items() if value}
