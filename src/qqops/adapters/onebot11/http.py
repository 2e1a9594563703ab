"""OneBot v11 over HTTP: actions as requests of ours, events posted to us."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable
from typing import Any

import trio

from qqops.adapters.base import Link, OnWire, Outgoing
from qqops.adapters.http.client import HttpClient
from qqops.adapters.http.exchange import HttpAnswer, HttpRequest
from qqops.adapters.onebot11.actions import OneBot
from qqops.adapters.onebot11.calls import ActionFailed
from qqops.adapters.onebot11.intake import Intake
from qqops.adapters.onebot11.introduce import PROBE, introduce
from qqops.adapters.onebot11.media import Media
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.websocket.socket import Unauthorized
from qqops.errors import NotSent, ProtocolError, Refuse, TransientError
from qqops.model import Delivery, Draft, Later, Outcome, Scope
from qqops.protocol.onebot11.answers import failure, sent
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import UNKNOWN, Flavor
from qqops.protocol.onebot11.sends import is_heavy, request_of
from qqops.protocol.onebot11.wire import Frame, body, decode, fields

#: Seconds after which a send is tried again that could not be brought to anybody.
CONNECT_AGAIN = 2.0


class HttpCalls:
    """Actions by POST to ``URL/action``."""

    def __init__(self, http: HttpClient, options: OneBotOptions) -> None:
        self.flavor: Flavor = UNKNOWN
        self._http = http
        self._base = options.url.rstrip("/")
        self._deadline = options.call_deadline
        token = options.token.reveal()
        self._headers = [("Content-Type", "application/json"), ("User-Agent", "qqops")]
        if token:
            self._headers.append(("Authorization", f"Bearer {token}"))

    async def call(self, action: str, params: dict[str, Any] | None = None, deadline: float = 0.0) -> Any:
        """Do *action* and return its ``data``.

        Raises:
            ActionFailed: It was refused; `missing` when the other side does not know it.
            TransientError: No answer came in time, or the connection broke.
            NotSent: No connection could be made.
        """
        frame = await self.ask(action, params or {}, deadline)
        if frame.get("status") not in ("ok", "async"):
            raise failure(action, frame, self.flavor)
        return frame.get("data")

    async def ask(self, action: str, params: dict[str, Any], deadline: float = 0.0) -> Frame:
        """Do *action* and return the whole answer."""
        reply = await self._http.call(
            "POST", f"{self._base}/{action}", self._headers, body(params),
            deadline=deadline or self._deadline, idempotent=False,
        )  # fmt: skip
        if reply.status in (401, 403):
            raise Unauthorized(f"refused with HTTP {reply.status}; is the token right?", status=reply.status)
        if reply.status == 404:
            raise ActionFailed(action, 404, "", missing=True)
        if reply.status != 200:
            raise TransientError(f"{action}: HTTP {reply.status}")
        try:
            return decode(reply.body)
        except ProtocolError as exc:
            raise TransientError(f"{action}: {exc}") from exc


class HttpSession:
    """One session over HTTP. There is no connection to watch, so it asks now and then whether anybody is there."""

    def __init__(
        self, options: OneBotOptions, link: Link, reader: Reader, intake: Intake, http: HttpClient
    ) -> None:
        self._options = options
        self._link = link
        self._reader = reader
        self._intake = intake
        self._media = Media(options)
        self.calls = HttpCalls(http, options)
        self.abilities = OneBot(reader, self.calls, self._media, options.upload_deadline)

    async def run(self, outbox: Outgoing) -> None:
        """Hold the session until nobody answers any more.

        Raises:
            TransientError: Nobody does.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._intake.deliver, self._link, name="deliver")
            nursery.start_soon(self._intake.watch_heartbeat, name="heartbeat")
            self._link.alive(PROBE * 3)
            names = await introduce(self.calls, self._reader, self._options.self_id)
            self._link.online(names, me=self._reader.self_id, ids="qq")
            self._link.alive(math.inf)
            await self._link.ready()
            self._intake.begin(self._link)
            nursery.start_soon(self._look, name="is anybody there")
            await outbox.carry(self._send)

    async def _look(self) -> None:
        while True:
            await trio.sleep(self._options.ping_every)
            try:
                status = fields(await self.calls.call("get_status", {}, self._options.ping_patience))
            except ActionFailed:
                continue  # somebody is there
            if status.get("online") is False:
                self._link.note("QQ is offline: the connection works, sends will fail")
            elif status.get("online") is True:
                self._link.note("")

    async def _send(self, draft: Draft, on_wire: OnWire) -> Outcome | Later:
        """Send, and return how it went; see `qqops.adapters.base.Sender`.

        Raises:
            NotSent: The token is refused.
        """
        deadline = 0.0
        if is_heavy(draft):
            deadline = self._options.upload_deadline
            try:
                draft = await self._media.placed(draft)
            except Refuse as exc:
                return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        request = request_of(draft, self._reader.temporary, self._reader.self_id)
        body(request.params)  # what cannot be written is to fail here, while nothing has left
        await on_wire()
        try:
            try:
                frame = await self.calls.ask(request.action, request.params, deadline)
            except ActionFailed as exc:
                if not exc.missing or request.plainer is None:
                    raise
                frame = await self.calls.ask(request.plainer.action, request.plainer.params, deadline)
        except ActionFailed as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        except Unauthorized as exc:
            raise NotSent(str(exc)) from exc
        except NotSent as exc:
            return Later(
                CONNECT_AGAIN, Scope.ACCOUNT, str(exc)
            )  # whether anybody is there is looked at anyway
        except TransientError as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        return sent(frame, draft.room, self.calls.flavor)


def check_signature(request: HttpRequest, secret: str) -> int:
    """Return 0 when the body of *request* was signed with *secret*, else the HTTP status of the refusal.

    ``X-Signature: sha1=<hex HMAC-SHA1 of the raw body>`` (onebot11.md §1); compared in constant time.
    """
    if not secret:
        return 0
    given = request.header("x-signature").strip()
    if not given:
        return 401
    wanted = "sha1=" + hmac.new(secret.encode(), request.body, hashlib.sha1).hexdigest()
    return 0 if hmac.compare_digest(given.lower().encode("latin-1", "replace"), wanted.encode()) else 403


def take_post(request: HttpRequest, secret: str, take: Callable[[Frame], bool]) -> HttpAnswer:
    """Answer an event that was posted: quickly, and before anything is done about it.

    Args:
        take: Takes the event and says whether there was room; raises `ProtocolError` for one that cannot be read.
    """
    refused = check_signature(request, secret)
    if refused:
        return HttpAnswer(
            status=refused, body=b"signature needed\n" if refused == 401 else b"wrong signature\n"
        )
    try:
        frame = decode(request.body)
        if "post_type" not in frame:
            return HttpAnswer(status=400, body=b"no event\n")
        taken = take(frame)
    except ProtocolError as exc:
        return HttpAnswer(status=400, body=f"{exc}\n".encode("utf-8", "replace"))
    return HttpAnswer(status=204) if taken else HttpAnswer(status=503, body=b"not now\n")
