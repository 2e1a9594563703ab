"""The first door of the gate: what is decided by a command's arguments needs them converted."""

from __future__ import annotations

from qqops.runtime.context import Content, Context
from qqops.runtime.observe import Result
from qqops.runtime.registry import Hit
from qqops.runtime.verdicts import Stage


class Reading:
    """Reads the command line, unless that has been done."""

    stage = Stage.ARGUMENTS

    async def before(self, ctx: Context, hit: Hit) -> Content | None:
        """Fill ``ctx.arguments``. Raises `Refuse` for a line that does not fit."""
        if ctx.arguments is None and hit.handler.spell is not None:
            hit.handler.prepare(ctx, hit.source)
        return None

    def after(self, ctx: Context, hit: Hit, result: Result) -> None:
        """Nothing is left to do."""
