"""One bot at a time in one data folder: two would send everything twice, and each would undo what the other notes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import structlog

from qqops.errors import ConfigError

log = structlog.get_logger("qqops.run")

#: Name of the lock's file; it says who holds it and stays behind, held by nobody.
LOCK = "bot.lock"


@contextlib.contextmanager
def held(folder: pathlib.Path) -> Iterator[None]:
    """Hold *folder* while the block runs; the system takes the lock back when the process ends, however it ends.

    Raises:
        ConfigError: Another process holds it, or it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as exc:
        hint = "choose another folder with bot.data, or give this user the right to write there"
        raise ConfigError(f"the data folder {folder} cannot be used: {exc.strerror}", hint=hint) from exc
    try:
        if sys.platform != "win32":
            _lock(number, folder)
        who = f"process {os.getpid()} on {socket.gethostname()}"
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(number, 0)
            os.lseek(number, 0, os.SEEK_SET)
            os.write(number, who.encode())
        yield
    finally:
        os.close(number)


def _lock(number: int, folder: pathlib.Path) -> None:
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.read(number, 200).decode("utf-8", "replace") or "another process"
        raise ConfigError(
            f"a bot runs in {folder} already: {who}",
            hint="stop that one, or give this one a bot.data of its own",
        ) from None
    except OSError as exc:
        # Some network file systems know no locks. Who has only such a disk must see to it.
        log.warning(
            "the data folder cannot be locked: start no second bot in it",
            folder=str(folder),
            reason=exc.strerror,
        )
