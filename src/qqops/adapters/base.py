"""What an adapter is, and what it is given.

An adapter connects one account to one network. It has one method that matters, `Adapter.serve`: hold one
session until it is over. It never reconnects, never retries a send, and leaves no task behind; the
supervisor does the first, the outbox decides the second, the nursery inside `serve` sees to the third.
"""

from __future__ import annotations

import enum
import pathlib
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import attrs

from qqops.errors import PluginError, ProtocolError
from qqops.model import (
    AccountRef,
    Capabilities,
    Clock,
    Draft,
    Event,
    Later,
    Outcome,
    Pace,
    Room,
    RoomKind,
    RoomRef,
    User,
)

if TYPE_CHECKING:
    from qqops.adapters.http.exchange import HttpHandler, HttpRequest

#: Awaited right before a part goes on the wire; returns when it is its turn, at the pace of the account.
OnWire: TypeAlias = Callable[[], Awaitable[None]]

#: Sends one part and returns how it went, or when it is to be tried again. What concerns one message is a value: an
#: upload that fails, a room that is not known. What must be done before (uploads, look-ups) is done before `OnWire` is
#: awaited, and holds up that room alone.
#:
#: An `AdapterError` ends the session, and is for that alone. A part for which `OnWire` was not awaited has not left and
#: stays queued, also after `NotSent`; of any other nobody knows, and it is never sent again. Any other exception is an
#: error in the adapter: it costs that one message.
Sender: TypeAlias = Callable[[Draft, OnWire], Awaitable[Outcome | Later]]


#: Puts one part on the wire without waiting; *settle* is called once when it is known how it went, unless the session
#: ends before. Returns what tells whether the part has left us. Raises `NotSent` when it cannot go.
Poster: TypeAlias = Callable[[Draft, Callable[[Outcome | Later], None]], Callable[[], bool]]


class QuestionKind(enum.Enum):
    """What a person is asked to do."""

    #: Read the letters in a picture and type them.
    CAPTCHA = "captcha"
    #: Scan a QR picture with the phone; no typed answer.
    QR = "qr"
    #: The picture has gone stale; answered when a fresh one is of use to somebody. No `Operator` gets this: they can be
    #: shown a fresh picture at any time.
    RENEWAL = "renewal"


@attrs.frozen(kw_only=True)
class Question:
    """Something only a person can do.

    Attributes:
        picture: Bytes of the picture, as the service sent them.
        text: One line that says what is wanted.
    """

    account: AccountRef
    kind: QuestionKind
    text: str
    picture: bytes = b""


class Operator(Protocol):
    """Somebody who can be asked, and shown a newer picture at any time: a terminal, a folder, a test."""

    async def ask(self, question: Question) -> str:
        """Put *question* and return the typed answer.

        Raises:
            TransientError: It cannot be put now (a full disk); it is tried again.
            NeedsHuman: Nobody is there who could ever answer.
        """

    async def show(self, question: Question) -> None:
        """Show the picture of *question*; the answer comes another way. Raises as `ask` does."""


class Outgoing(Protocol):
    """The queue of what this account has to send."""

    async def carry(self, send: Sender) -> None:
        """Run *send* for each waiting part until cancelled: one of each room at a time, at the account's `pace`."""

    async def stream(self, post: Poster) -> None:
        """Do the same with *post*, for adapters that can put a part on the wire without waiting."""


class Link(Protocol):
    """What a session tells its supervisor."""

    def event(self, event: Event) -> None:
        """Something happened. Synchronous: chatter is decided on the spot."""

    def chatter(self, text: str) -> bool:
        """Whether nobody wants a group message that is all *text*; then there is no need to make an event of it."""

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to events of *kind*; if not, there is no need to look up what makes one whole."""

    async def ready(self) -> None:
        """Wait while the bot has more work than it may hold. Call it once per read, before the next one."""

    def alive(self, within: float) -> None:
        """The service has just proved that it is there, and will do so again within *within* seconds.

        When that promise is not kept the supervisor ends the session.
        """

    def online(self, names: Sequence[str], *, me: str = "", ids: str = "") -> None:
        """The session can receive and send now.

        Args:
            names: What people call this bot there.
            me: Its own id, as other accounts meet it in the rooms that they share; "" where each account sees the others
                under ids of its own.
            ids: What that is an id of: accounts that say the same meet the same people and rooms under the same ids, of
                whatever network they are (``qq``). "" for the network's own.
        """

    def waiting(self, cause: str) -> None:
        """There is nothing to do before the other side comes to us; no deadline holds until `alive`."""

    def note(self, cause: str) -> None:
        """The session works and something is wrong all the same (*cause*), or is well again ("")."""

    @property
    def full(self) -> bool:
        """Whether the bot has more work than it may hold. Who cannot stop reading keeps what comes until `ready`."""

    def overflow(self, dropped: int) -> None:
        """An event had to be dropped; *dropped* of this account were, since the start."""

    def malformed(self, error: ProtocolError) -> None:
        """Something unreadable came in and was skipped."""

    @property
    def lost(self) -> bool:
        """Whether the session is being ended because the service was not heard of any more."""

    async def ask(self, question: Question) -> str:
        """Ask a person; the state of the account says so meanwhile.

        Raises:
            NeedsHuman: Nobody is there who could ever answer.
        """

    async def show(self, question: Question) -> None:
        """Show a person a picture; the account's state says so until the session is online. Raises as `ask` does."""


