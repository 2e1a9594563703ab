"""What is said about runs that the last end of the bot has cut off."""

from __future__ import annotations

import structlog

from qqops.runtime.journal import Unfinished
from qqops.runtime.observe import Expired, Interrupted, Observers

log = structlog.get_logger("qqops.dispatch")


def expired(observers: Observers, one: Unfinished) -> None:
    """Tell that *one* is too old to be begun."""
    log.warning("too old to be handled after the restart", message=str(one.message.ref), age=one.age)
    observers.tell(Expired(message=one.message, handler=one.handler, age=one.age))


def interrupted(observers: Observers, one: Unfinished, again: bool, given_up: str) -> None:
    """Tell that *one* had begun.

    Args:
        again: Whether it is begun again.
        given_up: Why not, where it should be.
    """
    log.warning(
        "started before the last end of the bot, and not known to have ended",
        message=str(one.message.ref), handler=one.handler, again=again, **({"given_up": given_up} if given_up else {}),
    )  # fmt: skip
    observers.tell(Interrupted(message=one.message, handler=one.handler, again=again, given_up=given_up))
