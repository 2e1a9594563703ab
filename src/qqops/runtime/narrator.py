"""Tells of every message what became of it: one line in the debug log, English, whatever the room speaks."""

from __future__ import annotations

import structlog

from qqops.model import Event, Message
from qqops.runtime.context import Context
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler
from qqops.runtime.verdicts import in_full, line
from qqops.runtime.why import SHOWN
from qqops.texts import Catalogue, Say

log = structlog.get_logger("qqops.messages")


class Narrator:
    """Writes the lines; whoever has one asked for the debug level."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def ran(self, ctx: Context, handler: Handler, result: Result, wait: float, run: float) -> None:
        """A run has ended, or was not let in."""
        verdicts, reason = in_full(ctx.verdicts, result is Result.DONE)
        log.debug(
            result.value, by=handler.key, stages=line(verdicts, self._render), run=ctx.id,
            reason=self._render(reason) if reason is not None else "", wait=round(wait, 3), took=round(run, 3),
            **_about(ctx.event),
        )  # fmt: skip

    def left(self, event: Event, why: str) -> None:
        """*event* has set nothing off."""
        log.debug(why, **_about(event))

    def _render(self, say: Say) -> str:
        return self._catalogue.render(say, "en")


def _about(event: Event | None) -> dict[str, str]:
    """Return what a line says about *event*, besides what `add_run` adds."""
    if event is None:
        return {}
    about = {"kind": type(event).__name__, "account": str(event.account), "message": event.id}
    if event.room is not None:
        about["room"] = event.room.ref.id
    if isinstance(event, Message):
        about["text"] = event.text[:SHOWN]
    return about
