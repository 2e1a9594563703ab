"""Which plugins a bot has, for who starts it: in the log, or as one line for people."""

from __future__ import annotations

import structlog

from qqops.app import App
from qqops.plugin._finding import CORE
from qqops.plugin.host import PluginReport, PluginState

#: What to do when there is nothing to talk to.
HINT = "pip install 'qqops[essentials]', or put a file into plugins: `qqops plugin new NAME --one-file`"

log = structlog.get_logger("qqops.run")


def tell(app: App) -> None:
    """Log which plugins are loaded, how many commands they have, and what was skipped; warn when there is nothing."""
    skipped = [one for one in app.host.reports.all() if one.state is PluginState.SKIPPED]
    log.info(
        "started",
        plugins=[_named(one) for one in _loaded(app)],
        commands=len(app.registry.commands),
        skipped=[f"{one}: {one.why}" for one in skipped],
    )
    if what := missing(app):
        log.warning(f"there is no {what}: the bot answers nobody", hint=HINT)


def line(app: App) -> str:
    """Return the same as one line for people."""
    found, commands = _loaded(app), len(app.registry.commands)
    names = ", ".join(map(_named, found)) or "-"
    return f"{len(found)} plugins, {commands} commands: {names} / {len(found)} 个插件，{commands} 个命令"


def missing(app: App) -> str:
    """Return what a bot lacks on which nobody can call: a plugin, or a command; "" for nothing."""
    if not _loaded(app):
        return "plugin"
    return "" if app.registry.commands else "plugin with a command"


def _loaded(app: App) -> list[PluginReport]:
    reports = app.host.reports.all()
    return [one for one in reports if one.state is PluginState.LOADED and one.name != CORE]


def _named(report: PluginReport) -> str:
    return f"{report.name} {report.version}".strip()