class Directory(Protocol):
    """Remembers under which names permanent numbers were seen, beyond sessions and restarts.

    *kind* is ``remark`` (given by the account itself), ``card`` (in the room *place*), ``nick`` or ``room``.
    """

    def note(self, account: AccountRef, kind: str, place: str, name: str, number: str) -> None:
        """Note that *number* is called *name*."""

    def find(self, account: AccountRef, kind: str, place: str, name: str) -> Sequence[str]:
        """Return the numbers that were called so, the latest first."""


class Adapter(Protocol):
    """One account on one network."""

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""

    @property
    def pace(self) -> Pace:
        """How fast this account may send."""

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what this account can do in rooms of *kind* at this moment; cheap, for it is asked of each message."""

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session, from the first request to its end.

        Cancellation: says good-bye to the service within two seconds, leaves no task behind.

        Raises:
            TransientError: The session is over; try again.
            NeedsHuman: A person must act and nobody could be asked.
            FatalError: This account cannot go on.
        """

    def rooms(self) -> Sequence[Room]:
        """Return the rooms that the account knows at this moment."""

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*, as far as the network tells."""

    # An adapter whose ids of messages depend on what it could look up may also have the method
    # ``heard_before(seen: Sequence[tuple[str, str]])``: it is told, before anything is read, the (room id, message id) of
    # what an earlier run has accepted.


class Routed(Protocol):
    """A path that belongs to an adapter."""

    def close(self) -> None:
        """Give it back; what is being served there is cancelled."""


class Listening(Protocol):
    """An address on which other programs call us: accounts and plugins share it."""

    @property
    def address(self) -> str:
        """``HOST:PORT``."""

    @property
    def trouble(self) -> str:
        """Why it is not open, or ""."""

    def route(
        self,
        path: str,
        handler: HttpHandler,
        *,
        owner: str,
        websocket: bool = False,
        accepts: Callable[[HttpRequest], bool] | None = None,
    ) -> Routed:
        """Let *handler* answer what comes for *path*; see `qqops.runtime.listener.Listener.route`.

        Raises:
            ConfigError: *path* is none, or somebody has it already.
        """


@attrs.frozen(kw_only=True)
class Opening:
    """What an adapter may want to know when it is made.

    Attributes:
        folder: Where the adapter may keep files.
        directory: What is known of people and rooms; None when nothing is remembered.
        listener: Returns the listener at ``HOST:PORT``, for adapters that are called from outside; it raises `ConfigError`
            for what is not an address.
    """

    account: AccountRef
    clock: Clock
    rng: random.Random
    folder: pathlib.Path
    listener: Callable[[str], Listening]
    directory: Directory | None = None


@attrs.frozen(kw_only=True, eq=False)
class Network:
    """A kind of network, as a plugin offers it.

    Attributes:
        name: What stands as ``network = "…"`` in the settings.
        options: attrs class of the account's further settings; unknown keys are refused. None may be called as one of
            `RESERVED`.
        open: Makes the adapter of one account. Does no I/O. Raises `ConfigError` for options that cannot work together; its
            *where* may be the name of the option that is wrong. What a single option may be stands in its type.
        remembers: Whether it makes use of `Opening.directory`; else that is None.
        identity: Returns by which options the service knows an account, as option → what no other account of the network
            may have there: ``{"number": 10001}``. What says nothing, such as a number left out, is not in it.
    """

    name: str
    options: type[Any]
    open: Callable[[Opening, Any], Adapter]
    remembers: bool = False
    identity: Callable[[Any], Mapping[str, Hashable]] = lambda options: {}

    #: Keys that an account of any network has; no further one is ever added.
    RESERVED: ClassVar[frozenset[str]] = frozenset({"network", "link"})

    def __attrs_post_init__(self) -> None:
        """Refuse options that could not be set.

        Raises:
            PluginError: One has a reserved name.
        """
        for name in sorted(self.RESERVED & {a.name for a in attrs.fields(self.options)}):
            raise PluginError(
                f"network {self.name!r}: the option {name!r} of {self.options.__qualname__} cannot be set, for every account "
                "has a key of this name; call it something else"
            )
