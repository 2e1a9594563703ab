"""Pictures and files of a OneBot v11 account: on their way out to where the implementation finds them, and fetched."""

from __future__ import annotations

import pathlib
import urllib.parse
import urllib.request
from collections.abc import Callable

import attrs
import trio

from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.onebot11.shelf import Shelf
from qqops.errors import Refuse
from qqops.model import Draft, Forward, Medium, Node, Segment
from qqops.protocol.onebot11.segments import in_frame


class Media:
    """Places contents for one account: in the frames themselves, or in a folder that both sides see.

    Args:
        options: ``media_folder``, ``media_seen_as``, ``max_media``, ``media_hosts``.
    """

    def __init__(self, options: OneBotOptions) -> None:
        self._most = int(options.max_media * 2**20)
        self._threads = trio.CapacityLimiter(
            2
        )  # a burst of pictures needs no more, and much memory if it gets more
        self._hosts = frozenset(host.casefold() for host in options.media_hosts)
        shelf = Shelf(options.media_folder, options.media_seen_as) if options.media_folder else None
        self._place: Callable[[bytes], str] = in_frame if shelf is None else shelf.place

    async def placed(self, draft: Draft) -> Draft:
        """Return *draft* with each content replaced by where the other side finds it.

        The work is done in a thread: a large picture must not hold up everybody else.

        Raises:
            Refuse: Too large, no such file, or the folder cannot be written.
        """
        return await trio.to_thread.run_sync(self._placed, draft, limiter=self._threads)

    async def place(self, medium: Medium) -> str:
        """Return where the other side finds *medium*: ``base64://…``, ``file://…``, its URL or its id. As `placed`."""
        return await trio.to_thread.run_sync(self._where, medium, limiter=self._threads)

    def _placed(self, draft: Draft) -> Draft:
        return attrs.evolve(draft, segments=tuple(self._segment(one) for one in draft.segments))

    def _segment(self, one: Segment) -> Segment:
        if isinstance(one, Medium):
            return attrs.evolve(one, content=b"", url=self._where(one))
        if isinstance(one, Forward) and one.nodes:
            return Forward(one.id, tuple(self._node(node) for node in one.nodes))
        return one

    def _node(self, node: Node) -> Node:
        return Node(node.sender, node.name, tuple(self._segment(one) for one in node.segments))

    def _where(self, medium: Medium) -> str:
        content = medium.content
        if not content and medium.url.startswith("file://"):
            content = self._read(medium.url)
        if not content:
            return medium.url or medium.id
        if len(content) > self._most:
            raise Refuse(
                f"{len(content) / 2**20:.1f} MiB are more than max_media allows ({self._most >> 20})"
            )
        try:
            return self._place(content)
        except OSError as exc:
            raise Refuse(f"media_folder cannot be written: {exc.strerror or exc}") from exc

    def _read(self, url: str) -> bytes:
        """Return a file of ours; a plugin names it, never what somebody wrote."""
        path = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
        try:
            if path.stat().st_size > self._most:
                raise Refuse(f"{path} is larger than max_media allows ({self._most >> 20} MiB)")
            return path.read_bytes()
        except OSError as exc:
            raise Refuse(f"{path} cannot be read: {exc.strerror or exc}") from exc

    async def fetch(self, url: str) -> bytes:
        """Return what is at *url*, at most ``max_media``. The HTTP library is loaded by who needs it.

        Raises:
            Refuse: It cannot be had.
        """
        from qqops.adapters.http.download import download

        host = (urllib.parse.urlsplit(url).hostname or "").casefold() if self._hosts else ""
        return await download(url, most=self._most, private=host in self._hosts)
