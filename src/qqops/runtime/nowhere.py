"""Where answers go whose account was removed before their run began: nowhere, and that is said."""

from __future__ import annotations

import structlog
import trio

from qqops.model import Delivery, Draft, Outcome

log = structlog.get_logger("qqops.outbox")

REASON = "the account was removed"


class Nowhere:
    """Refuses everything; see `qqops.runtime.context.Outgoing`."""

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Say that *draft* is not sent."""
        log.warning("not sent", room=str(draft.room), plugin=plugin, message=message, reason=REASON)
        return Outcome(delivery=Delivery.REFUSED, reason=REASON)

    async def send(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Say so, and return it."""
        await trio.lowlevel.checkpoint()
        return self.put(draft, plugin=plugin, message=message)


nowhere = Nowhere()
