"""``qqops doctor``: what is missing or wrong on this machine, and how to fix it."""

from __future__ import annotations

import importlib.util
import locale
import os
import pathlib
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from qqops.cli import exits
from qqops.cli.examine import DEFAULT, examine
from qqops.cli.loaded import HINT
from qqops.errors import QQOpsError
from qqops.runtime.agenda import time_zone


class Finding(NamedTuple):
    """One line of the report; *fix* is what to do when it is not fine."""

    state: str
    text: str
    fix: str = ""


FINE, WARN, BAD = "ok", "warn", "FAIL"


def doctor(config: pathlib.Path | None) -> int:
    """Print the report; return the exit code: failed when something must be fixed.

    Args:
        config: The settings file; None for the one that is looked for, which may be missing.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python, _encoding, _extras, _time, _loopback, lambda: _folder(config or DEFAULT), lambda: _bot(config),
    ]  # fmt: skip
    worst = exits.OK
    for check in checks:
        for finding in check():
            print(f"[{finding.state:>4}] {finding.text}")
            if finding.fix:
                print(f"       → {finding.fix}")
            if finding.state == BAD:
                worst = exits.FAILED
    return worst


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(FINE, f"Python {version} on {sys.platform}")


def _encoding() -> Iterator[Finding]:
    name = (getattr(sys.stdout, "encoding", "") or locale.getpreferredencoding()).lower().replace("-", "")
    if name == "utf8":
        yield Finding(FINE, "the terminal takes UTF-8")
    else:
        yield Finding(WARN, f"the terminal's encoding is {name}: Chinese may not show", "export PYTHONUTF8=1")


def _extras() -> Iterator[Finding]:
    for module, what, extra in (
        ("PIL", "QR codes are drawn in the terminal", "qr"),
        ("segno", "the simulator makes real QR codes", "qr"),
        ("websockets", "accounts on OneBot v11 can be had", "onebot"),
    ):
        if importlib.util.find_spec(module) is not None:
            yield Finding(FINE, what)
        else:
            yield Finding(WARN, f"not so: {what}", f"pip install 'qqops[{extra}]'")


def _time() -> Iterator[Finding]:
    try:
        time_zone("Asia/Shanghai")
        yield Finding(FINE, "time zones are known")
    except QQOpsError:
        yield Finding(BAD, "time zones are not known", "pip install tzdata")


def _loopback() -> Iterator[Finding]:
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), 2),
        ):
            yield Finding(FINE, "loopback connections work")
    except OSError as exc:
        yield Finding(
            BAD,
            f"no connection to 127.0.0.1: {exc}",
            "the demo and the simulator need it; check the firewall",
        )
    proxies = [name for name in ("http_proxy", "https_proxy", "all_proxy") if os.environ.get(name)]
    if proxies:
        yield Finding(FINE, f"{', '.join(proxies)} set; qqops connects directly and does not use them")


def _folder(path: pathlib.Path) -> Iterator[Finding]:
    folder = path.resolve().parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            yield Finding(FINE, f"{folder} can be written")
    except OSError as exc:
        yield Finding(BAD, f"{folder} cannot be written: {exc.strerror}", "start qqops in a folder of yours")


def _bot(config: pathlib.Path | None) -> Iterator[Finding]:
    try:
        found = examine(config)
    except QQOpsError as exc:
        yield Finding(BAD, str(exc), "then run `qqops check` again")
        return
    for mistake in found.wrong:
        yield Finding(BAD, str(mistake), "then run `qqops check` again")
    if found.file is None:
        yield Finding(WARN, f"there is no {found.path}", "`qqops init` writes one; `qqops demo` needs none")
    elif not found.wrong:
        yield Finding(FINE, f"{found.path}: {len(found.app.supervisors)} accounts")
    for report in found.skipped:
        place = report.where if not report.mistakes else ""
        for line in report.mistakes or (report.reason,):
            yield Finding(
                BAD,
                f"plugin {report} is skipped: {line}",
                f"see {place}" if place else "`qqops plugin list` shows it",
            )
    for line in (*found.unowned, *found.unsettled):
        yield Finding(BAD, line, "`qqops check --strict` fails for it as well")
    if found.app.registry.commands:
        yield Finding(FINE, f"{len(found.app.registry.commands)} commands from plugins")
    else:
        yield Finding(WARN, "no plugin brings a command", HINT)
