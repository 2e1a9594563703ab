"""What breaks the rules of OneBot v11, and what an error must not show of it."""

from __future__ import annotations

from typing import ClassVar

from qqops.errors import ProtocolError, Redaction


class OneBotProtocolError(ProtocolError):
    """The implementation sent something that breaks the rules of OneBot."""

    #: What ``get_cookies`` and ``get_credentials`` answer with: cookies of QQ itself.
    redaction: ClassVar[Redaction] = Redaction({"cookies", "skey", "super*"})


excerpt = OneBotProtocolError.redaction.excerpt
