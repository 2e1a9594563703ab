"""The person at the terminal, and the one who looks into a folder."""

from __future__ import annotations

import pathlib
import re
import sys
import threading
from collections.abc import Callable

import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.cli.picture import draw_qr, save
from qqops.errors import NeedsHuman

#: Seconds between two looks for an answer file.
LOOK = 1.0


class Terminal:
    """Asks on standard error and reads answers from standard input, one question at a time.

    Args:
        folder: Where pictures are saved.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._turn = trio.Lock()
        self._line: trio.Event | None = None
        self._read = ""

    async def ask(self, question: Question) -> str:
        """Show the picture and return the typed answer. Raises `NeedsHuman` when the input has ended."""
        if question.kind is QuestionKind.RENEWAL:
            return ""  # whoever sits here may be shown a fresh picture at any time
        async with self._turn:
            path = await _save(question, self._folder)
            self._print(
                f"\n{question.account}: what does the picture say?\n  picture: {path}\n  answer: ", end=""
            )
            line = await self._next_line()
        if not line:
            raise NeedsHuman(
                f"a captcha must be answered, and there is no terminal; the picture is in {path}"
            )
        return line.strip()

    async def _next_line(self) -> str:
        """Return the next line. One thread reads it, also when the question it was for is over by then."""
        if self._line is None:
            self._line = trio.Event()
            token = trio.lowlevel.current_trio_token()
            # A daemon: a thread that waits for a key must not hold the end of the process up.
            threading.Thread(target=_read_line, args=(self._take, token), daemon=True).start()
        await self._line.wait()
        self._line = None
        return self._read

    def _take(self, line: str) -> None:
        self._read = line
        if self._line is not None:
            self._line.set()

    async def show(self, question: Question) -> None:
        """Draw the QR code and say where its picture is."""
        path = await _save(question, self._folder)
        drawing = draw_qr(question.picture) if question.kind is QuestionKind.QR else ""
        hint = "" if drawing else "\n  (install qqops[qr] to see it here)"
        self._print(f"\n{question.account}: {question.text}\n{drawing}\n  picture: {path}{hint}")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


def _read_line(take: Callable[[str], None], token: trio.lowlevel.TrioToken) -> None:
    line = sys.stdin.readline()
    try:
        token.run_sync_soon(take, line)
    except trio.RunFinishedError:
        return  # the bot has ended meanwhile


class Folder:
    """Puts pictures into a folder and waits for ``answer-ACCOUNT.txt`` there; for bots without a terminal."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    async def ask(self, question: Question) -> str:
        """Save the picture and return what is written into the answer file."""
        name = re.sub(r"[^\w.-]", "_", question.account.id)
        path = self._folder / f"answer-{name}.txt"
        if question.picture:
            await _save(question, self._folder)
        note = self._folder / f"question-{name}.txt"
        await trio.to_thread.run_sync(_write, note, f"{question.text}: write the answer into {path.name}\n")
        try:
            while True:
                text = await trio.to_thread.run_sync(_take_file, path)
                if text:
                    return text
                await trio.sleep(LOOK)
        finally:
            note.unlink(missing_ok=True)

    async def show(self, question: Question) -> None:
        """Save the picture."""
        await _save(question, self._folder)


def _write(path: pathlib.Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise NeedsHuman(f"the question cannot be written to {path}: {exc.strerror}") from exc


def _take_file(path: pathlib.Path) -> str:
    """Return the content of *path* and delete it; "" while there is none."""
    try:
        text = path.read_text("utf-8", "replace").strip()
        if text:
            path.unlink()
    except OSError:
        return ""
    return text[:200]


async def _save(question: Question, folder: pathlib.Path) -> pathlib.Path:
    try:
        return await trio.to_thread.run_sync(save, question, folder)
    except OSError as exc:
        raise NeedsHuman(f"the picture cannot be saved in {folder}: {exc.strerror}") from exc
