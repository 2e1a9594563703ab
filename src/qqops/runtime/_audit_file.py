"""The audit on disk: JSON lines, each with the hash of the one before, so that a line that was removed shows.

Blocking code; the audit calls it in a thread, the command line directly.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from qqops.errors import StoreError

#: The file that is written to; full ones are numbered.
NAME = "audit.jsonl"
#: Bytes after which a new file is begun, and full files that are kept: enough for a million commands.
MAX_BYTES, KEPT = 16 * 1024 * 1024, 20
#: What the very first line has in the place of a hash.
ORIGIN = "0" * 64
#: Bytes at the end of a file in which its last lines are looked for.
TAIL = 256 * 1024


@attrs.frozen
class Verdict:
    """What a look at the whole audit has found.

    Attributes:
        lines: How many there are.
        first: Number of the first; not 1 when older files are gone.
        problem: File, line and what is wrong there, or "".
    """

    lines: int
    first: int
    problem: str = ""


class AuditFile:
    """Appends to the audit of one folder.

    Args:
        max_bytes: Size at which a new file is begun.
        kept: Full files that stay.
        write: Writes to a file descriptor.
    """

    def __init__(
        self, folder: pathlib.Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT,
        write: Callable[[int, memoryview], int] = os.write,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._path = folder / NAME
        self._max_bytes = max_bytes
        self._kept = kept
        self._write_some = write
        self._file: int = -1
        self._size = 0
        self._previous = ORIGIN
        self._number = 0

    def open(self) -> list[dict[str, Any]]:
        """Return its last lines, and go on after them. The file is made when the first line is written.

        A line that a crash has cut short is cut off then. Raises `StoreError`.
        """
        try:
            last = [line for path in files(self._folder)[-2:] for line in _tail(path)]
            entries = [json.loads(line) for line in last]
        except (OSError, ValueError) as exc:
            raise StoreError(f"the audit {self._path} cannot be read: {exc}") from exc
        if entries:
            self._previous, self._number = _hash(last[-1]), int(entries[-1]["n"])
        return entries

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(
            self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600
        )
        os.fchmod(self._file, 0o600)
        self._size = os.fstat(self._file).st_size
        end = os.pread(self._file, TAIL, max(0, self._size - TAIL))
        if end and not end.endswith(b"\n"):
            self._size -= len(end) - (end.rfind(b"\n") + 1)
            os.ftruncate(self._file, self._size)

    def append(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Write *entries* and return them as they stand there; returns when they are on the disk.

        Raises:
            StoreError: They are not, none of them.
        """
        previous, number = self._previous, self._number
        lines, written = [], []
        for entry in entries:
            number += 1
            whole = {"n": number, **entry, "prev": previous}
            line = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
            previous = _hash(line)
            lines.append(line + b"\n")
            written.append(whole)
        data = b"".join(lines)
        try:
            if self._file < 0:
                self._open()
            if self._size and self._size + len(data) > self._max_bytes:
                self._rotate()
            self._write(data)
        except OSError as exc:
            raise StoreError(f"the audit cannot be written: {exc.strerror or exc}") from exc
        self._size += len(data)
        self._previous, self._number = previous, number
        return written

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[self._write_some(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)  # half a line would break the chain
            raise

    def _rotate(self) -> None:
        os.close(self._file)
        self._file = -1
        full = files(self._folder)[:-1]
        number = int(full[-1].stem.partition("-")[2]) + 1 if full else 1
        self._path.rename(self._folder / f"audit-{number:06d}.jsonl")
        for old in full[: max(0, len(full) + 1 - self._kept)]:
            old.unlink()
        self._open()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of an audit, the oldest first."""
    newest = folder / NAME
    return [*sorted(folder.glob("audit-*.jsonl")), *([newest] if newest.exists() else [])]


def lines_of(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, int, bytes]]:
    """Yield file, line number and line of a whole audit."""
    for path in files(folder):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield path, number, line.rstrip(b"\n")


def verify(folder: pathlib.Path) -> Verdict:
    """Return whether every line of an audit is there and unchanged. Raises `StoreError`."""
    previous, number, first, count = "", 0, 0, 0
    try:
        for path, row, line in lines_of(folder):
            where = f"{path.name}:{row}"
            try:
                entry = json.loads(line)
                found, chained = int(entry["n"]), str(entry["prev"])
            except (ValueError, KeyError, TypeError):
                return Verdict(count, first, f"{where}: this is not a line of an audit")
            if not count:
                first, number, previous = found, found - 1, ORIGIN if found == 1 else chained
            if found != number + 1:
                return Verdict(count, first, f"{where}: the line after {number} is missing")
            if chained != previous:
                return Verdict(count, first, f"{where}: the line before was changed")
            previous, number = _hash(line), found
            count += 1
    except OSError as exc:
        raise StoreError(f"the audit cannot be read: {exc.strerror or exc}") from exc
    return Verdict(count, first)


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _tail(path: pathlib.Path) -> list[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1].split(b"\n")
    return whole[1 if size > TAIL else 0 : -1]
