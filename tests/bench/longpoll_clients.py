"""The clients that `longpoll.py` measures, one kind per process: ``longpoll_clients.py KIND URL COUNT HOLD``.

A client says ``ready`` when everything but the accounts is there, waits for a line ``go``, logs COUNT accounts in and
holds a poll for each. On ``report`` it writes the latencies of what it has received as JSON, and ends on the spot.

All but `qqops` drive the same two flows of the protocol core, `opening` and `polling`; they differ in how a request
travels and in who waits for it. They log in at most `LOGINS` accounts at a time. `qqops` is the framework as
``qqops run`` sets it up (collector tuned, log lines written), without a file of its own; ``qqops+journal`` has one.
"""

from __future__ import annotations

import array
import gc
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from qqops.protocol.webqq import items, lists, poll
from qqops.protocol.webqq.classify import Verdict
from qqops.protocol.webqq.flow import Call, Flow
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.login import login
from qqops.protocol.webqq.profile import profile
from qqops.protocol.webqq.session import Session

#: Logins at the same time, for the clients that have to bound them.
LOGINS = 64
#: Seconds for a call that is not a poll.
DEADLINE = 20.0
#: QQ number of the first account, and the password of all of them.
FIRST, PASSWORD = 100_000_000, "bench-pass"
#: Logs the accounts in and serves them; returns only when something is wrong.
Start = Callable[[], None]
#: What a counted message begins with; the moment it was said follows, in ns of CLOCK_MONOTONIC.
MARK = "T"


class Bench:
    """What the accounts of one client share."""

    def __init__(self, url: str, count: int, hold: float) -> None:
        self.url, self.count, self.hold = url, count, hold
        self.rng = random.Random(1)
        self.latencies = array.array("q")
        self.errors: list[str] = []

    def note(self, text: str) -> None:
        """Take the latency of a message as it reaches its handler."""
        if text.startswith(MARK):
            self.latencies.append(time.monotonic_ns() - int(text[len(MARK) :]))

    def session(self, index: int) -> Session:
        return Session(profile=profile("webqq2013"), rng=self.rng, number=FIRST + index, hold=self.hold)

    def failed(self, exc: BaseException) -> None:
        self.errors.append(f"{type(exc).__name__}: {exc}"[:200])

    # -- the flows that all but qqops drive -----------------------------------------------------

    def opening(self, session: Session) -> Flow[object]:
        """Log in and fetch the lists, as the adapter does."""
        yield from login(session, PASSWORD)
        friends = yield from lists.friends(session)
        groups = yield from lists.groups(session)
        return friends, groups, (yield from lists.discussions(session))

    def polling(self, session: Session) -> Flow[None]:
        """Poll and hand over for ever."""
        while True:
            response = yield Call(poll.request(session, 2 * self.hold))
            polled = poll.read(session, response)
            if polled.verdict not in (Verdict.OK, Verdict.IDLE):
                raise RuntimeError(polled.cause)
            for item in polled.items:
                if isinstance(item, items.Incoming):
                    self.note("".join(str(getattr(segment, "text", "")) for segment in item.segments))

    def prepare(self, session: Session, request: Request) -> tuple[str, list[tuple[str, str]], bytes, float]:
        """Return target, headers, body and deadline of a request."""
        headers = request.headers(session.cookies.header(request.host))
        body = request.body if request.method == "POST" else b""
        return request.target, headers, body, request.deadline or DEADLINE


def answer(
    session: Session, request: Request, status: int, headers: tuple[tuple[str, str], ...], body: bytes, began: float
) -> Response:  # fmt: skip
    """Take the cookies of an answer and return it for the flow."""
    session.cookies.take(request.host, headers)
    return Response(status=status, headers=headers, body=body, elapsed=time.monotonic() - began)


async def drive(flow: Flow[Any], session: Session, exchange: Callable[..., Any], sleep: Callable) -> Any:
    """Do what *flow* asks for; for asyncio and trio alike."""
    response: Response | None = None
    while True:
        try:
            step = flow.send(response)
        except StopIteration as stop:
            return stop.value
        if isinstance(step, Call):
            response = await exchange(session, step.request)
        else:
            response = await sleep(step.seconds)


