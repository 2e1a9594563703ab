"""Real sockets on 127.0.0.1 and the real clock; every test ends by itself."""

import contextlib
import inspect
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
import trio
import trio.lowlevel

from qqops import Ctx, Message, Plugin
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy, End
from qqops.model import AccountRef, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.clock import WallClock
from qqops.runtime.observe import LinkState, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from tests.loopback import _postgres

HERE = Path(__file__).parent
#: Seconds after which a test or a process hangs. No test comes near, also on a machine that has much else to do.
HANGS = 120.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run_bounded))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; `database()` makes an empty database and returns its URL."""
    programs = _postgres.programs()
    if programs is None:
        reason = "no PostgreSQL server is installed here: apt-get install postgresql"
        if os.environ.get("POSTGRES_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = _postgres.Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _run_bounded(function, *, clock=None, instruments=()):
    async def bounded():
        with trio.fail_after(HANGS):
            await function()

    return trio.run(bounded, instruments=instruments)


class Answers:
    """A person who has the right answer at hand."""

    def __init__(self, service):
        self.service = service
        self.asked = []
        self.wrong = 0

    async def ask(self, question):
        self.asked.append(question)
        await trio.lowlevel.checkpoint()
        if self.wrong:
            self.wrong -= 1
            return "XXXX"
        return list(self.service.state.captchas.values())[-1].lower()

    async def show(self, question):
        self.asked.append(question)


@attrs.define
class Rig:
    """A simulator, a bot logged in to it, and what the bot saw."""

    server: Server
    app: App
    operator: Answers
    stop: trio.Event
    handled: list
    states: list
    ends: list

    @property
    def service(self):
        return self.server.service

    @property
    def state(self):
        return self.server.service.state

    @property
    def supervisor(self):
        return self.app.supervisors[0]

    def inject(self, who, text, room=None, kind="group"):
        data = {"kind": kind, "from": who, "text": text}
        if room is not None:
            data["room"] = room
        return self.server.control.inject(data)

    def texts(self):
        return [line.text for line in self.state.sent]

    async def until(self, condition):
        while not condition():
            await trio.sleep(0.01)

    async def until_online(self):
        await self.until(lambda: self.supervisor.state.phase is Phase.ONLINE)

    async def until_sent(self, pattern):
        await self.until(lambda: any(re.search(pattern, text) for text in self.texts()))

    async def until_handled(self, *texts):
        await self.until(lambda: set(texts) <= {m.text for m in self.handled})

    def phases(self):
        return [s.phase for s in self.states]


def make_plugin(handled):
    plugin = Plugin("rig")

    @plugin.command("ping")
    async def ping(ctx: Ctx) -> str:
        return "pong"

    @plugin.command("say")
    async def say(ctx: Ctx, text: str) -> str:
        return text

    @plugin.on(Message)
    async def note(message: Message) -> None:
        handled.append(message)

    return plugin


@contextlib.asynccontextmanager
async def start_rig(profile, *, service_options=None, grace=60.0, limits=None, folder=None, **options):
    """Run a simulator and a bot; yields as soon as both run, not yet online."""
    clock = WallClock()
    # A poll is held for longer than the grace: a shutdown that waits for one is cut off, and that is seen.
    service_options = service_options or ServiceOptions(hold=600.0, seed=1)
    server = Server(Service(clock, options=service_options))
    operator = Answers(server.service)
    handled, states = [], []
    app = App(AppPolicy(seed=1, grace_seconds=grace), clock=clock, operator=operator)
    plugin = make_plugin(handled)
    app.host.load(Candidate(name="rig", load=lambda: plugin))
    app.observers.add(lambda record: states.append(record) if isinstance(record, LinkState) else None)
    stop = trio.Event()
    ends = []
    async with trio.open_nursery() as nursery:
        url = await nursery.start(server.run)
        defaults = {
            "profile": profile, "endpoints": {"*": url}, "poll_hold": service_options.hold, "send_gap": 0.0,
            "qr_interval": 0.02, "kick_pause": 0.1,
        }  # fmt: skip
        if profile == "webqq2013":
            defaults |= {"number": 100200300, "password": Secret("sim-pass-1")}
        adapter = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(**{**defaults, **options}), clock=clock, rng=random.Random(1),
            folder=folder,
        )  # fmt: skip
        link = LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3))
        app.add_account(adapter, link, OutboxPolicy())

        async def run_app():
            ends.append(await app.run(stop))

        nursery.start_soon(run_app)
        rig = Rig(server, app, operator, stop, handled, states, ends)
        yield rig
        stop.set()
        while not ends:
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert ends[0] in (End.CLEAN, End.NO_ACCOUNTS), ends


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


@pytest.fixture
def rig():
    return start_rig


# -- processes ------------------------------------------------------------------------------------


class Forked:
    """A process that `Forks` has started; as `subprocess.Popen`, as far as tests need it."""

    def __init__(self, told, stdout, stderr):
        self._told = told
        self.stdout, self.stderr = stdout, stderr
        self.returncode = None
        self.pid = int(told.readline())

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=HANGS):
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = int(self._told.readline())
        return self.returncode

    def send_signal(self, how):
        if self.poll() is None:
            os.kill(self.pid, how)

    def close(self):
        """End it, and let go of what belongs to it."""
        self.send_signal(signal.SIGKILL)
        self.wait()
        for file in (self._told, self.stdout, self.stderr):
            if file is not None:
                file.close()


class Forks:
    """Starts ``qqops`` and scripts in processes of their own, forked from one that has imported everything already.

    An import takes longer than most of what is tested. Who needs another interpreter starts one: `subprocess` does.
    """

    def __init__(self):
        self._requests, theirs = socket.socketpair()
        script = HERE / "_forked.py"
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, str(script), str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self):
        self._requests.close()
        self._server.wait(HANGS)

    def start(self, program, *arguments, cwd=None, env=None, stdin=None, stdout=None, stderr=None):
        """Start *program*: ``qqops`` or a path. Output goes to pipes where no file is given."""
        asked = {"program": str(program), "arguments": [str(a) for a in arguments], "cwd": str(cwd or Path.cwd()),
                 "env": {**os.environ, **(env or {})}}  # fmt: skip
        with contextlib.ExitStack() as theirs:
            read = []

            def pipe():
                ours, other = os.pipe()
                read.append(open(ours, encoding="utf-8"))  # noqa: SIM115 - `Forked` closes it
                return theirs.enter_context(open(other, "wb"))

            nothing = stdin or theirs.enter_context(open(os.devnull, "rb"))
            told = pipe()
            files = [nothing, stdout or pipe(), stderr or pipe(), told]
            line = json.dumps(asked).encode() + b"\n"
            sent = socket.send_fds(self._requests, [line], [file.fileno() for file in files])
            self._requests.sendall(line[sent:])
        streams = iter(read[1:])
        return Forked(read[0], None if stdout else next(streams), None if stderr else next(streams))

    def run(self, program, *arguments, text="", **more):
        """Run *program* to its end; returns what `subprocess.run` does."""
        with contextlib.ExitStack() as stack:
            stdin, stdout, stderr = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            stdin.write(text.encode())
            stdin.seek(0)
            process = self.start(program, *arguments, stdin=stdin, stdout=stdout, stderr=stderr, **more)
            stack.callback(process.close)
            process.wait()
            shown = []
            for file in (stdout, stderr):
                file.seek(0)
                shown.append(file.read().decode())
            return subprocess.CompletedProcess([program, *arguments], process.returncode, *shown)


@pytest.fixture(scope="session")
def forks():
    forks = Forks()
    yield forks
    forks.close()
