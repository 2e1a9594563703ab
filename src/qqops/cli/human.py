"""The person at the terminal."""

from __future__ import annotations

import pathlib
import sys

import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.cli.picture import draw_qr, save
from qqops.errors import NeedsHuman


class Terminal:
    """Asks on standard error and reads answers from standard input, one question at a time.

    Args:
        folder: Where pictures are saved.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._turn = trio.Lock()

    async def ask(self, question: Question) -> str:
        """Show the picture and return the typed answer. Raises `NeedsHuman` when the input has ended."""
        async with self._turn:
            path = await self._save(question)
            self._print(
                f"\n{question.account}: what does the picture say?\n  picture: {path}\n  answer: ", end=""
            )
            line: str = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        if not line:
            raise NeedsHuman(
                f"a captcha must be answered, and there is no terminal; the picture is in {path}"
            )
        return line.strip()

    async def show(self, question: Question) -> None:
        """Draw the QR code and say where its picture is."""
        path = await self._save(question)
        drawing = draw_qr(question.picture) if question.kind is QuestionKind.QR else ""
        hint = "" if drawing else "\n  (install qqops[qr] to see it here)"
        self._print(f"\n{question.account}: {question.text}\n{drawing}\n  picture: {path}{hint}")

    async def _save(self, question: Question) -> pathlib.Path:
        try:
            return await trio.to_thread.run_sync(save, question, self._folder)
        except OSError as exc:
            raise NeedsHuman(f"the picture cannot be saved in {self._folder}: {exc.strerror}") from exc

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)
