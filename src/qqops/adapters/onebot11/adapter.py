"""OneBot v11: QQ through NapCat, LLBot, SnowLuma, go-cqhttp and others that log in for us.

Either side may open the connection. `Forward` dials the implementation, `Reverse` waits for it; from then on both are
the same session. Needs the extra ``qqops[onebot]``.
"""

from __future__ import annotations

import datetime
import itertools
import urllib.parse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from qqops.adapters.base import Link, Listening, Opening, Outgoing
from qqops.adapters.http.exchange import HttpAnswer, HttpRequest, address
from qqops.adapters.onebot11.actions import OneBot
from qqops.adapters.onebot11.arrivals import Arrivals, TakenOver
from qqops.adapters.onebot11.intake import Intake
from qqops.adapters.onebot11.options import MAX_AT_ONCE, OneBotOptions
from qqops.adapters.onebot11.session import LiveSession
from qqops.adapters.websocket.handshake import Dial, connect
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import Mistakes, Refuse, TransientError
from qqops.model import (
    AccountRef,
    Action,
    Capabilities,
    Delivery,
    File,
    FileOffered,
    Image,
    Outcome,
    Pace,
    PersonRef,
    Profile,
    Quoted,
    Room,
    RoomKind,
    RoomRef,
    Upload,
    User,
)
from qqops.protocol.onebot11.actions import actions_in
from qqops.protocol.onebot11.errors import excerpt
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.segments import SEGMENTS

if TYPE_CHECKING:
    from qqops.adapters.onebot11.http import HttpSession

log = structlog.get_logger("qqops.onebot11")

#: Seconds for opening a connection, and at most for closing one.
CONNECT = 10.0


