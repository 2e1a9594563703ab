"""melobot with one command and a logger at info, as its documentation sets it up: ``melobot_bot.py PORT``."""

import sys

from melobot import Bot, PluginPlanner, on_command, send_text
from melobot.log import Logger, LogLevel
from melobot.protocols.onebot.v11 import OneBotV11Protocol, WSServer
from melobot.utils.parse import CmdArgs


@on_command("/", " ", "echo")
async def echo(args: CmdArgs) -> None:
    await send_text(" ".join(args.vals))


logger = Logger("bench", level=LogLevel.INFO)
bot = Bot("bench", logger=logger)
bot.add_protocol(OneBotV11Protocol(WSServer("127.0.0.1", int(sys.argv[1]))))
bot.load_plugin(PluginPlanner("1.0.0", flows=[echo]))
bot.run()
