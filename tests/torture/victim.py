"""The bot that soak and torture work on: a process of its own that tells its parent what it does.

Run by `tests.torture.scene` only. Each line it prints is a letter and JSON: what started and ended, what was sent,
which state the connection is in. It watches two files in its folder: ``clock`` moves its wall clock by so many seconds,
``nodns`` breaks its name look-ups.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import pathlib
import random
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import structlog
import trio
import trio.testing

from qqops.adapters.base import Question, QuestionKind
from qqops.adapters.http.client import HttpClient
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.errors import AdapterError
from qqops.model import AccountRef, Message, Secret
from qqops.plugin.host import Candidate
from qqops.plugin.plugin import Plugin
from qqops.runtime.context import Context
from qqops.runtime.observe import Expired, Interrupted, LinkState, Phase, Record, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from tests.torture.waits import BACKOFF, KICK_PAUSE

#: Seconds between two looks at what the process holds.
LOOK_EVERY = 0.25
#: Name that the endpoint is reached under; it is looked up here and nowhere else.
HOST = "webqq.invalid"


def tell(kind: str, /, **data: Any) -> None:
    """Write one line to the parent at once: a kill must not take it along."""
    os.write(1, f"{kind} {json.dumps(data)}\n".encode())


class MovedClock:
    """A wall clock that the file ``clock`` moves."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._file = folder / "clock"

    def now(self) -> datetime.datetime:
        """Return this moment, moved."""
        try:
            moved = float(self._file.read_text() or 0)
        except (OSError, ValueError):
            moved = 0.0
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=moved)


class Resolver(trio.abc.HostnameResolver):
    """Finds `HOST` on this machine, unless the file ``nodns`` exists."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._file = folder / "nodns"

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - trio's name
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Look a name up."""
        await trio.lowlevel.checkpoint()
        if self._file.exists():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return socket.getaddrinfo("127.0.0.1", port, family, type, proto)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Not used."""
        raise OSError("not used")


class Reader:
    """Reads captchas with the simulator's help; QR codes are scanned by the simulator itself."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}/__control/state"

    async def ask(self, question: Question) -> str:
        """Answer at once."""
        await trio.lowlevel.checkpoint()
        if question.kind is QuestionKind.RENEWAL:
            return "new"
        try:
            async with HttpClient() as http:
                reply = await http.call(
                    "GET", self._url, [("Host", HOST)], b"", deadline=2.0, idempotent=True
                )
            return str(json.loads(reply.body)["captcha_answers"][-1])
        except (AdapterError, ValueError, LookupError):
            return "XXXX"  # a person may be wrong, too

    async def show(self, question: Question) -> None:
        """Look at it."""
        await trio.lowlevel.checkpoint()


def make_plugin(rng: random.Random) -> Plugin:
    """Return a plugin that answers ``t17`` with ``r17`` and says when it starts and ends."""
    plugin = Plugin("victim")

    @plugin.on(Message, regex=r"^t(?P<n>\d+)$")
    async def answer(ctx: Context, message: Message, n: int) -> str:
        room = message.room.ref
        tell("S", n=n, room=f"{room.id}/{message.sender.id}", kind=room.kind.value)
        await trio.sleep(rng.random() * 0.05)
        tell("E", n=n)
        return f"r{n}"

    return plugin


def observe(record: Record) -> None:
    """Pass on what the parent wants to know."""
    if isinstance(record, Sent):
        outcome = record.outcome
        tell("O", text=record.draft.text, outcome=outcome.delivery.value, reason=outcome.reason)
    elif isinstance(record, LinkState):
        tell(
            "L",
            at=trio.current_time(),
            phase=record.phase.value,
            cause=record.cause,
            retry_in=record.retry_in,
            attempt=record.attempt,
        )
    elif isinstance(record, Interrupted) and isinstance(record.event, Message):
        tell("I", text=record.event.text, again=record.again)
    elif isinstance(record, Expired) and isinstance(record.event, Message):
        tell("X", text=record.event.text, age=record.age)


def usage() -> dict[str, int]:
    """Return what this process holds: file descriptors, sockets, threads, tasks, memory in kB.

    Trio keeps idle worker threads for ten seconds: these are *spare*, and no leak.
    """
    descriptors = os.listdir("/proc/self/fd")
    sockets = 0
    for one in descriptors:
        try:
            sockets += os.readlink(f"/proc/self/fd/{one}").startswith("socket:")
        except OSError:
            continue
    status = pathlib.Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    root = trio.lowlevel.current_root_task()
    tasks = 0
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        tasks += 1
        waiting.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    spare = sum(thread.name.startswith("Trio thread") for thread in threading.enumerate())
    return {
        "fds": len(descriptors), "sockets": sockets, "threads": threading.active_count() - spare, "spare": spare,
        "tasks": tasks, "rss_kb": rss,
    }  # fmt: skip


async def report_usage() -> None:
    """Say what is held whenever the parent asks with SIGUSR1."""
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        tell("R", pid=os.getpid())
        async for _ in signals:
            gc.collect()
            tell("U", **usage())


async def report_quiet_moments(app: App) -> None:
    """Say what is held whenever the account is online and nothing is being handled or sent."""
    online: float | None = None
    while True:
        await trio.sleep(LOOK_EVERY)
        if app.supervisors[0].state.phase is not Phase.ONLINE:
            continue
        online = trio.current_time() if online is None else online
        if app.idle():
            open_store = app.store is not None and app.store.file.is_open
            tell("Q", up=trio.current_time() - online, store=open_store, **usage())


def main(folder: pathlib.Path, profile: str, port: int, hold: float, seed: int) -> int:
    """Run the bot until a signal."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    clock = MovedClock(folder)
    app = App(
        AppPolicy(seed=seed, grace_seconds=5.0),
        clock=clock,
        operator=Reader(port),
        store=Store(folder / "qqops.db"),
    )
    rng = random.Random(seed)
    app.host.load(Candidate(name="victim", load=lambda: make_plugin(rng)))
    app.observers.add(observe)
    options: dict[str, Any] = {
        "profile": profile, "endpoints": {"*": f"http://{HOST}:{port}"}, "poll_hold": hold, "send_gap": 0.0,
        "qr_interval": 0.05, "kick_pause": KICK_PAUSE, "refresh": 5.0,
        "call_deadline": hold,
    }  # fmt: skip
    if profile == "webqq2013":
        options |= {"number": 100200300, "password": Secret("sim-pass-1")}
    adapter = WebQQ(
        AccountRef("webqq", "main"),
        WebQQOptions(**options),
        clock=clock,
        rng=app.rng,
        folder=folder,
        directory=app.directory,
    )
    link = LinkPolicy(backoff=BACKOFF, connect_within=15.0)
    app.add_account(adapter, link, OutboxPolicy(max_age=120.0))

    async def run() -> int:
        trio.socket.set_custom_hostname_resolver(Resolver(folder))
        stop = trio.Event()

        async def stop_on(signals: AsyncIterator[int]) -> None:
            async for _ in signals:
                stop.set()

        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop_on, signals)
                nursery.start_soon(report_usage)
                await trio.testing.wait_all_tasks_blocked()
                gc.collect()
                tell("B", **usage())
                async with trio.open_nursery() as looking:
                    looking.start_soon(report_quiet_moments, app)
                    await app.run(stop)
                    looking.cancel_scope.cancel()
                gc.collect()
                tell("D", **usage())
                nursery.cancel_scope.cancel()
        return 0

    return trio.run(run)


if __name__ == "__main__":
    sys.exit(
        main(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    )