class OneBot11:
    """One account. What outlives a session: names, open requests, the count of requests."""

    def __init__(
        self,
        account: AccountRef,
        options: OneBotOptions,
        now: Callable[[], datetime.datetime],
        listener: Listening | None,
        dial: Dial = connect,
    ) -> None:
        check(options)
        self._account = account
        self._options = options
        self._listener = listener
        self._connect = dial
        self._can = {
            kind: Capabilities(
                actions=actions_in(kind) | {Upload}, segments=SEGMENTS | {Quoted}, max_bytes=options.max_bytes
            )
            for kind in RoomKind
        }
        self._reader = Reader(account, now)
        self._reader.self_id = str(options.self_id or "")
        self._numbers = itertools.count(1)
        self._live: LiveSession | HttpSession | None = None
        self._intake = Intake(self._reader)
        self._arrivals = Arrivals(options, str(account), self._intake.take_early)
        self._arrivals.posted = self._take_post
        if listener is not None:
            listener.route(
                options.path or "/*",
                self._arrivals.handle,
                owner=str(account),
                websocket=not options.url,
                # Without a number it takes what no other account on the path claims.
                accepts=self._arrivals.accepts if options.self_id else None,
            )

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._account

    @property
    def pace(self) -> Pace:
        """How fast it may send."""
        options = self._options
        over_http = self._listener is not None and bool(options.url)
        return Pace(
            gap=options.send_gap,
            room_gap=options.room_gap,
            jitter=options.jitter,
            in_flight=min(options.in_flight, MAX_AT_ONCE) if over_http else options.in_flight,
        )

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what the account can do; the implementation may still lack some of it, and then says so."""
        can = self._can[kind]
        if self._live is not None and not self._live.calls.flavor.files:
            return attrs.evolve(can, segments=can.segments - {File})
        return can

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session; see `qqops.adapters.base.Adapter.serve`."""
        if self._listener is not None and self._options.url:
            await self._serve_http(link, outbox, self._listener)
        elif self._listener is not None:
            await self._serve_reverse(link, outbox, self._listener)
        else:
            await self._serve_forward(link, outbox)

    async def _serve_forward(self, link: Link, outbox: Outgoing) -> None:
        sockets: list[WebSocket] = []
        try:
            for url in filter(None, (self._options.url, self._options.api_url)):
                sockets.append(await self._dial(url))  # noqa: PERF401 - those that are open are closed below
            await self._hold(link, outbox, sockets[0], sockets[-1])
        finally:
            for socket in sockets:
                with trio.move_on_after(CONNECT, shield=True):
                    await socket.aclose()

    async def _dial(self, url: str) -> WebSocket:
        token = self._options.token.reveal()
        headers = [("Authorization", f"Bearer {token}")] if token else []
        return await self._connect(url, headers, within=CONNECT, max_size=self._options.max_frame * 2**20)

    async def _serve_reverse(self, link: Link, outbox: Outgoing, listener: Listening) -> None:
        if listener.trouble:
            raise TransientError(listener.trouble)
        where = f"ws://{listener.address}{self._options.path.removesuffix('*') or '/'}"

        def tell(missing: str) -> None:
            link.waiting(f"waiting for {missing or 'a connection'} to {where}")

        while await self._is_taken_over(link, outbox, tell):
            log.info("a newer connection of the account goes on", account=str(self._account))

    async def _is_taken_over(self, link: Link, outbox: Outgoing, tell: Callable[[str], None]) -> bool:
        """Hold a session with the next connection; return True when a newer one has come."""
        sockets: set[WebSocket] = set()
        newer: list[BaseException] = []
        try:
            events, api = await self._arrivals.take(tell)
            sockets = {events.socket, api.socket}
            if events.self_id and not self._reader.self_id:
                self._reader.self_id = events.self_id
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._arrivals.watch, name="newer connection")
                await self._hold(link, outbox, events.socket, api.socket)
        except* TakenOver as group:
            newer = list(group.exceptions)
        finally:
            for socket in sockets:
                with trio.move_on_after(CONNECT, shield=True):
                    await socket.aclose()
            self._arrivals.release()
        return bool(newer)

    async def _serve_http(self, link: Link, outbox: Outgoing, listener: Listening) -> None:
        from qqops.adapters.http.client import HttpClient
        from qqops.adapters.onebot11.http import HttpSession

        if listener.trouble:
            raise TransientError(listener.trouble)
        async with HttpClient() as http:
            await self._run(HttpSession(self._options, link, self._reader, self._intake, http), outbox)

    def _take_post(self, request: HttpRequest) -> HttpAnswer:
        from qqops.adapters.onebot11.http import take_post

        return take_post(request, self._options.token.reveal(), self._intake.take)

    async def _hold(self, link: Link, outbox: Outgoing, events: WebSocket, api: WebSocket) -> None:
        live = LiveSession(self._options, link, self._reader, self._intake, self._numbers, events, api)
        await self._run(live, outbox)

    async def _run(self, live: LiveSession | HttpSession, outbox: Outgoing) -> None:
        self._live = live
        try:
            await live.run(outbox)
        finally:
            self._live = None
            self._intake.end()

    def rooms(self) -> Sequence[Room]:
        """Return the groups that the implementation has told of."""
        return [self._reader.group(number, name) for number, name in self._reader.names.items()]

    @property
    def native(self) -> OneBot:
        """What this account can do beyond the model. Raises `Refuse` while it is offline."""
        if self._live is None:
            raise Refuse(f"{self._account} is offline")
        return self._live.abilities

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*; nobody while offline or when the implementation does not tell."""
        if self._live is None or room.kind is not RoomKind.GROUP:
            return []
        try:
            return await self.native.members(room)
        except Refuse:
            return []

    async def act(self, action: Action) -> Outcome:
        """Do *action*; see `qqops.runtime.accounts.Accounts`."""
        if self._live is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"{self._account} is offline")
        return await self.native.act(action)

    async def fetch(self, thing: Image | FileOffered, room: RoomRef) -> bytes:
        """Return the content of something received. Raises `Refuse`."""
        return await self.native.fetch(thing, room)

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or group. Raises `Refuse`."""
        return await self.native.avatar(who)

    async def profile(self, person: PersonRef) -> Profile:
        """Return what is told about *person*. Raises `Refuse`."""
        return await self.native.profile(person)


def check(options: OneBotOptions) -> None:
    """Raise `ConfigError` for settings that cannot work together; all of it is named."""
    mistakes = Mistakes()
    over_http = options.url.startswith(("http://", "https://"))
    if (not options.url and not options.listen) or (options.url and options.listen and not over_http):
        mistakes.add(
            "give url or listen",
            hint='url = "ws://127.0.0.1:3001/" to dial the implementation, '
            'listen = "127.0.0.1:8080" to be called by it',
        )
    if over_http and not options.listen:
        mistakes.add(
            "an http URL carries actions only: events come by HTTP POST",
            where="url",
            hint='add listen = "127.0.0.1:8080" and let the implementation post there; or use ws://',
        )
    for key in ("url", "api_url"):
        value = getattr(options, key)
        if value and urllib.parse.urlsplit(value).scheme not in ("ws", "wss") and not over_http:
            mistakes.add(f"must begin with ws://, wss:// or http://, got {excerpt(value)}", where=key)
    if options.listen:
        with mistakes.noted():
            address(options.listen)
    mistakes.check()


def open_onebot11(opening: Opening, options: OneBotOptions) -> OneBot11:
    """Return the adapter of a OneBot v11 account."""
    check(options)
    listener = opening.listener(options.listen) if options.listen else None
    return OneBot11(opening.account, options, opening.clock.now, listener)
