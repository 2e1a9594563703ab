"""``qqops run``: a bot that runs until it is told to stop."""

from __future__ import annotations

import gc
import linecache
import os
import pathlib
import signal
import sys

import structlog
import trio

from qqops.adapters.base import Operator
from qqops.app import App, End
from qqops.assemble import assembled, strange_variables
from qqops.cli import exits
from qqops.cli.dev import watch
from qqops.cli.folder import held
from qqops.cli.last import LastResort
from qqops.cli.loaded import tell
from qqops.cli.operators import Folder, Terminal
from qqops.errors import ConfigError, StoreError
from qqops.runtime.hidden import Hidden
from qqops.runtime.storage.database import InUse
from qqops.runtime.storage.datafile import DataFile
from qqops.settings import read_settings

log = structlog.get_logger("qqops.run")

_CODES = {End.CLEAN: exits.OK, End.CUT: exits.CUT, End.NO_ACCOUNTS: exits.NO_ACCOUNTS}


def run_bot(path: pathlib.Path, hidden: Hidden, *, narrate: bool = False, dev: bool = False) -> int:
    """Run the bot of a settings file until SIGINT or SIGTERM; return the exit code.

    Args:
        hidden: Learns the secrets of the settings.
        narrate: Tell in the debug log what becomes of every message.
        dev: Reload plugins whose files change.
    """
    if dev:
        # What is compiled is known by the second in which its source was written, and its size; who saves twice in one would
        # get the first. Nothing is written, and what others write (pytest does) is not read: nothing is below a device.
        sys.dont_write_bytecode = True
        sys.pycache_prefix = os.devnull
    reading = read_settings(path, os.environ)
    settings = reading.settings
    # A MB of source that attrs has generated and compiled; the rest of the bot fits in there. What is asked for is read anew.
    linecache.clearcache()

    folder = path.parent / settings.bot.data

    async def main() -> int:
        kinds: dict[str, type[Terminal | Folder]] = {"terminal": Terminal, "file": Folder}
        operators: list[Operator] = [kinds[one](folder) for one in settings.bot.ask if one in kinds]
        app, wrong = assembled(reading, operators, os.environ, folder, hidden)
        if wrong:
            raise ConfigError.of(wrong)
        for mistake in strange_variables(app, reading, os.environ):
            log.warning("a variable that is no setting", variable=mistake.where, hint=mistake.hint)
        if narrate:
            app.narrate()
        if not app.supervisors:
            raise ConfigError("there is no [accounts.NAME] to run", where=str(path))
        await _claim(app)
        if settings.bot.tune_gc:
            # What is loaded by now stays: keep it out of every collection, and collect less often.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 50, 1000)
        return await run_until_signal(app, dev=dev)

    with held(folder):
        return trio.run(main)


async def _claim(app: App) -> None:
    """Raise `ConfigError` when another bot works in the database; one that cannot be opened is waited for later."""
    if app.store is None or isinstance(app.store.file, DataFile):
        return  # the lock on the folder has told
    try:
        await trio.to_thread.run_sync(app.store.file.open)
    except InUse as exc:
        raise ConfigError(str(exc), hint="stop that one, or give this one a store.url of its own") from exc
    except StoreError:
        log.debug("the store cannot be opened at the start")


class _Telling(trio.TaskStatus[None]):
    """Tells what is loaded, once the bot has started: what somebody has unloaded in an earlier run is left out by then."""

    def __init__(self, app: App) -> None:
        self._app = app

    def started(self, value: None = None) -> None:
        """Tell it."""
        tell(self._app)


async def run_until_signal(app: App, *, dev: bool = False) -> int:
    """Run *app*; the first signal stops it in good order, a second one at once. Return the exit code.

    Args:
        dev: Reload plugins whose files change.
    """
    stop = trio.Event()
    ends: list[End] = []
    cut = False
    last = LastResort(app, stop)

    async def bot(nursery: trio.Nursery) -> None:
        try:
            async with trio.open_nursery() as beside:
                if dev:
                    beside.start_soon(watch, app.plugins, name="watch the files")
                ends.append(await app.run(stop, _Telling(app)))
                beside.cancel_scope.cancel(reason="the bot has ended")
        finally:
            last.off()
        nursery.cancel_scope.cancel(reason="the bot has ended")

    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            nursery.start_soon(last.run, name="last resort")
            nursery.start_soon(bot, nursery)
            async for number in signals:
                if stop.is_set():
                    cut = True
                    last.hurry.set()
                    nursery.cancel_scope.cancel(reason="second signal")
                    break
                log.info("signal", signal=signal.Signals(number).name, hint="a second one stops at once")
                stop.set()
    if cut:
        return exits.INTERRUPTED
    return _CODES[ends[0]]
