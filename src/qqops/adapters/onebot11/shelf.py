"""A folder that an implementation reads, too: pictures and files on their way out, for those who share a disk."""

from __future__ import annotations

import hashlib
import pathlib
import time

#: Seconds for which a file stays.
KEEP = 3600.0


class Shelf:
    """Puts content into a folder.

    Args:
        folder: The folder as we see it.
        seen_as: The same folder as the other side sees it, within its container; "" for the same.
    """

    def __init__(self, folder: str, seen_as: str) -> None:
        self._folder = pathlib.Path(folder).absolute()
        self._seen_as = pathlib.PurePosixPath(seen_as or self._folder.as_posix())
        self._swept = 0.0

    def place(self, content: bytes) -> str:
        """Return the ``file://`` URL under which the other side finds *content*. Old files go.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        name = hashlib.sha256(content).hexdigest()[:32]
        path = self._folder / name
        path.write_bytes(content)
        return f"file://{self._seen_as / name}"

    def _sweep(self) -> None:
        now = time.time()
        if now - self._swept < KEEP / 10:
            return
        self._swept = now
        for path in self._folder.iterdir():
            if len(path.name) == 32 and path.is_file() and now - path.stat().st_mtime > KEEP:
                path.unlink(missing_ok=True)
