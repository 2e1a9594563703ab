"""What plugins do to messages on their way out: each gets the draft, and returns one, or None to hold it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs
import structlog
import trio

from qqops.model import Draft
from qqops.runtime.border import ANYTHING
from qqops.runtime.observe import Broke, Observer, nobody

log = structlog.get_logger("qqops.outgoing")


@attrs.frozen(kw_only=True, eq=False)
class Outgoing:
    """One link of the chain; the lowest *order* comes first.

    Attributes:
        where: ``file:line`` of the function.
    """

    plugin: str
    name: str
    where: str
    order: int
    call: Callable[[Draft], Draft | None]


class Chain:
    """All links of one bot, in their order.

    Attributes:
        tell: Is told of a link that fails.
    """

    def __init__(self) -> None:
        self.tell: Observer = nobody
        self._links: tuple[Outgoing, ...] = ()

    def add(self, links: Iterable[Outgoing]) -> None:
        """Add the links of one plugin; those of equal order stay in the order of loading."""
        self._links = tuple(sorted((*self._links, *links), key=lambda one: one.order))

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(self._links)

    def drop(self, plugin: str) -> None:
        """Forget the links of *plugin*."""
        self._links = tuple(one for one in self._links if one.plugin != plugin)

    @trio.lowlevel.enable_ki_protection
    def through(self, draft: Draft) -> tuple[Draft, str]:
        """Return what is to be sent instead of *draft*, and "" or why nothing is. An error means nothing."""
        for link in self._links:
            try:
                passed: object = link.call(draft)
            except ANYTHING as exc:
                log.exception("an outgoing function failed: the message is held back", where=link.where)
                self.tell(
                    Broke(
                        plugin=link.plugin,
                        what="outgoing function",
                        name=link.name,
                        where=link.where,
                        error=exc,
                    )
                )
                return draft, f"{link.plugin}:{link.name} failed"
            if passed is None:
                return draft, f"{link.plugin}:{link.name} held it back"
            if not isinstance(passed, Draft) or passed.room != draft.room or not passed.segments:
                log.error("an outgoing function returns a draft to the same room, or None", where=link.where)
                return draft, f"{link.plugin}:{link.name} returned no draft to the same room"
            draft = passed
        return draft, ""
