"""Runs a play: from a script, or from a prompt with history and line editing."""

from __future__ import annotations

import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

import trio

from qqops._file import read_text
from qqops.app import App
from qqops.cli import exits
from qqops.cli.loaded import line
from qqops.cli.play import ExpectationFailed, Play
from qqops.cli.stage import Heard, Stage
from qqops.errors import ConfigError

#: Seconds for the first login.
FIRST_LOGIN = 60.0


def read_script(script: str | None) -> list[str] | None:
    """Return the lines of a script file, ``-`` for standard input; None when there is a person at a terminal.

    Raises:
        ConfigError: The file cannot be read.
    """
    if script is None and sys.stdin.isatty():
        return None
    if script in (None, "-"):
        return sys.stdin.read().removeprefix("\ufeff").splitlines()
    try:
        return read_text(pathlib.Path(script or "")).splitlines()
    except (OSError, ValueError) as exc:
        raise ConfigError(f"cannot read the script {script}: {exc}") from exc


async def perform(app: App, make_stage: Callable[[Heard], Stage], lines: list[str] | None) -> int:
    """Run *app* and play *lines*, or what is typed; return the exit code."""
    stop = trio.Event()
    code = exits.OK
    holder: list[Play] = []
    stage = make_stage(lambda place, private, text: holder[0].heard(place, private, text))
    play = Play(app, stage, _write, echo=lines is not None)
    holder.append(play)
    if lines is None:
        _write(f"* {line(app)}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_quit_on_signal, nursery.cancel_scope)
        await nursery.start(app.run, stop)
        try:
            await play.online(FIRST_LOGIN)
            await (_script(play, lines) if lines is not None else _typed(play))
        except ExpectationFailed as exc:
            print(exc, file=sys.stderr, flush=True)
            code = exits.FAILED
        stop.set()
        await app.ended.wait()
        nursery.cancel_scope.cancel(reason="the play is over")
    return code


async def _script(play: Play, lines: list[str]) -> None:
    for number, text in enumerate(lines, 1):
        try:
            goes_on = await play.line(text)
        except ConfigError as exc:
            raise ConfigError(exc.message, where=f"line {number}", hint=exc.hint) from exc
        if not goes_on:
            return
        await play.settle()


async def _typed(play: Play) -> None:
    """Read lines from a prompt until ``:quit`` or the end of the input."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    session: PromptSession[str] = PromptSession()
    _write("* :help shows what you can do here / 输入 :help 查看帮助")
    with patch_stdout(raw=True):
        while True:
            text = await _prompt(session, play)
            if text is None:
                return
            try:
                if not await play.line(text):
                    return
                # A short moment, so that a quick answer stands above the next prompt.
                with trio.move_on_after(0.3):
                    await play.settle()
            except (ConfigError, ExpectationFailed) as exc:
                _write(f"* {exc}")


async def _prompt(session: Any, play: Play) -> str | None:
    """Return a typed line; None at Ctrl-D or Ctrl-C. Cancellation gives the terminal back."""

    def read() -> str | None:
        try:
            return str(session.prompt(lambda: play.prompt, handle_sigint=False))
        except (EOFError, KeyboardInterrupt):
            return None

    try:
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True)
    except trio.Cancelled:
        loop = session.app.loop
        if loop is not None and session.app.is_running:
            loop.call_soon_threadsafe(session.app.exit)
        raise


async def _quit_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel(reason="signal")
            return


def _write(line: str) -> None:
    print(line, flush=True)
