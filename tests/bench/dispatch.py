"""What a message costs between the wire and the handler: ``python tests/bench/dispatch.py [ROUNDS]``.

Prints CPU µs per message, medians over the rounds, on the in-memory network with production defaults: dispatcher,
filters, outbox, observers, structured logging at the default level. A ratio against one command registered tells
whether the table's size matters.
"""

import io
import statistics
import sys
import time

import trio

from qqops import Ctx, Next, Plugin
from qqops.adapters.loopback import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.cli import logs
from qqops.model import AccountRef, Limits, Message
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody

COUNT = 2000
PEOPLE = 20


def plugin(commands: int, filters: int) -> Plugin:
    made = Plugin("bench")
    for i in range(commands):

        @made.command(f"cmd{i}")
        async def command(text: str = "") -> str:
            return "pong"

    @made.command("inline", inline=True)
    def inline() -> str:
        return "pong"

    for _ in range(filters):

        @made.filter()
        async def passes(ctx: Ctx, call: Next) -> None:
            await call()

    @made.on(Message, regex=r"INC-(?P<n>\d+)")
    async def listener(n: int) -> None: ...

    return made


async def measure(text: str, commands: int = 1, filters: int = 0) -> float:
    """Return CPU µs per message."""
    app = App(AppPolicy(), clock=WallClock(), human=Nobody())
    made = plugin(commands, filters)
    app.host.load(Candidate(name="bench", load=lambda: made))
    network = MemoryNetwork(AccountRef("memory", "bench"), WallClock())
    app.add_account(MemoryAdapter(network, Limits()), LinkPolicy(), OutboxPolicy(size=10 * COUNT))
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(app.run, stop)
        await trio.sleep(0.05)
        room = network.group("ops", *(f"p{i}" for i in range(PEOPLE)))
        for i in range(COUNT):
            network.say(f"p{i % PEOPLE}", room, text)
        began = time.process_time()
        while network.pending or not app.idle():
            await trio.lowlevel.checkpoint()
        took = time.process_time() - began
        stop.set()
    return took / COUNT * 1e6


CASES = {
    "chatter, 1 command": ("just talking about nothing", 1, 0),
    "chatter, 1000 commands": ("just talking about nothing", 1000, 0),
    "command, async handler": ("/cmd0 x", 1, 0),
    "command, 1000 registered": ("/cmd0 x", 1000, 0),
    "command, 10 filters": ("/cmd0 x", 1, 10),
    "command, inline handler": ("/inline", 1, 0),
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sys.stderr = io.StringIO()  # the few lines about the connection
    logs.configure("text", "info")
    results = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, case in CASES.items():
            results[name].append(trio.run(measure, *case))
    base = statistics.median(results["command, async handler"])
    print(f"{'':28}{'µs per message':>16}{'of a command':>14}")
    for name, values in results.items():
        print(f"{name:28}{statistics.median(values):16.1f}{statistics.median(values) / base:14.2f}")


if __name__ == "__main__":
    main()
