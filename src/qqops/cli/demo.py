"""``qqops demo``: a bot to talk to on a simulator."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import trio

from qqops.adapters.base import Question
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.cli.console import Nobody, bot
from qqops.cli.perform import perform, read_script
from qqops.cli.picture import draw_qr
from qqops.cli.stage import Heard, Stage
from qqops.cli.stage_webqq import SimulatedStage
from qqops.model import AccountRef, Secret
from qqops.protocol.webqq.profile import Login, profile
from qqops.runtime.clock import WallClock
from qqops.runtime.hidden import Hidden
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.server import Server
from qqops.simulator.service import Service
from qqops.simulator.world import DEFAULT_BOT


class DemoHuman:
    """The person of the demo: looks at the QR code and lets the simulator scan it; knows each captcha."""

    def __init__(self, service: Service, *, draw: bool) -> None:
        self._service = service
        self._draw = draw

    async def ask(self, question: Question) -> str:
        """Return what the picture says."""
        await trio.lowlevel.checkpoint()
        return next(reversed(self._service.state.captchas.values()))

    async def show(self, question: Question) -> None:
        """Draw the picture for a person at the terminal."""
        await trio.lowlevel.checkpoint()
        if self._draw and (drawing := draw_qr(question.picture)):
            print(drawing, "(the simulator scans it by itself / 模拟器会自动扫码)", sep="\n", flush=True)


def run_demo(
    profile_name: str,
    script: str | None,
    hidden: Hidden,
    *,
    config: pathlib.Path | None = None,
    plugins: pathlib.Path | None = None,
) -> int:
    """Run simulator and bot over loopback HTTP, and play; return the exit code. Arguments as of `bot`."""
    lines = read_script(script)
    login = profile(profile_name).login
    service = Service(WallClock())
    server = Server(service)

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(server.run)
            app = bot(DemoHuman(service, draw=lines is None), hidden, config, plugins)
            options = WebQQOptions(
                profile=profile_name,
                number=DEFAULT_BOT if login is Login.PASSWORD else 0,
                password=Secret("sim-pass-1" if login is Login.PASSWORD else ""),
                endpoints={"*": url},
                kick_pause=3.0,
                qr_interval=0.5,
            )
            account = AccountRef("webqq", "demo")
            adapter = WebQQ(account, options, clock=app.clock, rng=app.rng)
            app.add_account(adapter, LinkPolicy(), OutboxPolicy())
            code = await perform(app, _simulated(server), lines)
            nursery.cancel_scope.cancel(reason="the demo is over")
        return code

    return trio.run(main)


def run_onebot_demo(
    script: str | None,
    hidden: Hidden,
    *,
    config: pathlib.Path | None = None,
    plugins: pathlib.Path | None = None,
) -> int:
    """Run a simulated OneBot v11 implementation and a bot that dials it, and play; return the exit code."""
    from qqops.adapters.onebot11.adapter import OneBot11
    from qqops.adapters.onebot11.options import OneBotOptions
    from qqops.cli.stage_onebot import OneBotStage
    from qqops.simulator.onebot.implementation import Implementation
    from qqops.simulator.onebot.server import OneBotServer

    lines = read_script(script)
    server = OneBotServer(Implementation(WallClock()))

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(server.run)
            app = bot(Nobody(), hidden, config, plugins)
            account = AccountRef("onebot11", "demo")
            options = OneBotOptions(url=url, room_gap=0.0)
            adapter = OneBot11(account, options, app.clock.now, None)
            app.add_account(adapter, LinkPolicy(), OutboxPolicy())
            code = await perform(app, lambda heard: OneBotStage(server, heard), lines)
            nursery.cancel_scope.cancel(reason="the demo is over")
        return code

    return trio.run(main)


def _simulated(server: Server) -> Callable[[Heard], Stage]:
    return lambda heard: SimulatedStage(server, heard)
