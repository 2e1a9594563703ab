"""Commands about the accounts of the bot: how they are, off and on again."""

from __future__ import annotations

from qqops import Ctx, Links, Plugin, Refuse
from qqops_essentials._text import say

#: What it takes to change accounts.
MANAGE = "accounts.manage"


def declare(plugin: Plugin) -> None:
    """Declare these commands for *plugin*."""
    accounts = plugin.group("account")
    accounts.command("list", permission=MANAGE, inline=True)(account_list)
    accounts.command("stop", permission=MANAGE, effects=True)(account_stop)
    accounts.command("start", permission=MANAGE, effects=True, inline=True)(account_start)
    accounts.command("restart", permission=MANAGE, effects=True)(account_restart)


def account_list(ctx: Ctx, *, links: Links) -> str:
    """Say how each account is. / 列出各账号的状态。"""
    return "\n".join(f"{state.account}: {state}" for state in links.states())


async def account_stop(ctx: Ctx, name: str, *, links: Links) -> str:
    """Take an account off its service, until /account start. / 让账号离线，直到 /account start。"""
    if links.alone(name):  # also where the account that hears this is being stopped by somebody else
        raise Refuse(say(ctx, "account_last", name=name))
    await links.stop(name)
    return say(ctx, "account_off", name=name)


def account_start(ctx: Ctx, name: str, *, links: Links) -> str:
    """Connect an account that was stopped or given up. / 重新连接已停止的账号。"""
    links.start(name)
    return say(ctx, "account_on", name=name)


async def account_restart(ctx: Ctx, name: str, *, links: Links) -> str:
    """Take an account off its service and connect it anew. / 断开账号并重新连接。"""
    await links.restart(name)
    return say(ctx, "account_on", name=name)
