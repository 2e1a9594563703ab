"""What breaks the rules of WebQQ, and what an error must not show of it."""

from __future__ import annotations

from typing import ClassVar

from qqops.errors import ProtocolError, Redaction


class WebQQProtocolError(ProtocolError):
    """The service sent something that breaks the rules of WebQQ."""

    #: Whoever has these values has the session (webqq.md §2); ``p`` is the new ptwebqq of a poll (§12.1, code 116).
    redaction: ClassVar[Redaction] = Redaction(
        {"psessionid", "ptwebqq", "vfwebqq", "skey", "super*", "ptsigx", "qrsig", "verifysession", '"p"'}
    )


excerpt = WebQQProtocolError.redaction.excerpt
