"""Commands about plugins: which there are, on and off in a room or everywhere, reloaded while the bot runs."""

from __future__ import annotations

from typing import Annotated

from qqops import Access, ConfigError, Ctx, Opt, Plugin, PluginChange, Plugins, PluginState, Refuse
from qqops_essentials._text import say

#: What it takes to change plugins for all rooms.
MANAGE = "plugins.manage"

Everywhere = Annotated[
    bool,
    Opt("--everywhere", "-a", help="in all rooms: unload it, or load it again / 所有房间：卸载或重新加载"),
]


def declare(plugin: Plugin) -> None:
    """Declare these commands for *plugin*."""
    plugins = plugin.group("plugin")
    plugins.command("list", permission="access.switches", inline=True)(plugin_list)
    plugins.command("on", permission="access.switches", effects=True)(plugin_on)
    plugins.command("off", permission="access.switches", effects=True)(plugin_off)
    plugins.command("info", permission=MANAGE, inline=True)(plugin_info)
    plugins.command("reload", permission=MANAGE, effects=True)(plugin_reload)


def plugin_list(ctx: Ctx, *, access: Access, plugins: Plugins) -> str:
    """Say which plugins are on in this room, which commands are off, and what is not loaded. / 列出此房间的插件状态、停用的命令，以及没有加载的插件。"""
    lines = [say(ctx, "on" if on else "off", name=name) for name, on in access.plugins(ctx).items()]
    lines += [say(ctx, "off", name=name) for name in access.commands_off(ctx)]
    if ctx.may(MANAGE):
        for report in plugins.all():
            if report.state is PluginState.OFF:
                lines.append(say(ctx, "not_loaded", name=report.name))
            elif report.state is PluginState.SKIPPED:
                lines.append(say(ctx, "skipped", name=report.name, reason=report.why))
    return "\n".join(lines)


async def plugin_on(
    ctx: Ctx, name: str, *, everywhere: Everywhere = False, access: Access, plugins: Plugins
) -> str:
    """Switch a plugin on in this room, or load it. / 在此房间启用插件，或加载它。"""
    if everywhere:
        _check(ctx)
        change = await plugins.load(name)
        return _told(ctx, change, "is_loaded")
    _turn(ctx, access, name, on=True)
    return say(ctx, "is_on", name=name)


async def plugin_off(
    ctx: Ctx, name: str, *, everywhere: Everywhere = False, access: Access, plugins: Plugins
) -> str:
    """Switch a plugin off in this room (commands and listeners), or unload it. / 在此房间停用插件（命令与监听器），或卸载它。"""
    if everywhere:
        _check(ctx)
        if name == ctx.plugin:
            raise Refuse(say(ctx, "not_mine", name=name))
        if plugins.alone(name):
            raise Refuse(say(ctx, "network_last", name=name))
        change = await plugins.unload(name)
        return _told(ctx, change, "is_unloaded")
    _turn(ctx, access, name, on=False)
    return say(ctx, "is_off", name=name)


async def plugin_reload(ctx: Ctx, name: str, *, plugins: Plugins) -> str:
    """Read a plugin and its settings anew; the old copy stays when that fails. / 重新读取插件及其设置；失败时保留原来的。"""
    return _told(ctx, await plugins.reload(name), "is_reloaded")


def plugin_info(ctx: Ctx, name: str, *, plugins: Plugins) -> str:
    """Say what a plugin is made of, and what it has running. / 插件的构成，以及它正在运行什么。"""
    info = plugins.info(name)
    report = info.report
    lines = [f"{report}: {say(ctx, f'state_{report.state.value}')}"]
    if report.reason:
        lines.append(report.why)
    if info.declares:
        counts = [say(ctx, f"count_{kind}", count=count) for kind, count in info.declares.items() if count]
        lines.append(", ".join(counts) or say(ctx, "count_none"))
    lines += info.running
    return "\n".join([*lines, *report.notes])


def _check(ctx: Ctx) -> None:
    if not ctx.may(MANAGE):
        raise Refuse(say(ctx, "needs", permission=MANAGE))


def _turn(ctx: Ctx, access: Access, name: str, *, on: bool) -> None:
    try:
        access.turn_plugin(ctx, name, on)
    except ConfigError as exc:
        raise Refuse(say(ctx, "not_done", reason=str(exc))) from None


def _told(ctx: Ctx, change: PluginChange, done: str) -> str:
    name = change.report.name
    if change.done:
        head = say(ctx, done, name=str(change.report), ms=max(1, round(change.ms)))
    else:
        head = say(ctx, "old_stays" if change.kept else "not_done", name=name, reason=change.reason)
    lines = [head, *(say(ctx, "left", what=what) for what in change.left)]
    if change.restart:
        lines.append(say(ctx, "needs_restart", keys=", ".join(change.restart)))
    return "\n".join(lines)
