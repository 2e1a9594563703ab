"""The person at the terminal, and the one who looks into a folder.

What cannot be shown now (a full disk, a folder that lost its rights) is a `TransientError`: it is tried again. Only an
input that has ended can never bring an answer.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.cli.picture import draw_qr, file_name, save
from qqops.errors import NeedsHuman, TransientError
from qqops.runtime.threads import InThread, in_thread

T = TypeVar("T")

#: Seconds between two looks for an answer file.
LOOK = 1.0
#: Longest answer, in characters; a captcha has four.
MAX_ANSWER = 200


class _Disk:
    """A folder, used from a thread of its own."""

    def __init__(self, folder: pathlib.Path, threads: InThread) -> None:
        self.folder = folder
        self._threads = threads
        self._limiter = trio.CapacityLimiter(1)

    async def save(self, question: Question) -> pathlib.Path:
        """Save the picture and return its path. Raises `TransientError`."""
        return await self.call(
            lambda: save(question, self.folder), f"the picture cannot be saved in {self.folder}"
        )

    async def call(self, call: Callable[[], T], failure: str) -> T:
        """Return what *call* returns. Raises `TransientError` with the text *failure* and the reason."""
        try:
            result: T = await self._threads(call, limiter=self._limiter, abandon_on_cancel=False)
        except OSError as exc:
            raise TransientError(f"{failure}: {exc.strerror or exc}") from exc
        return result


class Terminal:
    """Asks on standard error and reads answers from standard input, one question at a time.

    Args:
        folder: Where pictures are saved.
    """

    def __init__(self, folder: pathlib.Path, threads: InThread = in_thread) -> None:
        self._disk = _Disk(folder, threads)
        self._turn = trio.Lock()
        self._line: trio.Event | None = None
        self._read = ""

    async def ask(self, question: Question) -> str:
        """Save the picture and return the typed answer.

        Raises:
            TransientError: The picture cannot be saved, and so not be looked at.
            NeedsHuman: The input has ended.
        """
        async with self._turn:
            path = await self._disk.save(question)
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
        """Draw the QR code and say where its picture is. What is drawn need not be saved.

        Raises:
            TransientError: It can be neither drawn nor saved.
        """
        drawing = draw_qr(question.picture) if question.kind is QuestionKind.QR else ""
        try:
            where = f"picture: {await self._disk.save(question)}"
        except TransientError as exc:
            if not drawing:
                raise
            where = str(exc)
        hint = "" if drawing else "\n  (install qqops[qr] to see it here)"
        self._print(f"\n{question.account}: {question.text}\n{drawing}\n  {where}{hint}")

    def _print(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=sys.stderr, flush=True)
        except OSError as exc:  # it may be a file on the full disk
            raise TransientError(f"standard error cannot be written: {exc.strerror}") from exc


def _read_line(take: Callable[[str], None], token: trio.lowlevel.TrioToken) -> None:
    line = sys.stdin.readline()
    try:
        token.run_sync_soon(take, line)
    except trio.RunFinishedError:
        return  # the bot has ended meanwhile


class Folder:
    """Puts pictures into a folder and waits for ``answer-ACCOUNT.txt`` there; for bots without a terminal."""

    def __init__(self, folder: pathlib.Path, threads: InThread = in_thread) -> None:
        self._disk = _Disk(folder, threads)

    async def ask(self, question: Question) -> str:
        """Save the picture and return what is written into the answer file.

        Raises:
            TransientError: The folder cannot be written.
        """
        folder, name = self._disk.folder, file_name(question)
        path, note = folder / f"answer-{name}.txt", folder / f"question-{name}.txt"
        text = f"{question.text}: write the answer into {path.name}\n"
        if question.picture:
            await self._disk.save(question)
        try:
            await self._disk.call(lambda: _write(note, text), f"{note} cannot be written")
            while True:
                answer = await self._disk.call(lambda: _take_file(path), f"{path} cannot be taken")
                if answer:
                    return answer
                await trio.sleep(LOOK)
        finally:
            with contextlib.suppress(OSError):  # it says which account it was for, and does no harm
                note.unlink(missing_ok=True)

    async def show(self, question: Question) -> None:
        """Save the picture. Raises `TransientError`."""
        await self._disk.save(question)


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _take_file(path: pathlib.Path) -> str:
    """Return the content of *path* and delete it; "" while there is none.

    An answer that cannot be deleted is not used: it would answer the next question, too.
    """
    try:
        text = path.read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    if text:
        path.unlink()
    return text[:MAX_ANSWER]
