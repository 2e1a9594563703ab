"""What /help costs with 1,000 commands: ``python tests/bench/help.py [ROUNDS]``.

Prints milliseconds from the arrival of the message to the answer's arrival on the in-memory network, medians and the
slowest: a page, one command, a group of 100, a name that does not exist, a near name after an unknown command. The
first is measured on a bot that has just started and has put nothing into words yet.
"""

import io
import statistics
import sys
import time

import trio

from qqops import Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.cli import logs
from qqops.model import AccountRef, Draft
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody
from qqops_essentials import plugin as essentials

COUNT = 1000
LINES = ["/help", "/help --page 50", "/help cmd500", "/help group7", "/help nothing-near", "/cdm500"]


def plugin() -> Plugin:
    made = Plugin("many")
    for i in range(COUNT):

        @made.command(f"group{i % 10} cmd{i}" if i % 2 else f"cmd{i}")
        async def command(service: str, ref: str = "main", *, dry: bool = False) -> str:
            """Do something to a service. / 对服务做点什么。"""
            return "done"

    return made


async def first_and_later(rounds: int) -> dict[str, list[float]]:
    app = App(AppPolicy(), clock=WallClock(), operator=Nobody())
    made = plugin()
    for name, one in {"essentials": essentials, "many": made}.items():
        app.host.load(Candidate(name=name, load=lambda one=one: one))
    network = MemoryNetwork(AccountRef("memory", "bench"), WallClock())
    app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
    took: dict[str, list[float]] = {}
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(app.run, stop)
        await trio.sleep(0.05)
        for line in ["first /help", *LINES * rounds]:
            said = trio.Event()

            def heard(draft: Draft, said: trio.Event = said) -> None:
                said.set()

            network.heard = heard
            room = network.group(f"room{sum(map(len, took.values()))}", "ali")  # a hint comes once in a room
            began = time.perf_counter()
            network.say("ali", room, line.removeprefix("first "))
            with trio.fail_after(10):
                await said.wait()
            took.setdefault(line, []).append((time.perf_counter() - began) * 1e3)
        stop.set()
    return took


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    sys.stderr = io.StringIO()  # the few lines about the connection
    logs.configure("text", "info")
    print(f"{COUNT} commands{'':21}{'median ms':>12}{'slowest ms':>12}")
    for line, values in trio.run(first_and_later, rounds).items():
        print(f"{line:34}{statistics.median(values):12.2f}{max(values):12.2f}")


if __name__ == "__main__":
    main()
