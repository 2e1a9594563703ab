"""aiocqhttp, which has no dispatch at all: ``aiocqhttp_bot.py PORT``."""

import logging
import sys

from aiocqhttp import CQHttp

bot = CQHttp()
logging.disable(logging.INFO)


@bot.on_message
async def echo(event):
    text = event.raw_message
    if text.startswith("/echo "):
        await bot.send(event, text[6:])


bot.run(host="127.0.0.1", port=int(sys.argv[1]))
