"""``/help``: what there is to type, for who asks, in the language of the room."""

from __future__ import annotations

from collections.abc import Sequence

from qqops import CommandInfo, Commands, Ctx, Refuse
from qqops_essentials._plugin import plugin
from qqops_essentials._text import say

#: Commands on one page; a page stays readable on a phone and below every network's size limit.
PAGE = 12


@plugin.command("help", aliases=("帮助",), inline=True)
def help_(ctx: Ctx, *name: str, page: int = 1, commands: Commands) -> str:
    """List the commands, or explain one. / 列出命令，或解释一个命令。"""
    if not name:
        return _page(ctx, commands.all(ctx), page, "")
    wanted = " ".join(name)
    found = commands.find(wanted, ctx)
    if not found:
        near = ", ".join(commands.near(wanted, ctx))
        raise Refuse(say(ctx, "no_command_hint" if near else "no_command", name=wanted[:40], near=near))
    return _explain(ctx, found[0]) if len(found) == 1 else _page(ctx, found, page, wanted + " ")


def _page(ctx: Ctx, found: Sequence[CommandInfo], page: int, of: str) -> str:
    """Return one page of the list, and how the next one is asked for."""
    pages = max(1, -(-len(found) // PAGE))
    if not 1 <= page <= pages:
        raise Refuse(say(ctx, "no_page", pages=pages))
    lines = [_line(ctx, one) for one in found[(page - 1) * PAGE : page * PAGE]]
    if pages > 1:
        following = page % pages + 1
        lines.append(
            say(ctx, "page", page=page, pages=pages, line=f"{ctx.prefix}help {of}--page {following}")
        )
    return "\n".join(lines)


def _line(ctx: Ctx, one: CommandInfo) -> str:
    summary = _in_language(ctx, one.summary)
    return f"{one.usage} – {summary}" if summary else one.usage


def _explain(ctx: Ctx, one: CommandInfo) -> str:
    parts = [one.usage, _in_language(ctx, one.summary)]
    if one.aliases:
        parts.append(say(ctx, "aliases", names=", ".join(one.aliases)))
    parts.append(one.help)
    return "\n".join(part for part in parts if part)


def _in_language(ctx: Ctx, summary: str) -> str:
    """Return the half of a two-language docstring that the room reads."""
    english, _, chinese = summary.partition(" / ")
    return chinese or english if ctx.language == "zh" else english
