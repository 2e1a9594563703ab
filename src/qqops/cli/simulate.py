"""``qqops simulate``: services to connect to, until a signal."""

from __future__ import annotations

import pathlib
import signal
import sys
from typing import Protocol

import trio

from qqops.cli import exits
from qqops.errors import ConfigError
from qqops.runtime.clock import WallClock
from qqops.simulator.faults import WEBQQ
from qqops.simulator.scenario import Controlled, Scenario, load_scenario
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import add_accounts, load_world


class _Runs(Protocol):
    async def run(self, task_status: trio.TaskStatus[str] = ...) -> None: ...


def run_simulator(
    host: str,
    port: int,
    options: ServiceOptions,
    world: pathlib.Path | None,
    scenario: pathlib.Path | None,
    accounts: int = 0,
) -> int:
    """Serve the WebQQ simulator until a signal; return the exit code."""
    service = Service(WallClock(), load_world(world) if world is not None else None, options)
    add_accounts(service.world, accounts)
    server = Server(service, host, port)
    play = load_scenario(scenario, WEBQQ, server.control.CALLS) if scenario is not None else None
    return _serve(server, server.control, play)


def run_onebot(
    flavor: str,
    host: str,
    port: int,
    token: str,
    reverse: list[str],
    post: str,
    account: int,
    world: pathlib.Path | None,
    scenario: pathlib.Path | None,
) -> int:
    """Serve a simulated implementation of OneBot v11 until a signal; return the exit code."""
    from qqops.simulator.onebot.implementation import Implementation
    from qqops.simulator.onebot.server import REPERTOIRE, OneBotServer

    people = load_world(world) if world is not None else None
    implementation = Implementation(WallClock(), people, flavor, account)
    server = OneBotServer(implementation, host, port, token=token, reverse=reverse, post=post)
    play = load_scenario(scenario, REPERTOIRE, server.control.CALLS) if scenario is not None else None
    return _serve(server, server.control, play)


def run_other(name: str, arguments: list[str]) -> int:
    """Run the simulator that a package offers under the entry point *name* of ``qqops.simulators``.

    Raises:
        ConfigError: There is none, or it cannot be loaded.
    """
    from importlib.metadata import entry_points

    found = entry_points(group="qqops.simulators")
    if name not in found.names:
        known = ", ".join(["webqq", "onebot11", *sorted(found.names)])
        raise ConfigError(f"there is no simulator {name!r}", hint=f"there are: {known}")
    try:
        run = found[name].load()
    except Exception as exc:
        raise ConfigError(f"the simulator {name!r} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    return int(run(arguments) or 0)


def _serve(server: _Runs, control: Controlled, play: Scenario | None) -> int:
    async def main() -> int:
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                url = await nursery.start(server.run)
                sys.stdout.write(f"ready {url}\n")
                sys.stdout.flush()
                if play is not None:
                    nursery.start_soon(play.run, control, name="scenario")
                async for _ in signals:
                    nursery.cancel_scope.cancel(reason="signal")
                    break
        return exits.OK

    return trio.run(main)
