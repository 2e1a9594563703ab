"""Requests of the WebQQ core on the wire, and flows that are made of them."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from qqops.adapters.base import Link, Question, QuestionKind
from qqops.adapters.http.client import Http
from qqops.errors import AdapterError, NotSent, ProtocolError, Refuse
from qqops.model import AccountRef, Delivery, Outcome
from qqops.protocol.webqq.address import destination
from qqops.protocol.webqq.calls import change
from qqops.protocol.webqq.flow import AskCaptcha, AskRenewal, Call, Flow, Pause, ShowQR, T
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.session import Session


class Calls:
    """Does for the pure core what it asks for: requests, pauses, questions to a person.

    Args:
        endpoints: Host → base URL, ``*`` for all others.
        spread: Seconds that an uploaded picture is given before it is shown.
        deadline: Seconds for a call that does not say how long it may take.
    """

    def __init__(
        self,
        account: AccountRef,
        endpoints: Mapping[str, str],
        http: Http,
        link: Link,
        *,
        spread: float,
        deadline: float,
    ) -> None:
        self._deadline = deadline
        self._last: tuple[Request, int, tuple[str, list[tuple[str, str]], bytes]] | None = None
        self.spread = spread
        self._account = account
        self._endpoints = {key.lower(): base for key, base in endpoints.items()}
        self._http = http
        self._link = link

    async def drive(self, session: Session, flow: Flow[T], within: float | None = None) -> T:
        """Do what *flow* asks for and return its result.

        Args:
            within: Seconds until the next proof of life that each answer is worth; None for none.
        """
        answer: object = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = None
            if isinstance(step, Call):
                answer = await self.call(session, step.request)
                if within is not None:
                    self._link.alive(within)
            elif isinstance(step, Pause):
                await trio.sleep(step.seconds)
            elif isinstance(step, AskCaptcha):
                with trio.move_on_after(step.lifetime):
                    answer = await self._link.ask(
                        self._question(QuestionKind.CAPTCHA, "captcha", step.picture)
                    )
            elif isinstance(step, AskRenewal):
                text = "the picture has expired; answer when you want a fresh one"
                await self._link.ask(self._question(QuestionKind.RENEWAL, text, b""))
            elif isinstance(step, ShowQR):
                text = "the QR code has expired, scan the new one" if step.refreshed else "scan the QR code"
                await self._link.show(self._question(QuestionKind.QR, text, step.picture))

    async def ask(self, session: Session, flow: Flow[T]) -> T:
        """Do what *flow* asks for, which changes nothing, and return its result. Raises `Refuse` when it fails."""
        try:
            return await self.drive(session, flow)
        except (AdapterError, ProtocolError) as exc:
            raise Refuse(str(exc)) from exc

    async def change(self, session: Session, request: Request) -> Outcome:
        """Make a call that changes something."""
        try:
            refused = await self.drive(session, change(session, request))
        except NotSent as exc:
            refused = str(exc)
        except (AdapterError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        return Outcome(delivery=Delivery.REFUSED if refused else Delivery.ACCEPTED, reason=refused)

    async def rest(self) -> None:
        """Close the connections that nobody needs now: thousands of accounts keep one each, that of the poll."""
        await self._http.rest()

    def _question(self, kind: QuestionKind, text: str, picture: bytes) -> Question:
        return Question(account=self._account, kind=kind, text=text, picture=picture)

    async def call(self, session: Session, request: Request) -> Response:
        """Make one request: endpoint map, cookies out, cookies in.

        Raises:
            ProtocolError: It would lead to a host that is neither the service's nor in the endpoint map.
        """
        url, headers, body = self._prepared(session, request)
        reply = await self._http.call(
            request.method,
            url,
            headers,
            body,
            deadline=self._deadline if request.deadline is None else request.deadline,
            idempotent=request.idempotent,
            long=request.name == "poll2",
        )
        session.cookies.take(request.hostname, reply.headers)
        return Response(status=reply.status, headers=reply.headers, body=reply.body, elapsed=reply.elapsed)

    def _prepared(self, session: Session, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return (url, headers, body). The same poll goes out again and again: it is written once."""
        version = session.cookies.version
        if self._last is not None and self._last[0] is request and self._last[1] == version:
            return self._last[2]
        base = destination(request.address, self._endpoints, named=request.named)
        headers = request.headers(session.cookies.header(request.hostname))
        body = request.body if request.method == "POST" else b""
        prepared = (base + request.target, headers, body)
        if request.name == "poll2":
            self._last = (request, version, prepared)
        return prepared
