"""Files of single plugins: a folder of its own for each, and a name never leads out of it."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import TypeVar

import trio

from qqops.runtime.threads import InThread, in_thread

T = TypeVar("T")

#: Bytes of one file that are read or written at once: they are held in memory meanwhile.
MOST = 64 * 2**20
#: Bytes of a name, and of one part of it: what file systems take, less what a file has in front while it is written.
LONGEST, LONGEST_PART = 1000, 200
#: Files of all plugins that are read or written at the same time.
AT_ONCE = 4
#: What the name of a file begins with while it is written.
UNFINISHED = ".qqops-"
#: Names that are devices on Windows, whatever stands behind a dot.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}
)
#: Signs that no file has on Windows; a backslash divides there, and a colon names a drive.
_SIGNS = frozenset('<>:"|?*\\')


class Folders:
    """Where the files of all plugins lie.

    Args:
        root: The folder, made when it is first needed; without one a temporary one, which `discard` removes.
    """

    def __init__(self, root: pathlib.Path | None, threads: InThread | None = None) -> None:
        self._root = root
        self._temporary: str | None = None
        self.threads = threads or in_thread
        self.limiter = trio.CapacityLimiter(AT_ONCE)

    def of(self, plugin: str) -> pathlib.Path:
        """Return the folder of *plugin*, which is there afterwards; nobody else on this machine can look into it."""
        if self._root is None and self._temporary is None:
            self._temporary = tempfile.mkdtemp(prefix="qqops-files-")
        root = self._root if self._root is not None else pathlib.Path(self._temporary or "")
        folder = root / plugin
        if not folder.is_dir():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def discard(self) -> None:
        """Remove the temporary folder, if there is one."""
        folder, self._temporary = self._temporary, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class Files:
    """The files of one plugin, injected by type. They stay over reloads and restarts.

    Names are relative and divided by ``/``; folders are made as they are needed. A name that could lead out of the plugin's
    folder, or that some system does not take, is a ``ValueError``.
    """

    def __init__(self, folders: Folders, plugin: str) -> None:
        self._folders = folders
        self._plugin = plugin

    @property
    def path(self) -> pathlib.Path:
        """The folder, for what needs one: it is there, with mode 0700. What is done in it may wait, so do that in a thread."""
        return self._folders.of(self._plugin)

    async def read(self, name: str, *, most: int = MOST) -> bytes:
        """Return what the file *name* holds.

        Raises:
            FileNotFoundError: There is none.
            ValueError: The name is refused, or it holds more than *most* bytes.
        """
        return await self._run(_read, name, most)

    async def read_text(self, name: str, *, most: int = MOST) -> str:
        """Return the text of the file *name*, which is UTF-8; see `read`."""
        return (await self.read(name, most=most)).decode("utf-8")

    async def write(self, name: str, content: bytes | str) -> None:
        """Write *content*, a text as UTF-8: afterwards the file holds all of it, and what it held before until then.

        Raises:
            ValueError: The name is refused, or it is more than `MOST` bytes.
        """
        data = content.encode() if isinstance(content, str) else bytes(content)
        if len(data) > MOST:
            raise ValueError(f"{name!r}: {len(data)} bytes are more than a file may have at once ({MOST})")
        await self._run(_write, name, data)

    async def delete(self, name: str) -> bool:
        """Delete the file *name*; return whether there was one. Raises `ValueError` for a name that is refused."""
        return await self._run(_delete, name)

    async def list(self, prefix: str = "") -> list[str]:
        """Return the names of all files that begin with *prefix*, in order."""
        path = self.path
        return await self._in_thread(functools.partial(_list, path, prefix))

    async def _run(self, work: Callable[..., T], name: str, *args: object) -> T:
        parts = checked(name)
        path = self.path
        return await self._in_thread(lambda: work(_inside(path, name, parts), *args))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # A thread at the disk is not left alone when somebody is cancelled: it ends what it has begun.
        found: T = await self._folders.threads(work, limiter=self._folders.limiter, abandon_on_cancel=False)
        return found


def checked(name: object) -> tuple[str, ...]:
    """Return the parts of *name*. Raises `ValueError` for a name that leads elsewhere, or that some system does not take."""

    def refused(why: str) -> ValueError:
        return ValueError(f"{name!r} is no name for a file of a plugin: {why}")

    if not isinstance(name, str) or not name:
        raise refused("write it as a text, like 'reports/today.csv'")
    if name.startswith("/"):
        raise refused("it is absolute; names begin in the plugin's own folder")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        raise refused(f"it is longer than {LONGEST} bytes")
    parts = tuple(name.split("/"))
    for part in parts:
        if part in ("", ".", ".."):
            raise refused(f"the part {part!r} leads elsewhere")
        if bad := next((one for one in part if one in _SIGNS or not one.isprintable()), None):
            raise refused(f"it has {bad!r} in it")
        if part[-1] in ". " or part.partition(".")[0].rstrip().casefold() in _DEVICES:
            raise refused(f"{part!r} means something else on Windows")
        if part.startswith(UNFINISHED):
            raise refused(f"{UNFINISHED} is what a file begins with while it is written")
        if len(part.encode()) > LONGEST_PART:
            raise refused(f"a part of it is longer than {LONGEST_PART} bytes")
    return parts


def _inside(folder: pathlib.Path, name: str, parts: tuple[str, ...]) -> pathlib.Path:
    """Return where the file lies. Raises `ValueError` when a symbolic link on the way leads out of *folder*."""
    path = folder.joinpath(*parts)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{name!r} is no name for a file of a plugin: a symbolic link leads out of its folder"
        )
    return path


def _read(path: pathlib.Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path.name!r} holds more than {most} bytes")
    return data


def _write(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)  # mode 0600
    try:
        with open(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name lasts as well
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _delete(path: pathlib.Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _list(folder: pathlib.Path, prefix: str) -> list[str]:
    found = (
        pathlib.Path(where, name).relative_to(folder).as_posix()
        for where, _, names in os.walk(folder)
        for name in names
        if not name.startswith(UNFINISHED)
    )
    return sorted(name for name in found if name.startswith(prefix))
