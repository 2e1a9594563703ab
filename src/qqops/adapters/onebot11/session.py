"""One session with a OneBot v11 implementation, over one WebSocket or a pair of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import structlog
import trio

from qqops.adapters.base import Link, Outgoing
from qqops.adapters.onebot11.actions import OneBot
from qqops.adapters.onebot11.calls import Calls
from qqops.adapters.onebot11.intake import Intake
from qqops.adapters.onebot11.introduce import PROBE, introduce
from qqops.adapters.onebot11.media import Media
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.websocket.socket import Unauthorized, WebSocket
from qqops.errors import NotSent, ProtocolError, Refuse, TransientError
from qqops.model import Delivery, Draft, Outcome
from qqops.protocol.onebot11.answers import is_auth_failure, is_missing, said, sent
from qqops.protocol.onebot11.errors import OneBotProtocolError
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.sends import Request, is_heavy, request_of
from qqops.protocol.onebot11.wire import Frame, decode, number

log = structlog.get_logger("qqops.onebot11")

#: Close codes that mean that the token is wrong: policy (1008), and what some choose for it.
_REFUSALS = (1008, 4001, 4003)


class LiveSession:
    """One session, from open sockets to its end.

    Attributes:
        abilities: What the account can do besides sending.
    """

    def __init__(
        self,
        options: OneBotOptions,
        link: Link,
        reader: Reader,
        intake: Intake,
        numbers: itertools.count[int],
        events: WebSocket,
        api: WebSocket,
    ) -> None:
        self._options = options
        self._link = link
        self._reader = reader
        self._sockets = (events,) if events is api else (events, api)
        self._api = api
        self._media = Media(options)
        self.calls = Calls(api, numbers, options.call_deadline)
        self.abilities = OneBot(reader, self.calls, self._media, options.upload_deadline)
        self._intake = intake
        self._nursery: trio.Nursery | None = None

    async def run(self, outbox: Outgoing) -> None:
        """Hold the session until it is over.

        Raises:
            TransientError: It is over.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for socket in self._sockets:
                    nursery.start_soon(socket.write, name="write")
                    nursery.start_soon(self._read, socket, name="read")
                    nursery.start_soon(
                        socket.keep_alive, self._options.ping_every, self._options.ping_patience
                    )
                nursery.start_soon(self.calls.sweep, name="deadlines")
                nursery.start_soon(self._intake.watch_heartbeat, name="heartbeat")
                nursery.start_soon(self._intake.deliver, self._link, name="deliver")
                self._link.alive(PROBE * 3)
                names = await introduce(self.calls, self._reader, self._options.self_id)
                self._link.online(names, me=self._reader.self_id, ids="qq")
                self._link.alive(math.inf)  # pings and heartbeats watch from here on
                await self._link.ready()
                self._intake.begin(self._link)
                await outbox.stream(self._post)
        finally:
            self.calls.close()

    # -- in -------------------------------------------------------------------------------------

    async def _read(self, socket: WebSocket) -> None:
        opened = trio.current_time()
        carries_answers = socket is self._api
        try:
            while True:
                for data in await socket.receive():
                    try:
                        self._frame(decode(data))
                    except ProtocolError as exc:
                        self._link.malformed(exc)
                if not carries_answers and self._intake.crowded:
                    await self._intake.roomy()  # nobody waits for an answer here: let the other side wait
        except TransientError as exc:
            if socket.close_code in _REFUSALS and trio.current_time() - opened < PROBE:
                raise Unauthorized(f"refused after opening: {exc}; is the token right?", status=1008) from exc
            raise

    def _frame(self, frame: Frame) -> None:
        """Take one frame. Answers are never held up: handlers that wait for them are what empties the backlog."""
        if "post_type" in frame:
            self._intake.take(frame)
        elif "echo" in frame and frame["echo"] is not None:
            self.calls.answer(frame)
        elif is_auth_failure(frame) and not self._intake.open:
            raise Unauthorized(
                f"refused: {said(frame) or 'wrong token'}", status=number(frame.get("retcode"))
            )
        elif "status" in frame:
            self.calls.answer(frame)
        else:
            raise OneBotProtocolError("neither an event nor an answer", payload=frame)

    # -- out ------------------------------------------------------------------------------------

    def _post(self, draft: Draft, settle: Callable[[Outcome], None]) -> Callable[[], bool]:
        """Put a message on the wire; see `qqops.adapters.base.Poster`."""
        if is_heavy(draft):
            return self._post_heavy(draft, settle)
        mark = self._put(request_of(draft, self._reader.temporary, self._reader.self_id), draft, settle, 0.0)
        return lambda: self._api.has_left(mark)

    def _put(self, request: Request, draft: Draft, settle: Callable[[Outcome], None], deadline: float) -> int:
        def answered(frame: Frame | None) -> None:
            if frame is None:
                reason = f"no answer within {deadline or self._options.call_deadline:g} s"
                settle(Outcome(delivery=Delivery.UNKNOWN, reason=reason))
            elif request.plainer is not None and is_missing(frame):
                try:
                    self._put(request.plainer, draft, settle, deadline)
                except NotSent as exc:
                    settle(Outcome(delivery=Delivery.REFUSED, reason=str(exc)))
            else:
                settle(sent(frame, draft.room, self.calls.flavor))

        return self.calls.post(request.action, request.params, answered, deadline)

    def _post_heavy(self, draft: Draft, settle: Callable[[Outcome], None]) -> Callable[[], bool]:
        """Put a message with pictures or files on the wire, once its contents are where the other side finds them."""
        mark = 0

        async def place_and_put() -> None:
            nonlocal mark
            try:
                ready = await self._media.placed(draft)
                request = request_of(ready, self._reader.temporary, self._reader.self_id)
                mark = self._put(request, ready, settle, self._options.upload_deadline)
            except (Refuse, NotSent) as exc:
                settle(Outcome(delivery=Delivery.REFUSED, reason=str(exc)))
            except Exception as exc:
                log.exception("error in the adapter", room=str(draft.room))
                settle(Outcome(delivery=Delivery.REFUSED, reason=f"error in the adapter: {exc}"))

        assert self._nursery is not None
        self._nursery.start_soon(place_and_put, name="send")
        return lambda: bool(mark) and self._api.has_left(mark)
