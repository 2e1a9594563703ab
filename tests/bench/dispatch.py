"""What a message costs between the wire and the handler: ``python tests/bench/dispatch.py [ROUNDS]``.

Prints CPU µs per message, medians over the rounds, on the in-memory network with production defaults: dispatcher,
filters, outbox, observers, structured logging at the default level. A ratio against one command registered tells
whether the table's size matters; commands with the journal also say how many there are per second. Then what one more filter that passes and one more listener that does not match add,
for chatter and for a command: medians of the differences of two runs that follow each other.
"""

import io
import pathlib
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable

import attrs
import trio

from qqops import Ctx, Limit, Next, Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.cli import logs
from qqops.model import AccountRef, Joined, Message
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody

COUNT = 2000
PEOPLE = 20
#: Words that nobody says here and that have nothing in common: alternatives that begin alike would be too cheap.
WORDS = ["".join(random.Random(i).choices(string.ascii_lowercase, k=7)) for i in range(40)]
CHATTER, COMMAND = "just talking about nothing", "/cmd0 x"


async def filter_that_passes(ctx: Ctx, call: Next) -> None:
    await call()


async def listener() -> None: ...


async def numbered(n: int) -> None: ...


#: How one more of each kind is declared; none of the listeners matches what is said here.
KINDS: dict[str, Callable[[Plugin, int], object]] = {
    "filter that passes": lambda made, i: made.filter()(filter_that_passes),
    "listener, keyword": lambda made, i: made.on(Message, keyword=WORDS[i])(listener),
    "listener, regex": lambda made, i: made.on(Message, regex=rf"{WORDS[i]}-(?P<n>\d+)")(numbered),
    "listener, regex without a literal": lambda made, i: made.on(Message, regex=rf"(?P<n>\d+)\s*{WORDS[i]}")(
        numbered
    ),
    "listener, other event class": lambda made, i: made.on(Joined)(listener),
}


@attrs.frozen
class Case:
    """What is said in how many *rooms*, and what is declared besides: *more* of a *kind*; with a *journal*, as in production."""

    text: str
    commands: int = 1
    kind: str = "filter that passes"
    more: int = 0
    journal: bool = False
    rooms: int = 1


def plugin(case: Case) -> Plugin:
    made = Plugin("bench")
    for i in range(case.commands):

        @made.command(f"cmd{i}")
        async def command(text: str = "") -> str:
            return "pong"

    @made.command("inline", inline=True)
    def inline() -> str:
        return "pong"

    @made.command("guarded", permission="bench.run", limit=Limit(10**9, 60))
    async def guarded(text: str = "") -> str:
        return "pong"

    made.on(Message, regex=r"INC-(?P<n>\d+)")(numbered)
    for i in range(case.more):
        KINDS[case.kind](made, i)
    return made


#: Messages per second by the clock on the wall, of each run.
rates: dict[Case, list[float]] = {}


async def run(case: Case) -> float:
    """Return CPU µs per message, of all threads."""
    with tempfile.TemporaryDirectory() as folder:
        return await spent(case, Store(pathlib.Path(folder) / "bench.db") if case.journal else None)


async def spent(case: Case, store: Store | None) -> float:
    """Return CPU µs per message with *store*."""
    access = AccessPolicy(permissions={"everyone": ["bench.*"]})
    app = App(AppPolicy(access=access), clock=WallClock(), operator=Nobody(), watch=True, store=store)
    made = plugin(case)
    app.host.load(Candidate(name="bench", load=lambda: made))
    network = MemoryNetwork(AccountRef("memory", "bench"), WallClock())
    app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy(size=10 * COUNT))
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(app.run, stop)
        await trio.sleep(0.05)
        people = [f"p{i}" for i in range(PEOPLE)]
        rooms = [network.group(f"ops{n}", *people) for n in range(case.rooms)]
        for i in range(COUNT):
            network.say(people[i % PEOPLE], rooms[i % case.rooms], case.text)
        began, since = time.process_time(), time.perf_counter()
        while network.pending or not app.idle():
            # Without a journal there is always something to do; with one, looking would cost more than what is looked for.
            await trio.sleep(0 if store is None else 0.002)
        took = time.process_time() - began
        rates.setdefault(case, []).append(COUNT / (time.perf_counter() - since))
        stop.set()
    return took / COUNT * 1e6


CASES = {
    "chatter, 1 command": Case(CHATTER),
    "chatter, 1000 commands": Case(CHATTER, 1000),
    "command, async handler": Case(COMMAND),
    "command, 1000 registered": Case(COMMAND, 1000),
    "command, 10 filters": Case(COMMAND, more=10),
    "command, inline handler": Case("/inline"),
    "command, permission and limit": Case("/guarded x"),
    "command, journal": Case(COMMAND, journal=True),
    "command, journal, 20 rooms": Case(COMMAND, journal=True, rooms=20),
    "same with permission and limit": Case("/guarded x", journal=True),
}
#: How many more of a kind are declared to see what one costs: a difference must stand out of the noise.
MORE = {kind: 10 if "filter" in kind else len(WORDS) for kind in KINDS}
#: µs per message that one more may cost.
LIMITS = {kind: 2.0 if "filter" in kind else 0.5 for kind in KINDS}


def added(text: str, kind: str) -> float:
    """Return what one more of *kind* adds to a message, in CPU µs."""
    without, more = Case(text), Case(text, kind=kind, more=MORE[kind])
    return (trio.run(run, more) - trio.run(run, without)) / MORE[kind]


def messages(rounds: int) -> None:
    """Print what messages cost."""
    results: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, case in CASES.items():
            results[name].append(trio.run(run, case))
    base = statistics.median(results["command, async handler"])
    print(f"{'':34}{'µs per message':>16}{'of a command':>14}{'per second':>14}")
    for name, values in results.items():
        µs, rate = statistics.median(values), statistics.median(rates[CASES[name]])
        print(f"{name:34}{µs:16.1f}{µs / base:14.2f}{rate:14,.0f}")
    plain, guarded = (
        min(results[name]) for name in ("command, async handler", "command, permission and limit")
    )
    print(f"{'a permission and a limit add':34}{guarded - plain:16.1f}   (at most 5)")


def margins(rounds: int) -> None:
    """Print what one more filter and one more listener cost."""
    results: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for kind in KINDS:
            for text in (CHATTER, COMMAND):
                results.setdefault((kind, text), []).append(added(text, kind))
    print(f"\n{'one more, µs per message':34}{'chatter':>16}{'command':>14}{'at most':>14}")
    for kind in KINDS:
        chatter, command = (statistics.median(results[kind, text]) for text in (CHATTER, COMMAND))
        print(f"{kind:34}{chatter:16.2f}{command:14.2f}{LIMITS[kind]:14.1f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sys.stderr = io.StringIO()  # the few lines about the connection
    logs.configure("text", "info")
    messages(rounds)
    margins(rounds)


if __name__ == "__main__":
    main()
