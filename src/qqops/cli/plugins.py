"""``qqops plugin list``."""

from __future__ import annotations

import pathlib

from qqops.cli import exits
from qqops.cli.config import load_for_check


def list_plugins(path: pathlib.Path) -> int:
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
