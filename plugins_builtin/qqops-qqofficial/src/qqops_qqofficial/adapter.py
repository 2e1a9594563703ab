"""One bot on the official platform: gateway or webhook, and sends."""

from __future__ import annotations

import datetime
import json
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import structlog
import trio

from qqops import (
    AccountRef,
    Action,
    Capabilities,
    Delivery,
    Draft,
    FatalError,
    Message,
    Outcome,
    Pace,
    ProtocolError,
    Recall,
    Room,
    RoomKind,
    RoomRef,
    TransientError,
    User,
)
from qqops.adapter import (
    Dial,
    Http,
    HttpAnswer,
    HttpClient,
    HttpRequest,
    Link,
    Listening,
    OnWire,
    Opening,
    Outgoing,
    Unauthorized,
    combine,
    connect,
)
from qqops_qqofficial import wire
from qqops_qqofficial.api import Api, Refused
from qqops_qqofficial.events import Reader
from qqops_qqofficial.gateway import Gateway, Memory, NeedsToken
from qqops_qqofficial.options import Options, check
from qqops_qqofficial.passive import Passive
from qqops_qqofficial.sends import (
    body_of,
    capabilities,
    in_guild,
    media_of,
    one_medium_each,
    path_of,
    window_of,
)

log = structlog.get_logger("qqops.qqofficial")

#: Seconds for opening a connection, and between two looks whether the platform is there (webhook).
CONNECT, LOOK = 15.0, 60.0
#: Seconds for saying good-bye.
GOODBYE = 3.0
#: Ids of events that are remembered to recognise duplicates.
SEEN = 4096
#: Rooms that are remembered; the platform has no list of them.
ROOMS = 5000


