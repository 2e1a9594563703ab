"""NoneBot2 as its documentation sets it up: ``nonebot_bot.py PORT COMMANDS [documented|best]``.

*best* is one matcher for everything and the log at warnings.
"""

import sys

port, commands, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

import nonebot  # noqa: E402
from nonebot.adapters.onebot.v11 import Adapter, Message  # noqa: E402
from nonebot.params import CommandArg  # noqa: E402

nonebot.init(
    driver="~fastapi", host="127.0.0.1", port=port, command_start={"/"},
    log_level="WARNING" if mode == "best" else "INFO",
)  # fmt: skip
nonebot.get_driver().register_adapter(Adapter)

if mode == "best":
    matcher = nonebot.on_command("echo", priority=1, block=True)
else:
    matcher = nonebot.on_command("echo")
    for number in range(commands - 1):
        other = nonebot.on_command(f"other{number}")

        @other.handle()
        async def say(args: Message = CommandArg()):
            await other.finish(args)


@matcher.handle()
async def echo(args: Message = CommandArg()):
    await matcher.finish(args)


nonebot.run(log_level="warning")
