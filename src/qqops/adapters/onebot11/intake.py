"""Events of a OneBot v11 account on their way in: kept while the bot has no room, dropped and counted beyond that.

What was accepted outlives the session: OneBot brings nothing again, so an event that waits when the connection breaks is
handed over by the next session.
"""

from __future__ import annotations

import math
from collections import deque

import structlog
import trio

from qqops.adapters.base import Link
from qqops.errors import ProtocolError, TransientError
from qqops.model import Event
from qqops.protocol.onebot11.errors import OneBotProtocolError
from qqops.protocol.onebot11.events import Reader, plain_talk
from qqops.protocol.onebot11.wire import Frame, decode, fields, number, text

log = structlog.get_logger("qqops.onebot11")

#: Events that are kept while the bot has more work than it may hold; what comes beyond that is dropped and counted.
MAX_HELD = 20_000
#: Seconds for which events are kept that come while no session is open (HTTP posts come whether we are there or not).
KEEP = 600.0
#: Heartbeats that may be missed, and seconds below which a missing one means nothing.
MISSED, MIN_SILENCE = 3, 10.0
#: Seconds between two heartbeats above which a number is taken for nonsense.
MAX_BEAT = 86400.0


class Intake:
    """What comes in for one account.

    Attributes:
        dropped: Events that were dropped because the bot could not keep up.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._link: Link | None = None
        self._early: deque[tuple[float, Frame]] = deque()
        self._held: deque[Event] = deque()
        self._wake = trio.Event()
        self._roomy = trio.Event()
        self._beat_by = math.inf
        self._beaten = trio.Event()
        self.dropped = 0

    @property
    def open(self) -> bool:
        """Whether a session has begun; events before that are kept."""
        return self._link is not None

    @property
    def crowded(self) -> bool:
        """Whether events wait for the bot; who can afford not to read should not."""
        return bool(self._held)

    async def roomy(self) -> None:
        """Wait until no event waits any more."""
        while self._held:
            self._roomy = trio.Event()
            await self._roomy.wait()

    def begin(self, link: Link) -> None:
        """Let events through to *link*, those first that came before."""
        self._link = link
        early, self._early = self._early, deque()
        oldest = trio.current_time() - KEEP
        for came, frame in early:
            if came >= oldest:
                try:
                    self.take(frame)
                except ProtocolError as exc:
                    link.malformed(exc)
        self._wake.set()

    def end(self) -> None:
        """The session is over; what was accepted is kept for the next."""
        self._link = None
        self._beat_by, self._beaten = math.inf, trio.Event()

    def take_early(self, messages: list[bytes]) -> None:
        """Take what came on a connection that no session has used yet; what is not an event concerns nobody then."""
        for data in messages:
            try:
                frame = decode(data)
                if "post_type" in frame:
                    self.take(frame)
            except ProtocolError as exc:
                log.warning("malformed data skipped", error=str(exc))

    def take(self, frame: Frame) -> bool:
        """Take an event; return whether there was room for it.

        Raises:
            ProtocolError: It cannot be read; it concerns this event alone.
        """
        link = self._link
        if link is None:
            if len(self._early) >= MAX_HELD:
                self.dropped += 1
                return False
            self._early.append((trio.current_time(), frame))
            return True
        try:
            return self._read(frame, link)
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as exc:
            # An implementation has found a field that our reader does not expect; the next event will be fine.
            raise OneBotProtocolError(
                f"an event cannot be read: {type(exc).__name__}: {exc}", payload=frame
            ) from exc

    def _read(self, frame: Frame, link: Link) -> bool:
        if not self._reader.self_id and frame.get("self_id"):
            self._reader.self_id = text(frame["self_id"])
        if frame.get("post_type") == "meta_event":
            self._meta(frame, link)
            return True
        talk = plain_talk(frame)
        if talk and link.chatter(talk):
            return True
        event = self._reader.read(frame)
        if event is None:
            return True
        if frame.get("notice_type") == "bot_offline":
            link.note(f"QQ is offline: {text(frame.get('message')) or text(frame.get('tag'))}")
        if not self._held and not link.full:
            link.event(event)
        elif len(self._held) < MAX_HELD:
            self._held.append(event)
            self._wake.set()
        else:
            self.dropped += 1
            link.overflow(self.dropped)
            return False
        return True

    async def deliver(self, link: Link) -> None:
        """Hand over what was held, as the bot gets room; until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._held:
                await link.ready()
                while self._held and not link.full:
                    link.event(self._held.popleft())
            self._roomy.set()

    def _meta(self, frame: Frame, link: Link) -> None:
        if frame.get("meta_event_type") != "heartbeat":
            return
        online = fields(frame.get("status")).get("online")
        if online is False:
            link.note("QQ is offline: the connection works, sends will fail")
        elif online is True:
            link.note("")
        interval = number(frame.get("interval")) / 1000
        if 0 < interval <= MAX_BEAT:
            self._beat_by = trio.current_time() + max(MISSED * interval, MIN_SILENCE)
            self._beaten.set()

    async def watch_heartbeat(self) -> None:
        """End the session when heartbeats were heard of and do not come any more.

        Raises:
            TransientError: They do not.
        """
        await self._beaten.wait()
        while self._beat_by > trio.current_time():  # noqa: ASYNC110 - each beat moves the moment
            await trio.sleep_until(self._beat_by)
        raise TransientError(f"{MISSED} heartbeats are missing: the connection is open and dead")
