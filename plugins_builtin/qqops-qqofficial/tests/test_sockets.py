"""The official platform over real sockets."""

import json
import random
import signal
import subprocess
import sys
import urllib.request

import trio

from qqops import (
    AccountRef,
    Plugin,
    Rest,
)
from qqops.adapter import Secret
from qqops.app import App, AppPolicy
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.clock import WallClock
from qqops.runtime.observe import LinkState, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody
from qqops_qqofficial.adapter import QQOfficial
from qqops_qqofficial.options import Options

ME = AccountRef("qqofficial", "main")
GOOD = {"app_id": "102000001", "secret": Secret("DG5g3B4j9X2KOErG"), "api": "http://sim", "room_gap": 0.0,
        "token_url": "http://sim/app/getAppAccessToken"}  # fmt: skip


def test_over_sockets_against_the_simulator_as_a_process():
    """`qqops simulate qqofficial`, real HTTP and a real WebSocket; a close and a resume; SIGTERM ends it with 0."""
    command = [sys.executable, "-m", "qqops", "simulate", "qqofficial", "--interval", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[1]

            def control(name, **data):
                with urllib.request.urlopen(
                    f"{url}/__control/{name}", json.dumps(data).encode(), 10
                ) as reply:
                    return json.loads(reply.read())

            async def main():
                clock = WallClock()
                options = {**GOOD, "api": url, "token_url": f"{url}/app/getAppAccessToken", "room_gap": 0.0}
                app, links = App(AppPolicy(seed=1), clock=clock, operator=Nobody()), []
                adapter = QQOfficial(ME, Options(**options), clock.now, random.Random(1))
                app.host.load(Candidate(name="rig", load=echo))
                app.observers.add(
                    lambda record: links.append(record) if isinstance(record, LinkState) else None
                )
                app.add_account(
                    adapter, LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3)), OutboxPolicy()
                )

                async def until(what):
                    while not what():
                        await trio.sleep(0.02)

                with trio.fail_after(120):  # a hang
                    async with trio.open_nursery() as nursery:
                        stop = trio.Event()
                        nursery.start_soon(app.run, stop)
                        await until(lambda: app.supervisors[0].state.phase is Phase.ONLINE)
                        control("inject", **{"from": "U1", "room": "G1", "text": "/echo one"})
                        await until(lambda: control("sent")["sent"])
                        control("faults", fault="close", code=4009)
                        await until(lambda: Phase.WAITING in [link.phase for link in links])
                        control("inject", **{"from": "U1", "room": "G1", "text": "/echo two"})
                        await until(lambda: len(control("sent")["sent"]) == 2)
                        stop.set()
                return control("sent")["sent"], control("state")

            sent, state = trio.run(main)
            assert [one["text"] for one in sent] == ["one", "two"]
            assert (state["identifies"], state["resumes"] >= 1) == (1, True)
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def echo():
    plugin = Plugin("echo")

    @plugin.command("echo")
    async def say(text: Rest) -> str:
        return str(text)

    return plugin