# -- threads and urllib -----------------------------------------------------------------------------


def make_threads(bench: Bench) -> Start:
    """One thread per account and a connection per request, as in the first version of 2013."""
    import urllib.request

    threading.stack_size(256 * 1024)  # what is touched counts, not what is reserved
    opener = urllib.request.OpenerDirector()  # no redirects, no cookies: the core sees to both
    opener.add_handler(urllib.request.HTTPHandler())
    gate = threading.Semaphore(LOGINS)

    def exchange(session: Session, request: Request) -> Response:
        began = time.monotonic()
        target, headers, body, deadline = bench.prepare(session, request)
        data = body if request.method == "POST" else None
        asked = urllib.request.Request(bench.url + target, data, dict(headers), method=request.method)
        with opener.open(asked, timeout=deadline) as reply:
            return answer(session, request, reply.status, tuple(reply.getheaders()), reply.read(), began)

    def do(flow: Flow[Any], session: Session) -> Any:
        response: Response | None = None
        while True:
            try:
                step = flow.send(response)
            except StopIteration as stop:
                return stop.value
            response = exchange(session, step.request) if isinstance(step, Call) else time.sleep(step.seconds)

    def account(index: int) -> None:
        while True:
            try:
                session = bench.session(index)
                with gate:
                    kept = do(bench.opening(session), session)
                do(bench.polling(session), session)
                del kept
            except Exception as exc:
                bench.failed(exc)
                time.sleep(1)

    def start() -> None:
        for index in range(bench.count):
            threading.Thread(target=account, args=(index,), daemon=True).start()
        threading.Event().wait()

    return start


# -- aiohttp ----------------------------------------------------------------------------------------


def make_aiohttp(bench: Bench) -> Start:
    """One asyncio task per account, one ClientSession without limits for all."""
    import asyncio

    import aiohttp
    import yarl

    async def main() -> None:
        gate = asyncio.Semaphore(LOGINS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:

            async def exchange(session: Session, request: Request) -> Response:
                began = time.monotonic()
                target, headers, body, deadline = bench.prepare(session, request)
                url = yarl.URL(bench.url + target, encoded=True)
                timeout = aiohttp.ClientTimeout(total=deadline)
                async with http.request(
                    request.method, url, headers=headers, data=body or None, allow_redirects=False,
                    timeout=timeout,
                ) as reply:  # fmt: skip
                    content = await reply.read()
                    return answer(
                        session, request, reply.status, tuple(reply.headers.items()), content, began
                    )

            async def account(index: int) -> None:
                while True:
                    try:
                        session = bench.session(index)
                        async with gate:
                            kept = await drive(bench.opening(session), session, exchange, asyncio.sleep)
                        await drive(bench.polling(session), session, exchange, asyncio.sleep)
                        del kept
                    except Exception as exc:
                        bench.failed(exc)
                        await asyncio.sleep(1)

            await asyncio.gather(*(account(index) for index in range(bench.count)))

    return lambda: asyncio.run(main())


# -- h11 on trio ------------------------------------------------------------------------------------


def make_h11(bench: Bench) -> Start:
    """One trio task and one connection per account, nothing around h11: the limit."""
    import h11
    import trio

    tune_gc()
    parts = urllib.parse.urlsplit(bench.url)

    class Line:
        """The connection of one account."""

        async def __aenter__(self) -> Self:
            self.socket = trio.socket.socket()
            await self.socket.connect((parts.hostname, parts.port))
            self.state = h11.Connection(h11.CLIENT)
            return self

        async def __aexit__(self, *exc: object) -> None:
            self.socket.close()

        async def exchange(self, session: Session, request: Request) -> Response:
            began = time.monotonic()
            target, headers, body, deadline = bench.prepare(session, request)
            if request.method == "POST":
                headers.append(("Content-Length", str(len(body))))
            state = self.state
            data = state.send(h11.Request(method=request.method, target=target, headers=headers))
            data += state.send(h11.Data(data=body)) if body else b""
            with trio.fail_after(deadline):
                await self.socket.send(data + state.send(h11.EndOfMessage()))
                status, found, content = 0, (), b""
                while type(event := state.next_event()) is not h11.EndOfMessage:
                    if event is h11.NEED_DATA:
                        state.receive_data(await self.socket.recv(65536))
                    elif type(event) is h11.Response:
                        status = event.status_code
                        found = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in event.headers)
                    elif type(event) is h11.Data:
                        content += event.data
            state.start_next_cycle()
            return answer(session, request, status, found, content, began)

    async def main() -> None:
        gate = trio.Semaphore(LOGINS)

        async def account(index: int) -> None:
            while True:
                try:
                    session = bench.session(index)
                    async with Line() as line:
                        async with gate:
                            kept = await drive(bench.opening(session), session, line.exchange, trio.sleep)
                        await drive(bench.polling(session), session, line.exchange, trio.sleep)
                        del kept
                except Exception as exc:
                    bench.failed(exc)
                    await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            for index in range(bench.count):
                nursery.start_soon(account, index)

    return lambda: trio.run(main)


