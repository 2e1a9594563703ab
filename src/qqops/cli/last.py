"""The last resort: ends the process of a bot that does not end, as code of a plugin shields itself against that."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import structlog
import trio

from qqops.app import App
from qqops.cli import exits
from qqops.errors import StoreError
from qqops.runtime.owners import GRACE

log = structlog.get_logger("qqops.run")

#: Seconds after the grace time of the bot (docs: run-a-bot): a reload that is under way has so long for each of the three floors of a plugin.
AFTER_GRACE = 3 * GRACE
#: Seconds after a second signal: whoever cleans up has two, and services do so one after the other where one leans on another.
AFTER_SECOND = 10.0
#: Seconds more when nothing of a plugin is left: the disk may be slow, or another process hold the file.
LAST_WRITE = 30.0
#: Seconds for what has not been written yet when something is left.
WRITE_WITHIN = 2.0


class LastResort:
    """Waits beside a bot that is told to end.

    Args:
        stop: Set when it is told to.
        leave: Ends the process, with an exit code.

    Attributes:
        hurry: To be set at a second signal.
    """

    def __init__(self, app: App, stop: trio.Event, leave: Callable[[int], object] = os._exit) -> None:
        self.hurry = trio.Event()
        self._app = app
        self._stop = stop
        self._leave = leave
        self._scope = trio.CancelScope(shield=True)

    async def run(self) -> None:
        """Wait until the bot has ended (`off`), or end the process."""
        with self._scope:
            await self._stop.wait()
            code = exits.CUT
            with trio.move_on_after(self._app.policy.grace_seconds + AFTER_GRACE):
                await self.hurry.wait()
                code = exits.INTERRUPTED
                await trio.sleep(AFTER_SECOND)
            if self._app.ended.is_set():
                await trio.sleep(LAST_WRITE)
            log.error("the process is ended, as the bot does not end", left=self._left())
            async with trio.open_nursery() as nursery:  # a thread at the disk hears of no cancellation
                written = trio.Event()
                nursery.start_soon(self._write, written, name="what is left to write")
                with trio.move_on_after(WRITE_WITHIN):
                    await written.wait()
                logging.shutdown()
                self._leave(code)

    def off(self) -> None:
        """Do nothing any more: the bot has ended."""
        self._scope.cancel(reason="the bot has ended")

    def _left(self) -> list[str]:
        """Return what plugins have running still, for people."""
        owners = self._app.owners
        return [what for report in self._app.plugins.all() for what in owners.left(report.name)]

    async def _write(self, written: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._app.audit.close, name="audit")
            if not self.hurry.is_set():
                nursery.start_soon(self._write_store, name="store")
        written.set()

    async def _write_store(self) -> None:
        if self._app.store is None:
            return
        try:
            await self._app.store.read(lambda connection: None)
        except StoreError as exc:
            log.error("what was left could not be written", reason=str(exc))  # noqa: TRY400 - one line
