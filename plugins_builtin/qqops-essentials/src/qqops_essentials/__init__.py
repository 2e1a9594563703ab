"""The commands every bot wants on its first day."""

from __future__ import annotations

import random

from qqops import BotInfo, Commands, Ctx, Plugin, Questions, Refuse, Rest, RoomKind, Rooms
from qqops_essentials._dice import roll as roll_dice
from qqops_essentials._text import duration, say

plugin = Plugin("essentials")

#: Commands on one page of /help; a page stays readable on a phone and below every network's size limit.
PAGE = 12


@plugin.command("ping", inline=True)
def ping() -> str:
    """Answer pong: is the bot there? / 回答 pong：机器人在吗？"""
    return "pong"


@plugin.command("echo", aliases=("复读",), inline=True)
def echo(text: Rest) -> str:
    """Say it again. / 复读一遍。"""
    return text


@plugin.command("roll", aliases=("掷骰",), inline=True)
def roll(ctx: Ctx, dice: str = "1d6") -> str:
    """Roll dice: 2d6+1. / 掷骰子：2d6+1。"""
    return roll_dice(dice, random.SystemRandom(), ctx.language)


@plugin.command("help", aliases=("帮助",), inline=True)
def help_(ctx: Ctx, *name: str, page: int = 1, commands: Commands) -> str:
    """List the commands, or explain one. / 列出命令，或解释一个命令。"""
    if name:
        found = commands.find(" ".join(name))
        if not found:
            raise Refuse(say(ctx, "no_command", name=" ".join(name)))
        return "\n\n".join(_explain(ctx, c.usage, c.summary, c.aliases, c.help) for c in found)
    every = commands.all()
    pages = max(1, -(-len(every) // PAGE))
    if not 1 <= page <= pages:
        raise Refuse(say(ctx, "no_page", pages=pages))
    lines = [f"{c.usage} – {_in_language(ctx, c.summary)}" for c in every[(page - 1) * PAGE : page * PAGE]]
    if pages > 1:
        lines.append(say(ctx, "page", page=page, pages=pages))
    return "\n".join(lines)


@plugin.command("about", aliases=("关于",), inline=True)
def about(ctx: Ctx, *, bot: BotInfo) -> str:
    """Say what this bot is made of. / 机器人的构成。"""
    plugins = ", ".join(f"{name} {version}".strip() for name, version in bot.plugins)
    return say(ctx, "about", version=bot.version, plugins=plugins)


@plugin.command("uptime", aliases=("运行时间",), inline=True)
def uptime(ctx: Ctx, *, bot: BotInfo) -> str:
    """Say how long the bot has been running, and how its connections are. / 运行时间与连接状态。"""
    lines = [say(ctx, "uptime", time=duration((ctx.now - bot.started).total_seconds(), ctx.language))]
    lines += [f"{state.account}: {state}" for state in bot.links]
    return "\n".join(lines)


@plugin.command("who", aliases=("谁在",))
async def who(ctx: Ctx, *, rooms: Rooms) -> str:
    """List who is in this room. / 列出房间里的人。"""
    if ctx.room.ref.kind is RoomKind.PRIVATE:
        return say(ctx, "who_private", name=ctx.sender.name)
    members = sorted(user.name for user in await rooms.members(ctx.room.ref))
    return say(ctx, "who", count=len(members), names=", ".join(members))


@plugin.command("answer", aliases=("回答",), inline=True)
def answer(ctx: Ctx, account: str, text: Rest, *, questions: Questions) -> str:
    """Answer what an account asks a person (captcha, new QR code). / 回答账号提出的问题（验证码、新二维码）。"""
    if not questions.answer(account, text, ctx.room):
        raise Refuse(say(ctx, "no_question", account=account))
    return say(ctx, "answered", account=account)


def _in_language(ctx: Ctx, summary: str) -> str:
    """Return the half of a two-language docstring that the room reads."""
    english, _, chinese = summary.partition(" / ")
    return chinese or english if ctx.language == "zh" else english


def _explain(ctx: Ctx, usage: str, summary: str, aliases: tuple[str, ...], details: str) -> str:
    parts = [usage, _in_language(ctx, summary)]
    if aliases:
        parts.append(say(ctx, "aliases", names=", ".join(aliases)))
    if details:
        parts.append(details)
    return "\n".join(parts)
