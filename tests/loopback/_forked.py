"""Starts `qqops run` processes quickly: imports everything once, then forks one for each line on standard input.

A line is a folder with a ``qqops.toml``. The process's number goes to ``pid`` there, its exit code to ``code`` (negative
for a signal), what it writes to ``bot.log``.
"""

import importlib
import os
import pathlib
import select
import sys

#: What a bot with one WebQQ account loads on its way; nothing of it starts a thread or opens a file that stays open.
LOADED = (
    "qqops.cli.main", "qqops.cli.run", "qqops.adapters.webqq", "qqops.runtime.store", "alembic.command", "segno",
    "qqops_essentials",
)  # fmt: skip


def start(folder: pathlib.Path) -> int:
    """Fork a bot; return its number."""
    pid = os.fork()
    if pid:
        put(folder / "pid", pid)
        return pid
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, folder / "bot.log", os.O_WRONLY),
        (2, None, 0),
    ):
        if name is None:
            os.dup2(1, number)
        else:
            os.dup2(os.open(name, flags | os.O_CREAT | os.O_APPEND, 0o600), number)
    from qqops.__main__ import main

    sys.argv = ["qqops", "run", "--config", str(folder / "qqops.toml")]
    try:
        main()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    os._exit(0)


def put(path: pathlib.Path, value: int) -> None:
    """Write *value* so that a reader sees all of it or nothing."""
    beside = path.with_suffix(".new")
    beside.write_text(str(value))
    beside.replace(path)


def serve() -> None:
    """Fork, and tell who has ended, until standard input ends."""
    folders: dict[int, pathlib.Path] = {}
    while True:
        if select.select([0], [], [], 0.01)[0]:
            line = sys.stdin.readline().strip()
            if not line:
                return
            folders[start(pathlib.Path(line))] = pathlib.Path(line)
        while folders and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            put(folders.pop(ended[0]) / "code", os.waitstatus_to_exitcode(ended[1]))


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(module)
    serve()
