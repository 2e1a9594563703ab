"""What a bot has said and done in a test: the transcript, and what of it no expectation has taken yet."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias, TypeVar

import attrs
import trio

from qqops.model import Action, Draft, MessageRef, RoomRef, Segment
from qqops.runtime.observe import Broke, Handled
from qqops.testing.failures import in_words

#: Lines of the transcript that a failed expectation shows.
SHOWN = 40

T = TypeVar("T", bound="Segment | Action")
#: What can be expected: a pattern in a text, a piece of a message, or something done.
Wanted: TypeAlias = "str | type[Segment | Action]"


class Said(str):
    """What the bot has said: the text, to be compared as any other.

    Attributes:
        ref: Its address: what people quote and react to.
        segments: What it is made of, content of pictures and files included.
    """

    ref: MessageRef
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, draft: Draft, ref: MessageRef) -> Said:
        """Return what *draft* is to those who read it."""
        said = cls(draft.text)
        said.ref, said.segments = ref, draft.segments
        return said


def place_of(thing: Said | Action) -> RoomRef | None:
    """Return where it was said or done; None for what concerns no room."""
    if isinstance(thing, Said):
        return thing.ref.room
    message = getattr(thing, "message", None)
    place: RoomRef | None = message.room if message is not None else getattr(thing, "room", None)
    return place


class Heard:
    """All ears.

    Attributes:
        transcript: Everything that was said, done and waited for, a line each.
        unread: What the bot has said and done and no expectation has taken.
        failures: What has failed and nobody has expected to: runs of handlers, and tasks, services and so on. What is left
            of it at the end of the test fails it: a test that wants a failure takes it from here, or expects what the bot
            says about it.
    """

    def __init__(self) -> None:
        self.transcript: list[str] = []
        self.unread: list[Said | Action] = []
        self.failures: list[Handled | Broke] = []
        self._news = trio.Event()

    def note(self, thing: Said | Action, by: str = "bot") -> None:
        """The bot has said or done *thing*."""
        self.unread.append(thing)
        self.transcript.append(f"{by}> {thing}" if isinstance(thing, Said) else f"{by} does {_short(thing)}")
        self._news.set()

    async def expect(self, wanted: Wanted, rooms: Collection[RoomRef] | None, within: float) -> object:
        """Wait until *wanted* is there in one of *rooms*, take it and return it; see `RoomUnderTest.expect`."""
        __tracebackhide__ = True
        find = _pattern(wanted) if isinstance(wanted, str) else _kind(wanted)
        with trio.move_on_after(within):
            while True:
                for thing in self._in(rooms):
                    if (found := find(thing)) is not None:
                        self._take(thing)
                        return found
                self._news = trio.Event()
                await self._news.wait()
        named = repr(wanted) if isinstance(wanted, str) else wanted.__name__
        raise AssertionError(
            f"expected {named} within {within:g} s\n{self._nearest(wanted, rooms)}{self.story()}"
        )

    def texts(self, rooms: Collection[RoomRef]) -> list[str]:
        """Return what was said in *rooms* and no expectation has taken."""
        return [thing for thing in self._in(rooms) if isinstance(thing, Said)]

    def story(self) -> str:
        """Return what an assertion says about how it came to this."""
        lines = self.transcript[-SHOWN:] or ["(nothing was said)"]
        left_out = len(self.transcript) - SHOWN
        more = [f"({left_out} lines before)"] if left_out > 0 else []
        shown = "\n  ".join([*more, *(line.replace("\n", "\n    ") for line in lines)])
        return "\n".join((f"transcript so far:\n  {shown}", *all_told(self.failures)))

    def _in(self, rooms: Collection[RoomRef] | None) -> Sequence[Said | Action]:
        return [thing for thing in self.unread if rooms is None or place_of(thing) in rooms]

    def _take(self, thing: Said | Action) -> None:
        self.unread = [one for one in self.unread if one is not thing]
        if isinstance(thing, Said):
            # Who expects the line about a failure has expected the failure.
            self.failures[:] = [
                one for one in self.failures if isinstance(one, Broke) or f"#{one.id}" not in thing
            ]

    def _nearest(self, wanted: Wanted, rooms: Collection[RoomRef] | None) -> str:
        if not isinstance(wanted, str):
            return ""
        texts = [thing for thing in self._in(rooms) if isinstance(thing, Said)]
        nearest = max(texts, key=lambda t: difflib.SequenceMatcher(None, t, wanted).ratio(), default=None)
        return f"nearest answer: {nearest!r}\n" if nearest is not None else "the bot said nothing more here\n"


def all_told(failures: Sequence[Handled | Broke]) -> list[str]:
    """Return what a test says about *failures*; what is said more than once, as of a task that starts again, once."""
    times = Counter(map(told, failures))
    return [f"({n} times) {text}" if n > 1 else text for text, n in times.items()]


def told(failure: Handled | Broke) -> str:
    """Return what a test says about *failure*: whose it is, and its traceback."""
    assert failure.error is not None
    if isinstance(failure, Broke):
        where = f" ({failure.where})" if failure.where else ""
        return (
            f"{failure.plugin}: the {failure.what} {failure.name}{where} failed:\n{in_words(failure.error)}"
        )
    return f"{failure.plugin}:{failure.handler} failed:\n{in_words(failure.error)}"


def _pattern(pattern: str) -> Callable[[Said | Action], object]:
    compiled = re.compile(pattern)
    return lambda thing: thing if isinstance(thing, Said) and compiled.search(thing) else None


def _kind(kind: type[T]) -> Callable[[Said | Action], T | None]:
    __tracebackhide__ = True
    assert isinstance(kind, type), (
        f"what is expected is a pattern or a class of segments or actions, not {kind!r}"
    )
    assert issubclass(kind, Segment | Action), (
        f"no bot says or does a {kind.__name__}: expect a segment or an action"
    )

    def find(thing: Said | Action) -> T | None:
        pieces = thing.segments if isinstance(thing, Said) else (thing,)
        return next((one for one in pieces if isinstance(one, kind)), None)

    return find


def _short(action: Action) -> str:
    values = ", ".join(f"{a.name}={_plain(getattr(action, a.name))}" for a in attrs.fields(type(action)))
    return f"{type(action).__name__}({values})"


def _plain(value: object) -> str:
    """Return an address as its id: the rest is the same all over a test."""
    return str(getattr(value, "id", None) or repr(value))
