"""Content of pictures and files: once in the data folder, bounded in size and age, and referred to everywhere else.

What waits to be sent, the journal and the records of observers hold a `Blob`; only the part that an adapter is sending holds
the bytes. They are written by the thread of the store, in one go with the row of the journal that refers to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import attrs
import structlog
import trio

from qqops.errors import ContentLost, Refuse, StoreError
from qqops.model import Blob, Clock, Draft, Forward, Medium, Node, Segment
from qqops.model.allowed import LARGEST, LONGEST, Between
from qqops.model.blob import media_type_of

if TYPE_CHECKING:
    from qqops.runtime.storage.store import Store

log = structlog.get_logger("qqops.blobs")

#: Bytes of content that are on the disk and stay in memory as well: most is sent right after it was queued.
CACHE = 16 * 2**20
#: Bytes that are kept in memory where nothing is kept on the disk.
MEMORY = 64 * 2**20
#: Seconds between two looks for what is too old.
SWEEP_EVERY = 3600.0


@attrs.frozen(kw_only=True)
class BlobPolicy:
    """Table ``[blobs]``.

    Attributes:
        max_bytes: Largest content of one picture or file.
        max_total: Bytes that are kept on the disk; the oldest go first.
        max_age: Seconds for which content is kept after it was last queued.
    """

    max_bytes: Annotated[int, Between(1, LARGEST)] = 32 * 2**20
    max_total: Annotated[int, Between(1, LARGEST)] = 2**30
    max_age: Annotated[float, Between(60, LONGEST)] = 7 * 86400.0


@attrs.define(eq=False)
class _Held:
    """Content in memory.

    Attributes:
        on_disk: Whether it is on the disk, too; set by the store's thread.
    """

    content: bytes
    on_disk: bool = False


class Blobs:
    """All content of one bot. Injected into handlers that ask for it.

    Args:
        store: Whose thread writes, beside whose file the folder is; None to keep everything in memory.
        waiting: Returns the digests of what waits to be sent, which is not deleted.

    Attributes:
        resumed: Set once what an earlier run has left waits again; nothing is deleted before.
    """

    def __init__(
        self,
        store: Store | None,
        policy: BlobPolicy,
        clock: Clock,
        waiting: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.policy = policy
        self._store = store
        self._folder = store.file.folder / "blobs" if store is not None else None
        self._clock = clock
        self._waiting = waiting
        self._memory: OrderedDict[str, _Held] = OrderedDict()
        self._held = 0
        self._new = 0
        self._kept: set[str] = set()
        self._failing = False
        self.resumed = trio.Event()

    # -- for plugins ----------------------------------------------------------------------------

    def keep(self, content: bytes, name: str = "", media_type: str = "") -> Blob:
        """Keep *content* and return what it is referred to by. Raises `Refuse` when it is too large."""
        blob, write = self._keep(content, name, media_type)
        if write is not None and self._store is not None:
            self._store.write_all((), first=write)
        return blob

    async def read(self, blob: Blob) -> bytes:
        """Return the content of *blob*.

        Raises:
            ContentLost: It is not there any more, or is damaged.
            StoreError: It cannot be read at the moment.
        """
        held = self._memory.get(blob.sha256)
        if held is not None:
            self._memory.move_to_end(blob.sha256)
            await trio.lowlevel.checkpoint()
            return held.content
        if self._store is None:
            raise ContentLost(f"{_called(blob)} is not kept any more")
        return await self._store.read(lambda _: self._load(blob))

    # -- for the outbox -------------------------------------------------------------------------

    def put_away(self, draft: Draft) -> tuple[Draft, Callable[[], bool] | None]:
        """Return *draft* with references in place of content, and what the store's thread is to do to keep that.

        Raises:
            Refuse: One content is too large.
        """
        writes: list[Callable[[], bool]] = []

        def away(medium: Medium) -> Medium:
            if not medium.content:
                return medium
            blob, write = self._keep(medium.content, getattr(medium, "name", "") or medium.id)
            if write is not None:
                writes.append(write)
            return attrs.evolve(medium, content=b"", blob=blob)

        if not any(isinstance(one, Medium | Forward) for one in draft.segments):
            return draft, None
        before = list(_blobs_of(draft.segments))
        for content, name in _contents_of(draft.segments):
            self._check(content, name)  # all of them first: what is refused leaves nothing behind
        segments = tuple(_replaced(one, away) for one in draft.segments)
        draft = attrs.evolve(draft, segments=segments)

        # After the new content: that may have ordered a sweep, which is to know of these.
        writes += [self._used(blob) for blob in before]

        def write_all() -> bool:
            results = [write() for write in writes]  # each of them, whatever became of the others
            return all(results)

        return draft, write_all if writes else None

    async def whole(self, draft: Draft) -> Draft:
        """Return *draft* with its content; raises as `read`."""
        contents = {blob.sha256: await self.read(blob) for blob in _blobs_of(draft.segments)}
        return _filled(draft, contents) if contents else draft

    def whole_now(self, draft: Draft) -> Draft:
        """Return *draft* with its content, as far as that is in memory: all of it where nothing is kept on the disk.

        Raises:
            ContentLost: Some of it is not.
        """
        contents = {}
        for blob in _blobs_of(draft.segments):
            held = self._memory.get(blob.sha256)
            if held is None:
                raise ContentLost(f"{_called(blob)} is not kept any more")
            contents[blob.sha256] = held.content
        return _filled(draft, contents) if contents else draft

    # -- the task -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Delete what is too old or too much, now and then, until cancelled."""
        await self.resumed.wait()
        while self._store is not None:
            self.sweep()
            await trio.sleep(SWEEP_EVERY)

    def sweep(self) -> None:
        """Let the store's thread delete what is too old or too much."""
        if self._store is not None and self.resumed.is_set():
            self._new = 0
            # What is queued from now on is added to this very set.
            self._kept, now = set(self._waiting()), self._clock.now().timestamp()
            kept = self._kept
            self._store.write_all((), first=lambda: self._sweep(kept, now))

    # -- memory ---------------------------------------------------------------------------------

    def _keep(
        self, content: bytes, name: str, media_type: str = ""
    ) -> tuple[Blob, Callable[[], bool] | None]:
        self._check(content, name)
        sha = hashlib.sha256(content).hexdigest()
        blob = Blob(sha, len(content), media_type or media_type_of(content, name), name)
        held = self._memory.get(sha)
        if held is None:
            held = self._memory[sha] = _Held(content)
            self._held += len(content)
            self._new += len(content)
        self._memory.move_to_end(sha)
        if self._folder is not None:
            self._kept.add(sha)
        self._make_room()
        if self._new > self.policy.max_total // 10:
            self.sweep()
        now = self._clock.now().timestamp()
        return blob, (lambda: self._write(sha, now)) if self._folder is not None else None

    def _check(self, content: bytes, name: str) -> None:
        most = self.policy.max_bytes
        if len(content) > most:
            what = name or "the content"
            raise Refuse(f"{what} has {len(content):,} bytes, more than blobs.max_bytes ({most:,})")

    def _used(self, blob: Blob) -> Callable[[], bool]:
        """Return what notes that *blob* was queued again."""
        sha, now = blob.sha256, self._clock.now().timestamp()
        if self._folder is None:
            return lambda: True
        self._kept.add(sha)
        return lambda: self._write(sha, now)

    def _make_room(self) -> None:
        """Forget the oldest of what is on the disk as well; and of everything when there is too much, or no disk."""
        if self._folder is not None:
            self._forget_beyond(CACHE, on_disk=True)
        self._forget_beyond(MEMORY, on_disk=False)

    def _forget_beyond(self, most: int, *, on_disk: bool) -> None:
        for sha, held in list(self._memory.items())[:-1] if self._held > most else ():
            if self._held <= most:
                return
            if held.on_disk or not on_disk:
                del self._memory[sha]
                self._held -= len(held.content)

    # -- in the store's thread ------------------------------------------------------------------

    def _path(self, sha: str) -> pathlib.Path:
        assert self._folder is not None
        return self._folder / sha[:2] / sha

    def _write(self, sha: str, now: float) -> bool:
        """Write content that is not there yet; return whether that went well.

        A disk that will not take it leaves it in memory, and is reported once.
        """
        path, held = self._path(sha), self._memory.get(sha)
        try:
            if held is None:
                with contextlib.suppress(FileNotFoundError):  # whoever sends it is told
                    os.utime(path, (now, now))
                return True  # it was sent again by its reference alone
            if not path.exists() or path.stat().st_size != len(held.content):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
                try:
                    with os.fdopen(handle, "wb") as file:
                        file.write(held.content)
                        file.flush()
                        os.fsync(file.fileno())
                    os.replace(name, path)
                except BaseException:
                    pathlib.Path(name).unlink(missing_ok=True)
                    raise
            os.utime(path, (now, now))
        except OSError as exc:
            if not self._failing:
                self._failing = True
                log.error(  # noqa: TRY400
                    "the folder of pictures and files cannot be written: they would not survive a restart",
                    folder=str(self._folder), reason=exc.strerror or str(exc),
                )  # fmt: skip
            return False
        self._failing = False
        held.on_disk = True
        return True

    def _load(self, blob: Blob) -> bytes:
        path = self._path(blob.sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError as exc:
            raise ContentLost(f"{_called(blob)} is not kept any more ({exc.strerror})") from exc
        except OSError as exc:
            raise StoreError(f"{path} cannot be read: {exc.strerror or exc}") from exc
        if hashlib.sha256(content).hexdigest() != blob.sha256:
            path.unlink(missing_ok=True)
            raise ContentLost(f"{_called(blob)} is damaged on the disk: {path}")
        return content

    def _sweep(self, waiting: Collection[str], now: float) -> bool:
        assert self._folder is not None
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        total, deleted = sum(size for _, size, _ in found), 0
        for time, size, path in sorted(found):
            old = now - time > self.policy.max_age
            if path.name not in waiting and (old or total > self.policy.max_total):
                with contextlib.suppress(OSError):
                    path.unlink()
                    total, deleted = total - size, deleted + 1
        if deleted:
            log.info("old pictures and files were deleted", files=deleted, bytes_left=total)
        return True


def waiting_in(drafts: Iterable[Draft]) -> set[str]:
    """Return the digests of what *drafts* refer to."""
    return {blob.sha256 for draft in drafts for blob in _blobs_of(draft.segments)}


def _filled(draft: Draft, contents: Mapping[str, bytes]) -> Draft:
    def fill(medium: Medium) -> Medium:
        blob = medium.blob
        return medium if blob is None else attrs.evolve(medium, content=contents[blob.sha256])

    return attrs.evolve(draft, segments=tuple(_replaced(one, fill) for one in draft.segments))


def _contents_of(segments: tuple[Segment, ...]) -> Iterator[tuple[bytes, str]]:
    for one in segments:
        if isinstance(one, Medium):
            yield one.content, getattr(one, "name", "") or one.id
        elif isinstance(one, Forward):
            for node in one.nodes:
                yield from _contents_of(node.segments)


def _blobs_of(segments: tuple[Segment, ...]) -> Iterator[Blob]:
    for one in segments:
        if isinstance(one, Medium) and one.blob is not None and not one.content:
            yield one.blob
        elif isinstance(one, Forward):
            for node in one.nodes:
                yield from _blobs_of(node.segments)


def _replaced(one: Segment, change: Callable[[Medium], Medium]) -> Segment:
    """Return *one* with each medium in it changed."""
    if isinstance(one, Medium):
        return change(one)
    if isinstance(one, Forward) and one.nodes:
        nodes = [
            Node(node.sender, node.name, tuple(_replaced(part, change) for part in node.segments))
            for node in one.nodes
        ]
        return Forward(one.id, tuple(nodes))
    return one


def _called(blob: Blob) -> str:
    return repr(blob.name) if blob.name else f"content {blob.sha256[:12]}…"
