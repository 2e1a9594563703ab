"""What thousands of held polls cost: ``python tests/bench/longpoll.py [--accounts 100,1000,5000] [--clients …]``.

For each kind of client and each N a fresh WebQQ simulator and a fresh client process are started; only the client is
measured. The world: N accounts (profile webqq2013, password), all of them friends of one person, and a few groups.
`longpoll_clients` says what the clients are; aiohttp must be installed for that one (``uv pip install aiohttp``).

1. The client logs in all accounts (login page to lists, by the protocol core itself) and holds a poll for each.
   *online* is the time from its start signal until the simulator holds N polls; *RSS* is what the process has grown by
   then, per account, against right before the first account, which includes what the first one loads. qqops starts all
   logins at once; all others log in at most 64 accounts at a time.
2. Idle, for as long as the simulator holds a poll: each is renewed once. CPU per request and per account and hour.
   qqops does more here than the others: the heartbeat of 2013 (one request a minute), the real numbers of groups.
3. One message to each account, not counted: connections and names are warm then.
4. The simulator says *rate* messages a second to random accounts for *seconds*. The moment stands in the text;
   *latency* ends where the handler has the text. CPU is that of the client over the whole phase, per message that
   arrived; it includes the next poll of the account. For qqops the handler is a plugin's listener, behind parser,
   roster, duplicate check, filters and the worker of the room; for the others it is the loop itself.

CPU per message falls with the rate, for every client: what wakes up every 10 ms finds cold caches. T12 is meant at
``--rate 300``, T13 at 100; and a machine on which nothing else runs.

*sim* is how busy the simulator was while the accounts came online: near 1 it, and not the client, sets the pace; then
*CPU to online* is the better comparison. With ``--rounds`` the medians are shown. Nothing here fails by time except a
client that is not online within ``--within`` seconds: its row says so.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import random
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio
from longpoll_clients import CLIENTS, FIRST, MARK, PASSWORD, raise_open_files

from qqops.model import Text
from qqops.runtime.clock import WallClock
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import State
from qqops.simulator.world import Group, Person, World

FRIEND = 20_001
#: Groups, and accounts in each of them.
GROUPS, MEMBERS = 4, 20
#: Messages on the way at once while everything is warmed up.
WARM = 32
#: Seconds after coming online and before the idle time, and for the last messages to arrive.
SETTLE, ARRIVE = 2.0, 10.0

Row = dict[str, Any]


# -- the simulator's process ------------------------------------------------------------------------


def make_world(count: int) -> World:
    numbers = range(FIRST, FIRST + count)
    people = {n: Person(number=n, nick=f"bot{n}", password=PASSWORD, friends=[FRIEND]) for n in numbers}
    people[FRIEND] = Person(number=FRIEND, nick="Ali", friends=list(numbers))
    groups = {}
    for index in range(GROUPS):
        members = [FRIEND, *numbers[index * MEMBERS : (index + 1) * MEMBERS]]
        groups[30_000 + index] = Group(number=30_000 + index, name=f"group{index}", members=members)
    return World(people=people, groups=groups)


class Simulator:
    """The service in its own process; commands by lines: ``held SECONDS``, ``warm``, ``say RATE SECONDS``, ``requests``."""

    def __init__(self, count: int, hold: float) -> None:
        options = ServiceOptions(profile="webqq2013", hold=hold, seed=1)
        self.count = count
        self.service = Service(WallClock(), make_world(count), options)
        self.rng = random.Random(2)

    @property
    def state(self) -> State:
        return self.service.state

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(Server(self.service).run)
            gc.freeze()
            gc.set_threshold(50_000, 50, 1000)
            print(url, flush=True)
            async for line in trio.wrap_file(sys.stdin):
                name, *numbers = line.split()
                answer = await getattr(self, name)(*map(float, numbers))
                print(json.dumps(answer), flush=True)
            nursery.cancel_scope.cancel()

    def say(self, account: int, text: str) -> None:
        self.state.say(FRIEND, "buddy", account, (Text(text),), self.service.now())

    async def held(self, seconds: float) -> Row:
        """Wait until every account has a poll here; say how many have, and when that was."""
        held = -1
        with trio.move_on_after(seconds):
            while held < self.count:
                await trio.sleep(0.02)
                held = sum(1 for session in self.state.live.values() if session.hold is not None)
        return {"held": held, "at": time.monotonic()}

    async def warm(self) -> None:
        with trio.move_on_after(self.count / 20 + 10):
            for account in range(FIRST, FIRST + self.count):
                while self.state.injected - self.state.answered >= WARM:
                    await trio.sleep(0.005)
                self.say(account, "warm")

    async def inject(self, rate: float, seconds: float) -> int:
        """Say something to random accounts, evenly spaced; return how often."""
        began = trio.current_time()
        for index in range(round(rate * seconds)):
            await trio.sleep_until(began + index / rate)
            self.say(FIRST + self.rng.randrange(self.count), f"{MARK}{time.monotonic_ns()}")
        with trio.move_on_after(ARRIVE):
            while self.state.answered < self.state.injected:
                await trio.sleep(0.02)
        return round(rate * seconds)

    async def requests(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.service.requests


# -- the parent -------------------------------------------------------------------------------------


class Gone(Exception):
    """A process did not answer, or not in time."""


class Child:
    """A process that is talked to by lines."""

    def __init__(self, *args: object) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        here = Path(__file__).parent
        command = [sys.executable, *(str(here / a) if str(a).endswith(".py") else str(a) for a in args)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.errors, text=True)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def hear(self, within: float) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            code = None if not ready else self.process.wait(10)
            what = "said nothing" if code is None else f"ended with {code}"
            raise Gone(f"{' '.join(map(str, self.process.args[2:4]))} {what}: {self.last_words()}")
        return line.strip()

    def ask(self, line: str, within: float = 60.0) -> Any:
        self.tell(line)
        return json.loads(self.hear(within))

    def last_words(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-300:].strip()

    @property
    def cpu(self) -> float:
        """CPU seconds of the process: its clock as the kernel numbers them, finer than the ticks of /proc."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    @property
    def rss(self) -> int:
        """kB that are in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def measure(kind: str, count: int, args: argparse.Namespace) -> Row:
    """Return one row, or what went wrong."""
    row: Row = {"client": kind, "accounts": count}
    with contextlib.ExitStack() as stack:
        try:
            simulator = Child("longpoll.py", "simulator", count, args.hold)
            stack.callback(simulator.end)
            url = simulator.hear(60)
            client = Child("longpoll_clients.py", kind, url, count, args.hold)
            stack.callback(client.end)
            client.hear(60)
            come_online(row, simulator, client, args)
            stay_idle(row, simulator, client, args)
            get_messages(row, simulator, client, args)
        except Gone as exc:
            row["failed"] = str(exc)
    return row


def come_online(row: Row, simulator: Child, client: Child, args: argparse.Namespace) -> None:
    count, before, spent, busy = row["accounts"], client.rss, client.cpu, simulator.cpu
    began = time.monotonic()
    client.tell("go")
    held = simulator.ask(f"held {args.within}", args.within + 60)
    if held["held"] < count:
        raise Gone(f"{held['held']} of {count} online after {args.within:g} s; {client.last_words()}")
    row["online_s"] = held["at"] - began
    row["online_cpu_ms"] = (client.cpu - spent) / count * 1e3
    row["simulator"] = (simulator.cpu - busy) / row["online_s"]
    row["rss_kb"] = (client.rss - before) / count


def stay_idle(row: Row, simulator: Child, client: Child, args: argparse.Namespace) -> None:
    time.sleep(SETTLE)
    seconds = args.idle or args.hold
    asked, spent = simulator.ask("requests"), client.cpu
    time.sleep(seconds)
    spent, asked = client.cpu - spent, simulator.ask("requests") - asked
    row["idle_requests"] = asked
    row["idle_ms_per_request"] = spent / max(asked, 1) * 1e3
    row["idle_s_per_hour"] = spent / row["accounts"] / seconds * 3600


def get_messages(row: Row, simulator: Child, client: Child, args: argparse.Namespace) -> None:
    simulator.ask("warm", row["accounts"] / 10 + 60)
    simulator.ask(f"held {args.within}", args.within + 60)
    spent = client.cpu
    row["injected"] = simulator.ask(f"inject {args.rate} {args.seconds}", args.seconds + ARRIVE + 60)
    time.sleep(0.5)
    spent = client.cpu - spent
    row["rss_end_kb"] = client.rss
    report = client.ask("report")
    found = sorted(ns / 1e6 for ns in report["latencies"])
    row["delivered"] = len(found)
    row["errors"] = len(report["errors"])
    row["first_error"] = next(iter(report["errors"]), "")
    if not found:
        raise Gone(f"nothing was delivered; {row['first_error']}")
    row["p50_ms"], row["p99_ms"], row["max_ms"] = (
        found[len(found) // 2],
        found[len(found) * 99 // 100],
        found[-1],
    )
    row["cpu_us"] = spent / len(found) * 1e6


# -- what is shown ----------------------------------------------------------------------------------

COLUMNS = {
    "online, s": ("online_s", ".2f"), "CPU to online, ms/account": ("online_cpu_ms", ".1f"),
    "sim": ("simulator", ".2f"), "RSS, kB/account": ("rss_kb", ".1f"),
    "idle, CPU ms/request": ("idle_ms_per_request", ".2f"), "idle, CPU s/account-hour": ("idle_s_per_hour", ".3f"),
    "delivered": ("delivered", ".0f"), "of": ("injected", ".0f"), "p50, ms": ("p50_ms", ".2f"),
    "p99, ms": ("p99_ms", ".2f"), "max, ms": ("max_ms", ".1f"), "CPU µs/message": ("cpu_us", ".0f"),
    "errors": ("errors", ".0f"),
}  # fmt: skip
#: Target → what is compared with the threads, and what must hold (performance, section 6).
RATIOS = {
    "T10 all online": ("online_s", "≤ 0.6"),
    "T10 by CPU": ("online_cpu_ms", "–"),
    "T11 RSS": ("rss_kb", "≤ 0.5 and ≤ 20 kB"),
    "T12 CPU per message": ("cpu_us", "≤ 0.7"),
    "T13 p99": ("p99_ms", "≤ 5 ms"),
}


def median(rows: list[Row]) -> Row:
    """Return the medians of the rounds that worked, or the first failure."""
    good = [row for row in rows if "failed" not in row]
    if not good:
        return rows[0]
    return {
        key: statistics.median(row[key] for row in good) if isinstance(value, int | float) else value
        for key, value in good[0].items()
    }


def table(rows: list[Row]) -> str:
    lines = ["| client | N | " + " | ".join(COLUMNS) + " |", "|---|---" + "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = [format(row[key], how) if key in row else "–" for key, how in COLUMNS.values()]
        if "failed" in row:
            cells[-1] = f"failed: {row['failed']}".replace("\n", " ").replace("|", "/")
        lines.append(f"| {row['client']} | {row['accounts']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(rows: list[Row]) -> str:
    """Return qqops against the threads, for each N that both have reached."""
    found = {(row["client"], row["accounts"]): row for row in rows if "failed" not in row}
    lines = ["| qqops ÷ threads | N | qqops | threads | ratio | must |", "|---|---|---|---|---|---|"]
    for name, (key, must) in RATIOS.items():
        for kind, count in found:
            ours, theirs = found["qqops", count] if kind == "qqops" else None, found.get(("threads", count))
            if ours is not None and theirs is not None:
                ratio = f"{ours[key]:.2f} | {theirs[key]:.2f} | {ours[key] / theirs[key]:.2f}"
                lines.append(f"| {name} | {count:.0f} | {ratio} | {must} |")
    return "\n".join(lines)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accounts", default="100,1000,5000", help="numbers of accounts")
    parser.add_argument("--clients", default="qqops,aiohttp,threads,h11", help=f"of {', '.join(CLIENTS)}")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long messages are said")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds the simulator holds a poll")
    parser.add_argument("--idle", type=float, help="seconds of the idle time; by default those of the hold")
    parser.add_argument("--within", type=float, default=300.0, help="seconds in which all must be online")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where every single row is written")
    args = parser.parse_args(argv)
    if unknown := set(args.clients.split(",")) - set(CLIENTS):
        parser.error(f"unknown clients: {', '.join(sorted(unknown))}")
    return args


def main() -> None:
    raise_open_files()
    if sys.argv[1:2] == ["simulator"]:
        trio.run(Simulator(int(sys.argv[2]), float(sys.argv[3])).run)
        return
    args = parse(sys.argv[1:])
    cases = [(kind, int(count)) for count in args.accounts.split(",") for kind in args.clients.split(",")]
    rows: dict[tuple[str, int], list[Row]] = {case: [] for case in cases}
    for _ in range(args.rounds):
        for case in cases:
            rows[case].append(measure(*case, args))
            print(f"{rows[case][-1]}", file=sys.stderr, flush=True)
            if args.json is not None:
                args.json.write_text(json.dumps([row for one in rows.values() for row in one], indent=1))
    shown = [median(one) for one in rows.values()]
    print(f"{table(shown)}\n\n{ratios(shown)}")


if __name__ == "__main__":
    main()
