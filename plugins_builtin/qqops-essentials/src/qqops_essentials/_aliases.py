"""``/alias``: names that people give to command lines while the bot runs."""

from __future__ import annotations

import re
from typing import Annotated

from qqops import Alias, Aliases, Arg, Ctx, Refuse, Rest, RoomRef
from qqops_essentials._plugin import plugin
from qqops_essentials._text import say

_alias = plugin.group("alias")
_everywhere = plugin.group("alias everywhere")

_EQUALS = re.compile(r"\s*[=＝]\s*")

_Name = Annotated[str, Arg(help="NAME = COMMAND …")]


@_alias.command("add", permission="alias.edit", effects=True, inline=True)
def add(ctx: Ctx, name: _Name, line: Rest | None = None, *, aliases: Aliases) -> str:
    """Give a command line a name in this room: add d = deploy api. / 在本房间给命令行起名：add 上线 = deploy api。"""
    return _add(ctx, aliases, ctx.room.ref, name, line)


@_alias.command("remove", permission="alias.edit", effects=True, inline=True)
def remove(ctx: Ctx, name: str, *, aliases: Aliases) -> str:
    """Forget an alias of this room. / 删除本房间的别名。"""
    return _remove(ctx, aliases, ctx.room.ref, name)


@_alias.command("list", inline=True)
def list_(ctx: Ctx, *, aliases: Aliases) -> str:
    """List the aliases that hold here. / 列出这里有效的别名。"""
    rows = [_row(ctx, one) for one in aliases.in_room(ctx.room.ref)]
    rows += [say(ctx, "alias_everywhere", row=_row(ctx, one)) for one in aliases.in_room(None)]
    return "\n".join(rows) or say(ctx, "no_aliases")


@_everywhere.command("add", permission="alias.everywhere", effects=True, inline=True)
def add_everywhere(ctx: Ctx, name: _Name, line: Rest | None = None, *, aliases: Aliases) -> str:
    """Give a command line a name in all rooms. / 在所有房间给命令行起名。"""
    return _add(ctx, aliases, None, name, line)


@_everywhere.command("remove", permission="alias.everywhere", effects=True, inline=True)
def remove_everywhere(ctx: Ctx, name: str, *, aliases: Aliases) -> str:
    """Forget an alias of all rooms. / 删除所有房间的别名。"""
    return _remove(ctx, aliases, None, name)


def _add(ctx: Ctx, aliases: Aliases, room: RoomRef | None, name: str, line: str | None) -> str:
    name, _, meant = _EQUALS.sub(" ", f"{name} {line or ''}", count=1).partition(" ")
    meant = meant.strip()
    for prefix in (ctx.prefix, "/", "／"):
        meant = meant.removeprefix(prefix)
    problem = aliases.add(Alias(name, meant, room))
    if problem:
        raise Refuse(say(ctx, f"alias_{problem}", name=name[:40], line=meant[:40]))
    return say(ctx, "alias_added", row=_row(ctx, Alias(name, meant)))


def _remove(ctx: Ctx, aliases: Aliases, room: RoomRef | None, name: str) -> str:
    removed = aliases.remove(room, name)
    if removed is None:
        raise Refuse(say(ctx, "no_alias", name=name[:40]))
    return say(ctx, "alias_removed", row=_row(ctx, removed))


def _row(ctx: Ctx, alias: Alias) -> str:
    return f"{ctx.prefix}{alias.name} = {ctx.prefix}{alias.line}"
