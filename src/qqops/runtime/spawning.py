"""Tasks that begin in the context variables of their owner, whoever starts them."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio


class Spawn(Protocol):
    """As `trio.Nursery.start_soon`."""

    def __call__(self, function: Callable[..., Awaitable[object]], /, *args: Any, name: str) -> None:
        """Start *function* in a task called *name*."""


def spawning(nursery: trio.Nursery) -> Spawn:
    """Return what starts tasks in *nursery*, all in the context variables of this moment."""
    context = contextvars.copy_context()

    def spawn(function: Callable[..., Awaitable[object]], /, *args: Any, name: str) -> None:
        context.run(nursery.start_soon, function, *args, name=name)

    return spawn
