"""The commands every bot wants on its first day."""

from __future__ import annotations

import random

from qqops import BotInfo, Ctx, Questions, Refuse, Rest, RoomKind, Rooms
from qqops_essentials import _access, _accounts, _aliases, _help, _jobs, _plugins  # noqa: F401 - two of them declare their commands
from qqops_essentials._approve import declare as declare_approvals
from qqops_essentials._dice import roll as roll_dice
from qqops_essentials._plugin import plugin
from qqops_essentials._text import duration, say

declare_approvals(plugin)
_access.declare(plugin)
_plugins.declare(plugin)
_accounts.declare(plugin)
_jobs.declare(plugin)

#: Rooms that /sends shows; an answer stays readable on a phone and below every network's size limit.
ROOMS = 12


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


@plugin.command("sends", aliases=("发送统计",), inline=True)
def sends(ctx: Ctx, *, bot: BotInfo) -> str:
    """Say how many messages reached each room, and how many did not. / 各房间的发送结果统计。"""
    rows = [
        say(ctx, "sends", room=f"{one.room.account.id}/{one.room.id}", sent=one.delivered + one.accepted,
            partial=one.partial, unknown=one.unknown, refused=one.refused)
        for one in bot.sends[:ROOMS]
    ]  # fmt: skip
    return "\n".join(rows) or say(ctx, "no_sends")


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
