"""qqops with production defaults and the pace of sends off: ``qqops_bot.py PORT COMMANDS [inline|async|journal]``."""

import gc
import os
import pathlib
import sys
import tempfile

import trio

from qqops import Ctx, Plugin
from qqops.assemble import add_accounts, make_app
from qqops.cli import logs
from qqops.plugin.host import Candidate
from qqops.settings import load_settings

port, commands, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
plugin = Plugin("bench")

if mode == "inline":

    @plugin.command("bench", inline=True)
    def echo(text: str) -> str:
        return text

else:

    @plugin.command("bench")
    async def echo(ctx: Ctx, text: str) -> None:
        await ctx.reply(text)


for number in range(commands - 1):

    @plugin.command(f"other{number}")
    async def other(text: str = "") -> str:
        return text


folder = pathlib.Path(tempfile.gettempdir()) / f"qqops-bench-{mode}"
folder.mkdir(exist_ok=True)
(folder / "qqops.toml").write_text(
    f"""
[plugins]
only = []

[journal]
on = {"true" if mode == "journal" else "false"}

[accounts.main]
network = "onebot11"
listen = "127.0.0.1:{port}"
room_gap = 0
jitter = 0
"""
)


async def main():
    settings, file = load_settings(folder / "qqops.toml", os.environ)
    app = make_app(settings, [], os.environ, folder)
    app.host.load(Candidate(name="bench", load=lambda: plugin))
    add_accounts(app, settings, file, os.environ)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    await app.run(trio.Event())


logs.configure("text", "info")
if os.environ.get("PROFILE"):
    import cProfile
    import signal

    profile = cProfile.Profile()
    signal.signal(signal.SIGTERM, lambda *_: (profile.dump_stats(os.environ["PROFILE"]), os._exit(0)))
    profile.runcall(trio.run, main)
else:
    trio.run(main)