class QQOfficial:
    """One account."""

    def __init__(
        self,
        account: AccountRef,
        options: Options,
        now: Callable[[], datetime.datetime],
        rng: random.Random,
        listener: Listening | None = None,
        http: Callable[[], Http] = HttpClient,
        dial: Dial = connect,
    ) -> None:
        check(options)
        self._account = account
        self._options = options
        self._now = now
        self._rng = rng
        self._http = http
        self._dial = dial
        self._can = {kind: capabilities(kind, options.max_bytes) for kind in RoomKind}
        self._reader = Reader(account, now)
        self._passive = Passive()
        self._memory = Memory()
        self._rooms: OrderedDict[RoomRef, Room] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._api: Api | None = None
        self._link: Link | None = None
        self._nursery: trio.Nursery | None = None
        self._names: list[str] = []
        self._fresh = False
        self._key = wire.signing_key(options.secret.reveal())
        self._listener = listener
        if listener is not None:
            listener.route(options.path or "/*", self._webhook, owner=str(account), accepts=self._accepts)

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._account

    @property
    def pace(self) -> Pace:
        """How fast it may send."""
        options = self._options
        return Pace(room_gap=options.room_gap, in_flight=options.in_flight)

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what the account can do."""
        return self._can[kind]

    def rooms(self) -> Sequence[Room]:
        """Return the chats in which something was said; the platform tells of no others."""
        return list(self._rooms.values())

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return nobody: the platform does not tell."""
        await trio.lowlevel.checkpoint()
        return []

    # -- a session ------------------------------------------------------------------------------

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session; see `qqops.adapter.Adapter`."""
        async with self._http() as http:
            self._api = Api(http, self._options)
            self._link = link
            try:
                if self._fresh:
                    self._fresh = False
                    await self._api.token(fresh=True)
                if self._listener is not None:
                    await self._by_webhook(self._api, link, outbox, self._listener)
                else:
                    await self._by_gateway(self._api, link, outbox)
            except NeedsToken:
                self._fresh = True
                raise
            except Refused as exc:
                if exc.verdict is wire.Verdict.REFUSED and "white" in str(exc).lower():
                    raise FatalError(
                        f"the address of this machine is not on the platform's list: {exc}"
                    ) from exc
                raise TransientError(str(exc)) from exc
            finally:
                self._api = self._link = self._nursery = None

    async def _by_gateway(self, api: Api, link: Link, outbox: Outgoing) -> None:
        memory = self._memory
        if not memory.url or not memory.resumable(trio.current_time()):
            await self._budget(api)
        try:
            socket = await self._dial(memory.url, [], within=CONNECT, max_size=2**24)
        except Unauthorized as exc:
            raise NeedsToken(str(exc)) from exc
        except TransientError:
            memory.url = ""
            raise
        gateway = Gateway(socket, link, self._options, memory, api.token, self._take, self._ready, self._rng)
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._send_all, gateway.online, outbox)
                await gateway.run()
        finally:
            with trio.move_on_after(GOODBYE, shield=True):
                await socket.aclose(4000 if memory.session else 1000)  # 4000 keeps the session for a resume

    async def _budget(self, api: Api) -> None:
        """Ask for the gateway, and whether a new session may begin.

        Raises:
            TransientError: Not before some time.
        """
        found = await api.gateway()
        self._memory.url = wire.text(found.get("url"))
        if not self._memory.url.startswith(("ws://", "wss://")):
            self._memory.url = ""
            raise TransientError("the platform names no gateway")
        budget = wire.fields(found.get("session_start_limit"))
        if budget and wire.whole(budget.get("remaining")) <= 0 and wire.whole(budget.get("total")) > 0:
            wait = max(wire.whole(budget.get("reset_after")) / 1000, 5.0)
            raise TransientError("no new session today: the budget is used up", retry_after=wait)

    def _ready(self, data: dict[str, Any]) -> list[str]:
        user = wire.fields(data.get("user"))
        if user:
            self._reader.self_id = wire.text(user.get("id"))
            self._names = [wire.text(user.get("username"))]
        return self._names

    async def _by_webhook(self, api: Api, link: Link, outbox: Outgoing, listener: Listening) -> None:
        if listener.trouble:
            raise TransientError(listener.trouble)
        self._ready({"user": await api.me()})
        link.online(self._names)
        link.alive(math.inf)
        ready = trio.Event()
        ready.set()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._send_all, ready, outbox)
            while True:
                await trio.sleep(LOOK)
                await api.me()

    # -- in -------------------------------------------------------------------------------------

    def _take(self, kind: str, event_id: str, data: dict[str, Any]) -> None:
        """Take one dispatch."""
        if event_id:
            if event_id in self._seen:
                return
            self._seen[event_id] = None
            if len(self._seen) > SEEN:
                self._seen.popitem(last=False)
        event = self._reader.read(kind, data, event_id)
        if kind == "INTERACTION_CREATE" and self._nursery is not None:
            self._nursery.start_soon(self._acknowledge, wire.text(data.get("id")))
        if isinstance(event, Message):
            room = event.room
            self._passive.heard(str(room.ref), event.ref.id, trio.current_time())
            self._rooms[room.ref] = room
            self._rooms.move_to_end(room.ref)
            if len(self._rooms) > ROOMS:
                self._rooms.popitem(last=False)
        elif event_id and (where := self._reader.answerable(kind, data)) is not None:
            self._passive.heard(str(where), event_id, trio.current_time(), "event_id")
        if event is not None and self._link is not None:
            self._link.event(event)

    async def _acknowledge(self, interaction: str) -> None:
        """Answer the press of a button, which must be done within seconds."""
        if self._api is None:
            return
        try:
            await self._api.call("PUT", f"/interactions/{interaction}", {"code": 0})
        except (Refused, TransientError) as exc:
            log.warning("a button was not acknowledged", reason=str(exc))

    def _accepts(self, request: HttpRequest) -> bool:
        """Whether *request* is for this account: several may share a path."""
        return request.header("x-bot-appid") in ("", self._options.app_id)

    async def _webhook(self, request: HttpRequest) -> HttpAnswer:
        """Answer a call of the platform: at once, and before anything is done about it."""
        await trio.lowlevel.checkpoint()
        signature, at = request.header("x-signature-ed25519"), request.header("x-signature-timestamp")
        if not wire.is_signed(self._key, signature, at, request.body):
            length = request.header("content-length")
            log.warning("a call without a good signature", expected=length, got=len(request.body))
            return HttpAnswer(status=401, body=b"wrong signature\n")
        if abs(self._now().timestamp() - wire.whole(at)) > wire.OLDEST:
            return HttpAnswer(status=401, body=b"too old\n")
        try:
            frame = wire.decode(request.body)
        except ProtocolError:
            return HttpAnswer(status=400, body=b"no JSON\n")
        data = wire.fields(frame.get("d"))
        if wire.whole(frame.get("op")) == wire.VALIDATION:
            answer = wire.validation(
                self._key, wire.text(data.get("plain_token")), wire.text(data.get("event_ts"))
            )
            return _json(answer)
        if self._link is None:
            return HttpAnswer(status=503, body=b"not now\n")
        if wire.whole(frame.get("op")) == wire.DISPATCH:
            self._take(wire.text(frame.get("t")), wire.text(frame.get("id")), data)
        return _json({"op": wire.CALLBACK_ACK})

    # -- out ------------------------------------------------------------------------------------

    async def _send_all(self, online: trio.Event, outbox: Outgoing) -> None:
        await online.wait()
        await outbox.carry(self._send)

    async def _send(self, draft: Draft, on_wire: OnWire) -> Outcome:
        """Send *draft*: as many messages as it has pictures and files, for the platform takes one in each."""
        outcomes = [await self._deliver_one(part, on_wire) for part in one_medium_each(draft)]
        return combine(outcomes, len(outcomes))

    async def _deliver_one(self, draft: Draft, on_wire: OnWire) -> Outcome:
        api, room = self._api, draft.room
        if api is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"{self._account} is offline")
        body = body_of(draft)
        try:
            await self._attach(api, draft, body)
        except (Refused, TransientError) as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=f"the file was not taken: {exc}")
        if not str(body.get("content")).strip() and body.get("msg_type", 0) == 0 and "image" not in body:
            return Outcome(delivery=Delivery.REFUSED, reason="there is nothing in it that can be sent here")
        json.dumps(body)  # what cannot be written is to fail here, while nothing has left
        await on_wire()
        wanted = draft.reply_to.id if draft.reply_to is not None and draft.reply_to.room == room else ""
        ticket = self._passive.claim(str(room), wanted, window_of(room), trio.current_time())
        return await api.send(path_of(room), body, ticket, room)

    async def _attach(self, api: Api, draft: Draft, body: dict[str, Any]) -> None:
        """Upload what the draft carries."""
        for kind, one in media_of(draft):
            if in_guild(draft.room):
                if one.url:
                    body["image"] = one.url
                continue
            path = path_of(draft.room).removesuffix("/messages") + "/files"
            name = one.name if kind == 4 and hasattr(one, "name") else ""
            body["media"] = {
                "file_info": await api.upload(path, kind, content=one.content, url=one.url, name=name)
            }
            body["msg_type"] = 7
            body["content"] = body["content"] or " "

    async def act(self, action: Action) -> Outcome:
        """Do *action*: the platform lets a bot take its own messages back, and nothing more."""
        if not isinstance(action, Recall):
            name = type(action).__name__
            return Outcome(delivery=Delivery.REFUSED, reason=f"the platform does not know {name}")
        if self._api is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"{self._account} is offline")
        try:
            await self._api.call("DELETE", f"{path_of(action.message.room)}/{action.message.id}")
        except Refused as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        except TransientError as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        return Outcome(delivery=Delivery.DELIVERED)


def _json(value: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(headers=(("Content-Type", "application/json"),), body=json.dumps(value).encode())


def open_qqofficial(opening: Opening, options: Options) -> QQOfficial:
    """Return the adapter of an account."""
    check(options)
    listener = opening.listener(options.listen) if options.listen else None
    return QQOfficial(opening.account, options, opening.clock.now, opening.rng, listener)