# -- qqops ------------------------------------------------------------------------------------------


def tune_gc() -> None:
    """As `qqops.cli.run` does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


def make_qqops(bench: Bench, journal: bool = False) -> Start:
    """The framework itself: one App, an adapter per account, a plugin with a listener. All logins at once."""
    import trio

    from qqops import Message, Plugin
    from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
    from qqops.app import App, AppPolicy
    from qqops.cli import logs
    from qqops.model import AccountRef, Secret
    from qqops.plugin.host import Candidate
    from qqops.runtime.clock import WallClock
    from qqops.runtime.observe import BadData, LinkState, Phase
    from qqops.runtime.outbox import OutboxPolicy
    from qqops.runtime.storage.store import Store
    from qqops.runtime.supervisor import LinkPolicy
    from qqops.testing.bots import Nobody

    logs.configure("text", "info")
    plugin = Plugin("bench")

    @plugin.on(Message)
    async def listener(message: Message) -> None:
        bench.note(message.text)

    def observe(record: object) -> None:
        if isinstance(record, BadData) or (isinstance(record, LinkState) and record.phase is Phase.WAITING):
            bench.errors.append(str(record)[:200])

    store = Store(Path(tempfile.mkdtemp(prefix="longpoll-")) / "qqops.db") if journal else None
    app = App(AppPolicy(), clock=WallClock(), operator=Nobody(), store=store)
    app.host.load(Candidate(name="bench", load=lambda: plugin))
    app.observers.add(observe)

    def start() -> None:
        for index in range(bench.count):
            options = WebQQOptions(
                profile="webqq2013", number=FIRST + index, password=Secret(PASSWORD), endpoints={"*": bench.url},
                poll_hold=bench.hold,
            )  # fmt: skip
            account = AccountRef("webqq", f"bot{index}")
            directory = app.directory if journal else None
            adapter = WebQQ(account, options, clock=app.clock, rng=app.rng, directory=directory)
            app.add_account(adapter, LinkPolicy(), OutboxPolicy())
        tune_gc()
        trio.run(lambda: app.run(trio.Event()))

    return start


# -- the process ------------------------------------------------------------------------------------

CLIENTS: dict[str, Callable[[Bench], Start]] = {
    "qqops": make_qqops,
    "qqops+journal": lambda bench: make_qqops(bench, journal=True),
    "aiohttp": make_aiohttp,
    "threads": make_threads,
    "h11": make_h11,
}


def raise_open_files() -> None:
    """Allow as many open files as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def answer_parent(bench: Bench) -> None:
    """Wait for ``report`` in a thread of its own; the end of the parent ends us, too."""
    if sys.stdin.readline() == "report\n":
        print(json.dumps({"latencies": bench.latencies.tolist(), "errors": bench.errors}), flush=True)
    os._exit(0)


def main() -> None:
    kind, url, count, hold = sys.argv[1:]
    raise_open_files()
    bench = Bench(url, int(count), float(hold))
    start = CLIENTS[kind](bench)
    gc.collect()
    print("ready", flush=True)  # the parent looks at our size now
    if sys.stdin.readline() == "go\n":
        threading.Thread(target=answer_parent, args=(bench,), daemon=True).start()
        start()


if __name__ == "__main__":
    main()
