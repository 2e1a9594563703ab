"""The HTTP side of the platform: tokens, calls, sends, uploads. Source: qq-official.md §1, §5."""

from __future__ import annotations

import base64
import json
from typing import Any

import structlog
import trio

from qqops import AdapterError, Delivery, FatalError, MessageRef, Outcome, RoomRef, TransientError
from qqops.adapter import Http
from qqops_qqofficial.options import Options
from qqops_qqofficial.passive import Ticket
from qqops_qqofficial.wire import Verdict, decode, fields, text, verdict, whole

log = structlog.get_logger("qqops.qqofficial")

#: Seconds before its end at which a token is replaced; for the last 60 s the old one and a new one both count.
EARLY = 75.0
#: Seconds to wait before a send is repeated, and after "too fast".
AGAIN, SLOWER = 1.0, 5.0
#: How many times one send is tried.
TRIES = 3
#: Bytes from which a file is written as text in a thread.
LARGE = 2**18


class Refused(AdapterError):
    """The platform refused a call; the text says why, `verdict` what follows."""

    def __init__(self, what: Verdict, reason: str) -> None:
        self.verdict = what
        super().__init__(reason)


class Api:
    """Calls to the platform on behalf of one bot."""

    def __init__(self, http: Http, options: Options) -> None:
        self._http = http
        self._options = options
        self._token = ""
        self._until = float("-inf")
        self._fetching = trio.Lock()

    # -- tokens ---------------------------------------------------------------------------------

    async def token(self, *, fresh: bool = False) -> str:
        """Return an access token; one request at a time fetches it, and everybody gets the same.

        Args:
            fresh: The one that was given before is not valid.

        Raises:
            FatalError: The platform does not know the AppID, or the secret is wrong.
            TransientError: It cannot be had now.
        """
        old = self._token
        if not fresh and trio.current_time() < self._until:
            return old
        async with self._fetching:
            if self._token != old:  # somebody else was faster
                return self._token
            body = {"appId": self._options.app_id, "clientSecret": self._options.secret.reveal()}
            reply = await self._http.call(
                "POST", self._options.token_url, [("Content-Type", "application/json")], json.dumps(body).encode(),
                deadline=self._options.call_deadline, idempotent=True,
            )  # fmt: skip
            answer = _object(reply.body)
            token = text(answer.get("access_token"))
            if not token:  # errors come with status 200
                code, said = whole(answer.get("code")), text(answer.get("message"))
                if code in (100007, 100016):
                    raise FatalError(f"the platform refuses AppID and secret: {code} {said}")
                raise TransientError(f"no token: HTTP {reply.status} {code or ''} {said}".rstrip())
            self._token = token
            self._until = trio.current_time() + max(whole(answer.get("expires_in")) - EARLY, 10.0)
            return token

    # -- calls ----------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, deadline: float = 0.0
    ) -> dict[str, Any]:
        """Make a call and return its answer. A token that is not valid is replaced once.

        Raises:
            Refused: The platform said no, or something that is no yes.
            TransientError: It did not answer.
        """
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") if body is not None else b""
        for fresh in (False, True):
            headers = [
                ("Authorization", f"QQBot {await self.token(fresh=fresh)}"),
                ("X-Union-Appid", self._options.app_id),
                ("Content-Type", "application/json"),
                ("User-Agent", "qqops"),
            ]
            reply = await self._http.call(
                method, self._options.base + path, headers, data,
                deadline=deadline or self._options.call_deadline, idempotent=method == "GET",
            )  # fmt: skip
            answer = _object(reply.body)
            what, reason = verdict(reply.status, answer)
            if what is Verdict.TOKEN and not fresh:
                continue
            if what is Verdict.OK:
                return answer
            trace = next((v for k, v in reply.headers if k.lower() == "x-tps-trace-id"), "")
            log.info("refused", path=path, reason=reason, trace=trace or text(answer.get("trace_id")))
            raise Refused(what, reason)
        raise AssertionError("not reached")

    # -- sends ----------------------------------------------------------------------------------

    async def send(self, path: str, body: dict[str, Any], ticket: Ticket | None, room: RoomRef) -> Outcome:
        """Send a message and return how it went.

        With a ticket it is safe to send again what nobody knows of: the platform takes the same ticket once.
        """
        if ticket is not None:
            body = {**body, ticket.by: ticket.id, "msg_seq": ticket.seq}
        reason = ""
        for number in range(TRIES):
            if number:
                await trio.sleep(AGAIN * number)
            try:
                answer = await self.call("POST", path, body)
            except Refused as exc:
                if exc.verdict is Verdict.REPEATED:
                    return Outcome(delivery=Delivery.DELIVERED)
                if exc.verdict is Verdict.AUDIT:
                    return Outcome(delivery=Delivery.ACCEPTED)
                if exc.verdict is Verdict.SLOWER:
                    reason = str(exc)
                    await trio.sleep(SLOWER)
                    continue
                if exc.verdict is Verdict.FORM and (plain := _plain(body)) is not None:
                    body = plain
                    continue
                if exc.verdict is not Verdict.UNKNOWN:
                    return Outcome(delivery=Delivery.REFUSED, reason=_readable(str(exc), ticket))
                reason = str(exc)
            except TransientError as exc:
                reason = str(exc)
            else:
                found = text(answer.get("id"))
                refs = (MessageRef(room, found),) if found else ()
                return Outcome(delivery=Delivery.DELIVERED, refs=refs)
            if ticket is None:
                return Outcome(delivery=Delivery.UNKNOWN, reason=reason)
        return Outcome(
            delivery=Delivery.UNKNOWN if "22009" not in reason else Delivery.REFUSED, reason=reason
        )

    async def upload(
        self, path: str, kind: int, *, content: bytes = b"", url: str = "", name: str = ""
    ) -> str:
        """Upload a picture (1), video (2), voice (3) or file (4) and return its ``file_info``. Raises as `call`."""
        body: dict[str, Any] = {"file_type": kind, "srv_send_msg": False}
        if len(content) > LARGE:  # it must not hold up everybody else
            body["file_data"] = (await trio.to_thread.run_sync(base64.b64encode, content)).decode()
        elif content:
            body["file_data"] = base64.b64encode(content).decode()
        else:
            body["url"] = url
        if name:
            body["file_name"] = name
        answer = await self.call("POST", path, body, deadline=self._options.upload_deadline)
        found = text(answer.get("file_info"))
        if not found:
            raise Refused(Verdict.REFUSED, "the platform has not taken the file")
        return found

    async def gateway(self) -> dict[str, Any]:
        """Return the URL of the gateway and the budget of sessions. Raises as `call`."""
        return await self.call("GET", "/gateway/bot")

    async def me(self) -> dict[str, Any]:
        """Return who we are. Raises as `call`."""
        return await self.call("GET", "/users/@me")


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; {} for none, such as pages of proxies."""
    if not body.strip():
        return {}
    try:
        return fields(decode(body))
    except Exception:  # noqa: BLE001 - whatever it is, it is not an answer of the platform
        return {}


def _plain(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the same message as plain text; None when it is that already."""
    if body.get("msg_type") != 2 and "keyboard" not in body:
        return None
    said = body.get("content") or fields(body.get("markdown")).get("content") or " "
    rest = {k: v for k, v in body.items() if k not in ("markdown", "keyboard", "content", "msg_type")}
    return {**rest, "content": said, "msg_type": 0}


def _readable(reason: str, ticket: Ticket | None) -> str:
    return reason if ticket is not None else f"{reason}; there was no message of the last minutes to answer"
