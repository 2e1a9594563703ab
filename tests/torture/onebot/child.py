"""The process of the bot, seen from outside: started, listened to, measured, ended."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import trio

from tests.torture import ROOT

#: One pool of memory for all threads: from others the system gets nothing back, and what is free would count as held.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1"}
#: How often the use of resources is asked for; the least of the answers counts.
LOOKS = 3
#: Seconds in which it must answer, and end.
ANSWER, END = 20.0, 20.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def write_settings(folder: pathlib.Path, where: Mapping[str, str], *, journal: bool) -> None:
    """Write the settings of the bot: what comes with qqops but for pace, waits, and the memory of duplicates.

    Short waits let many disconnects fit into a run. The pace of sends is off, so that it is not what is measured. The
    window of duplicates is small, so that it is full, and grows no more, before the first measurement.
    """
    connection = "\n".join(f'{key} = "{value}"' for key, value in where.items())
    (folder / "qqops.toml").write_text(
        f"""
[journal]
on = {str(journal).lower()}

[dispatch]
window = 100

[accounts.main]
network = "onebot11"
{connection}
room_gap = 0
jitter = 0
call_deadline = 3
upload_deadline = 3
ping_every = 1
ping_patience = 1

[accounts.main.link]
retry_first = 0.05
retry_cap = 0.5
retry_stable = 5
""",
        encoding="utf-8",
    )


class Child:
    """One process of the bot.

    Args:
        folder: Where its settings, its store and its log are.
        told: Gets what it prints.
    """

    def __init__(
        self, folder: pathlib.Path, seed: int, told: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self.folder = folder.resolve()  # the bot runs in another one
        self._seed = seed
        self._told = told
        self._process: trio.Process | None = None
        self._reported = trio.Event()
        self._answers: list[Mapping[str, int]] = []
        self._over = trio.Event()

    async def run(self) -> None:
        """Run it until it ends."""
        command = [sys.executable, "-m", "tests.torture.onebot.bot", str(self.folder), str(self._seed)]
        process = await trio.lowlevel.open_process(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **ALLOCATOR},
        )
        self._process = process
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_log, process)
                nursery.start_soon(self._read_lines, process)
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            self._over.set()

    async def _read_lines(self, process: trio.Process) -> None:
        assert process.stdout is not None
        rest = b""
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                kind, _, data = line.partition(b" ")
                found = json.loads(data)
                if kind == b"U":
                    self._answers.append(found)
                    self._reported.set()
                self._told(kind.decode(), found)

    async def _read_log(self, process: trio.Process) -> None:
        """Keep its log in a file."""
        assert process.stderr is not None
        async with await trio.open_file(self.folder / "bot.log", "ab") as file:
            async for chunk in process.stderr:
                await file.write(chunk)
                await file.flush()

    async def usage(self) -> Mapping[str, int]:
        """Return what it holds: memory now and at most, open files, threads, tasks."""
        process = self._process
        assert process is not None
        looks = []
        for _ in range(LOOKS):
            self._reported = trio.Event()
            process.send_signal(signal.SIGUSR1)
            with trio.fail_after(ANSWER):
                await self._reported.wait()
            looks.append({"tasks": self._answers[-1]["tasks"], **_held_by(process.pid)})
            await trio.sleep(0.1)
        return {key: min(look[key] for look in looks) for key in looks[0]}

    async def end(self, how: signal.Signals) -> int:
        """Send *how* and wait for its end; return the exit code."""
        process = self._process
        if process is None:
            return 1
        if process.returncode is None:
            process.send_signal(how)
        with trio.move_on_after(END):
            await self._over.wait()
        if process.returncode is None:
            process.kill()
        return await process.wait()


def _held_by(pid: int) -> Mapping[str, int]:
    """Return what the system says that a process holds."""
    folder = pathlib.Path(f"/proc/{pid}")
    rows = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    status = {key: value.split()[0] for key, _, value in rows if value.strip()}
    return {
        "rss_kb": int(status["VmRSS"]), "peak_kb": int(status["VmHWM"]), "threads": int(status["Threads"]),
        "fds": len(os.listdir(folder / "fd")),
    }  # fmt: skip
