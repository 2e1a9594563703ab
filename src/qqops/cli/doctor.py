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
from qqops.cli.config import load_for_check
from qqops.errors import QQOpsError
from qqops.plugin.host import PluginState
from qqops.runtime.agenda import time_zone


class Finding(NamedTuple):
    """One line of the report; *fix* is what to do when it is not fine."""

    state: str
    text: str
    fix: str = ""


FINE, WARN, BAD = "ok", "warn", "FAIL"


def doctor(path: pathlib.Path) -> int:
    """Print the report; return the exit code: failed when something must be fixed."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python, _encoding, _extras, _time, _loopback, lambda: _folder(path), lambda: _bot(path),
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


def _bot(path: pathlib.Path) -> Iterator[Finding]:
    try:
        app, file = load_for_check(path)
    except QQOpsError as exc:
        yield Finding(BAD, str(exc), "then run `qqops check` again")
        return
    if file is not None:
        yield Finding(FINE, f"{path}: {len(app.supervisors)} accounts")
    else:
        yield Finding(WARN, f"there is no {path}", "`qqops init` writes one; `qqops demo` needs none")
    for report in app.host.reports.all():
        if report.state is PluginState.SKIPPED:
            yield Finding(
                BAD,
                f"plugin {report} is skipped: {report.reason}",
                f"see {report.where}" if report.where else "`qqops plugin list` shows it",
            )
    if app.registry.commands:
        yield Finding(FINE, f"{len(app.registry.commands)} commands from plugins")
    else:
        yield Finding(WARN, "no plugin brings a command", "pip install qqops-essentials")
