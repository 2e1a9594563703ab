"""``qqops plugin list`` and ``qqops plugin check``."""

from __future__ import annotations

import pathlib
import textwrap

from qqops._structure import nearest
from qqops.cli import exits
from qqops.cli.examine import load_for_check
from qqops.errors import ConfigError
from qqops.plugin.host import PluginState


def list_plugins(path: pathlib.Path | None) -> int:
    """Print name, version, state, load time, and the reason when skipped; return the exit code."""
    app, _ = load_for_check(path)
    rows = [("plugin", "version", "state", "load", "package")]
    for report in app.host.reports.all():
        load = f"{report.load_ms:.0f} ms" if report.load_ms else "-"
        rows.append((report.name, report.version or "-", report.state.value, load, report.package or "-"))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for report in app.host.reports.all():
        if report.reason:
            print(f"\n{report}: {report.reason}")
            if report.where:
                print(f"  at {report.where}")
        for note in report.notes:
            print(f"\n{report}: {note}")
    return exits.OK


def check_plugins(path: pathlib.Path | None, name: str, *, traceback: bool) -> int:
    """Load the plugin *name* (all for "") and print what is wrong, or what it declares; return the exit code.

    Args:
        traceback: Print the whole error of what is skipped.

    Raises:
        ConfigError: There is no such plugin, or the settings are wrong.
    """
    app, _ = load_for_check(path)
    known = sorted({report.name for report in app.host.reports.all()})
    if name and name not in known:
        raise ConfigError(f"there is no plugin {name!r}", hint=nearest(name, known))
    wrong = False
    for report in app.host.reports.all():
        if name not in ("", report.name):
            continue
        wrong = wrong or report.state is PluginState.SKIPPED or bool(report.unsettled)
        print(f"{report}: {report.state.value}" + (f": {report.why}" if report.reason else ""))
        if traceback and report.traceback:
            print(textwrap.indent(report.traceback, "  "))
        if (found := app.host.collected(report.name)) is not None and report.state is PluginState.LOADED:
            for command in found.commands:
                print(f"  {app.registry.prefixes[0]}{command.usage}  {command.handler.where}")
            for what, records in (("listener", found.listeners), ("job", found.jobs)):
                for one in records:
                    print(f"  {what} {one.handler.name}  {one.handler.where}")
            for filter_ in found.filters:
                print(f"  filter {filter_.name} around {filter_.wraps.value}  {filter_.where}")
        for note in report.notes:
            print(f"  {note}")
    return exits.FAILED if wrong else exits.OK
