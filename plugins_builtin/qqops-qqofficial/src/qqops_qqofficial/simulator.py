"""The platform, simulated: tokens, gateway, messages with their rules, webhooks, and ways to break it.

``qqops simulate qqofficial --port 8014`` serves it; an account reaches it by ``api = "http://127.0.0.1:8014"``
and ``token_url = "http://127.0.0.1:8014/app/getAppAccessToken"``. Control calls are those of qqops' other simulators, under
``/__control/``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs
import trio

from qqops import ConfigError, ProtocolError, TransientError
from qqops.adapter import HttpAnswer, HttpRequest, Takeover, WebSocket, accept, is_upgrade, serve_connection
from qqops_qqofficial.wire import decode, fields, text, whole

#: What can go wrong: the meaning, by name.
FAULTS = {
    "close": "the gateway closes the connection with `code`",
    "reconnect": "the gateway asks to reconnect (op 7)",
    "invalid": "the gateway says that the session is not valid (op 9); `resumable` or not",
    "stall": "the connection stays open and nothing moves on it any more",
    "deaf": "no resume succeeds any more: each is closed with 4009",
    "duplicate": "the next event comes twice",
    "lost": "the next send is taken and not answered: HTTP 504",
    "http": "the next call is answered with `status`",
    "token": "the token in use is not valid any more",
    "busy": "the next send is answered with 22009",
}
_APP, _SECRET = "102000001", "DG5g3B4j9X2KOErG"


@attrs.define
class Session:
    """One session of the gateway."""

    id: str
    events: list[dict[str, Any]] = attrs.field(factory=list)


@attrs.define(eq=False)
class Peer:
    """One connection."""

    socket: WebSocket
    nursery: trio.Nursery
    session: Session | None = None
    stalled: bool = False
    writing: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Platform:
    """The platform with one bot, a group ``G1``, people ``U1`` and ``U2``, and a guild channel ``C1``.

    Attributes:
        sent: What the bot has said: chat, text, and the whole body.
        identifies, resumes: How often each was asked for.
        permitted: Bits of the intents that the bot may have.
        reachable: Whether anybody answers.
    """

    def __init__(
        self, now: Callable[[], float], *, interval: float = 41.25, base: str = "http://sim"
    ) -> None:
        self.base = base
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.taken: dict[tuple[str, str, int], str] = {}
        self.peers: set[Peer] = set()
        self.sessions: dict[str, Session] = {}
        self.identifies = self.resumes = self.tokens = self.calls = 0
        self.acknowledged: list[str] = []
        self.permitted = -1
        self.reachable = True
        self.remaining = 1000
        self.faults: list[dict[str, Any]] = []
        self.deaf = False
        self._now = now
        self._interval = interval
        self._numbers = itertools.count(1)
        self._token = ""
        self._messages: dict[str, float] = {}
        self._proactive = False

    # -- what happens ---------------------------------------------------------------------------

    def say(self, who: str, chat: str, content: str, **more: Any) -> str:
        """Let *who* say something: in group ``G…``, channel ``C…``, or to the bot alone ("")."""
        name = f"m{next(self._numbers)}"
        self._messages[name] = self._now()
        author = {"id": who, "user_openid": who, "member_openid": who, "username": who}
        data: dict[str, Any] = {
            "id": name,
            "content": content,
            "timestamp": "2026-01-05T16:00:00+08:00",
            "author": author,
        }
        kind = "C2C_MESSAGE_CREATE"
        if chat.startswith("G"):
            kind, data["group_openid"], data["content"] = "GROUP_AT_MESSAGE_CREATE", chat, " " + content
        elif chat.startswith("C"):
            kind, data["channel_id"], data["guild_id"] = "AT_MESSAGE_CREATE", chat, "W1"
        self.push(kind, {**data, **more})
        return name

    def push(self, kind: str, data: dict[str, Any]) -> None:
        """Deliver an event to every session, connected or not."""
        fault = self._fault("duplicate")
        name = f"{kind}:{next(self._numbers)}"
        self._messages[name] = self._now()  # an event can be answered like a message
        for session in self.sessions.values():
            frame = {"op": 0, "s": len(session.events) + 1, "t": kind, "id": name, "d": data}
            session.events.append(frame)
            for peer in [p for p in self.peers if p.session is session]:
                for _ in range(2 if fault else 1):
                    self._put(peer, frame)

    def trouble(self, fault: str, **more: Any) -> None:
        """Make one of `FAULTS`: now for those of the connection, at the next chance for the others."""
        if fault not in FAULTS:
            raise ConfigError(f"unknown fault {fault!r}", hint=f"one of: {', '.join(FAULTS)}")
        if fault == "token":
            self._token = f"t{next(self._numbers)}"
        elif fault == "deaf":
            self.deaf = True
        elif fault in ("close", "reconnect", "invalid", "stall"):
            for peer in list(self.peers):
                if fault == "reconnect":
                    self._put(peer, {"op": 7})
                elif fault == "invalid":
                    if not more.get("resumable") and peer.session is not None:
                        self.sessions.pop(peer.session.id, None)
                    self._put(peer, {"op": 9, "d": bool(more.get("resumable"))})
                elif fault == "stall":
                    peer.stalled = True
                    peer.writing.cancel(reason="stalled")
                else:
                    peer.nursery.start_soon(self._close, peer, int(more.get("code", 4009)))
        else:
            self.faults.append({"fault": fault, **more})

    def _fault(self, *names: str) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault["fault"] in names:
                self.faults.remove(fault)
                return fault
        return None

    async def _close(self, peer: Peer, code: int) -> None:
        if code in (4006, 4007, 4902, 4903) and peer.session is not None:
            self.sessions.pop(peer.session.id, None)
        peer.socket.close(code)
        await trio.sleep(0.2)
        peer.nursery.cancel_scope.cancel(reason="closed")

    # -- HTTP -----------------------------------------------------------------------------------

    async def handle(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Answer a request."""
        await trio.lowlevel.checkpoint()
        self.calls += 1
        path = request.path
        if is_upgrade(request):
            return self._upgrade(request)
        try:
            body = fields(decode(request.body)) if request.body.strip() else {}
        except ProtocolError:
            return _answer(400, {"code": 11253, "message": "no JSON"})
        if path.startswith("/__control/"):
            return self._control(path.removeprefix("/__control/"), body)
        if path == "/app/getAppAccessToken":
            return self._give_token(body)
        if request.header("authorization") != f"QQBot {self._token}" or not self._token:
            return _answer(401, {"code": 11244, "message": "token not exist or expire"})
        if (fault := self._fault("http")) is not None:
            return HttpAnswer(status=int(fault.get("status", 502)), body=b"<html>bad gateway</html>")
        return self._call(request.method, path, body)

    def _give_token(self, body: dict[str, Any]) -> HttpAnswer:
        if body.get("appId") != _APP:
            return _answer(200, {"code": 100007, "message": "appid invalid"})
        if body.get("clientSecret") != _SECRET:
            return _answer(200, {"code": 100016, "message": "invalid appid or secret"})
        self.tokens += 1
        self._token = self._token or f"t{next(self._numbers)}"
        return _answer(200, {"access_token": self._token, "expires_in": "7200"})

    def _call(self, method: str, path: str, body: dict[str, Any]) -> HttpAnswer:
        if path == "/users/@me":
            return _answer(200, {"id": "BOT", "username": "official"})
        if path == "/gateway/bot":
            budget = {"total": 1000, "remaining": self.remaining, "reset_after": 60_000, "max_concurrency": 1}
            url = self.base.replace("http", "ws", 1) + "/websocket"
            return _answer(200, {"url": url, "shards": 1, "session_start_limit": budget})
        if path.startswith("/interactions/") and method == "PUT":
            self.acknowledged.append(path.rpartition("/")[2])
            return _answer(204, {})
        if path.endswith("/files"):
            if whole(body.get("file_type")) not in (1, 2, 3, 4) or not (
                body.get("url") or body.get("file_data")
            ):
                return _answer(400, {"code": 40034000, "message": "bad file"})
            return _answer(200, {"file_uuid": "u", "file_info": f"info-{next(self._numbers)}", "ttl": 0})
        if path.endswith("/messages") and method == "POST":
            return self._message(path.removesuffix("/messages"), body)
        if method == "DELETE":
            return _answer(200, {}) if "/messages/" in path else _answer(404, {"code": 11293})
        return _answer(404, {"code": 11293, "message": "no such path"})

    def _message(self, chat: str, body: dict[str, Any]) -> HttpAnswer:
        """Take a message by the rules of §5."""
        window = 3600 if chat.startswith("/v2/users/") else 300
        asked, seq = text(body.get("msg_id") or body.get("event_id")), whole(body.get("msg_seq") or 1)
        if (self._fault("busy")) is not None:
            return _answer(200, {"code": 22009, "message": "msg limit exceed"})
        if not asked and not self._proactive:
            return _answer(400, {"code": 40034102, "message": "主动消息失败, 无权限"})
        if asked not in self._messages:
            return _answer(400, {"code": 40034024, "message": "请求参数msg_id无效"})
        if self._now() - self._messages[asked] > window:
            return _answer(400, {"code": 40034025, "message": "msg_id 已过期"})
        if (chat, asked, seq) in self.taken:
            return _answer(400, {"code": 40054005, "message": "消息被去重，请检查请求msgseq"})
        if len([1 for c, m, _ in self.taken if (c, m) == (chat, asked)]) >= 5:
            return _answer(400, {"code": 40034128, "message": "reply msg exceed limit"})
        if (
            not text(body.get("content"))
            and "media" not in body
            and "markdown" not in body
            and "image" not in body
        ):
            return _answer(400, {"code": 50006, "message": "消息为空"})
        if "http://" in text(body.get("content")):
            return _answer(400, {"code": 304003, "message": "url not allowed"})
        if body.get("msg_type") == 2:
            return _answer(400, {"code": 304036, "message": "no permission for markdown"})
        name = f"b{next(self._numbers)}"
        self.taken[chat, asked, seq] = name
        self.sent.append((chat.rpartition("/")[2], text(body.get("content")), body))
        if self._fault("lost") is not None:
            return HttpAnswer(status=504, body=b"gateway time-out")
        return _answer(200, {"id": name, "timestamp": "2026-01-05T16:00:01+08:00"})

    # -- gateway --------------------------------------------------------------------------------

    def _upgrade(self, request: HttpRequest) -> Takeover:
        async def serve(stream: trio.abc.Stream, extra: bytes) -> None:
            socket = await accept(stream, request, extra, max_size=2**20)
            try:
                async with trio.open_nursery() as nursery:
                    peer = Peer(socket, nursery)
                    self.peers.add(peer)
                    nursery.start_soon(self._write, peer)
                    self._put(peer, {"op": 10, "d": {"heartbeat_interval": int(self._interval * 1000)}})
                    while True:
                        for data in await socket.receive():
                            if not peer.stalled:
                                self._frame(peer, decode(data))
            except* (TransientError, ProtocolError):
                pass
            finally:
                self.peers = {p for p in self.peers if p.socket is not socket}

        return Takeover(serve=serve)

    async def _write(self, peer: Peer) -> None:
        with peer.writing:
            await peer.socket.write()

    def _put(self, peer: Peer, frame: dict[str, Any]) -> None:
        if not peer.stalled:
            try:
                peer.socket.put(json.dumps(frame).encode())
            except TransientError:
                return

    def _frame(self, peer: Peer, frame: dict[str, Any]) -> None:
        op, data = whole(frame.get("op")), fields(frame.get("d"))
        if op == 1:
            self._put(peer, {"op": 11})
            return
        if data.get("token") != f"QQBot {self._token}":
            peer.nursery.start_soon(self._close, peer, 4004)
        elif op == 2:
            self._identify(peer, data)
        elif op == 6:
            self._resume(peer, data)
        else:
            peer.nursery.start_soon(self._close, peer, 4001)

    def _identify(self, peer: Peer, data: dict[str, Any]) -> None:
        self.identifies += 1
        if whole(data.get("intents")) & ~self.permitted:
            peer.nursery.start_soon(self._close, peer, 4014)
            return
        session = peer.session = Session(f"s{next(self._numbers)}")
        self.sessions = {session.id: session}
        user = {"id": "BOT", "username": "official", "bot": True}
        ready = {"version": 1, "session_id": session.id, "user": user, "shard": data.get("shard")}
        session.events.append({})
        self._put(peer, {"op": 0, "s": 1, "t": "READY", "d": ready})

    def _resume(self, peer: Peer, data: dict[str, Any]) -> None:
        self.resumes += 1
        session = self.sessions.get(text(data.get("session_id")))
        if self.deaf or session is None:
            if session is None and not self.deaf:
                self._put(peer, {"op": 9, "d": False})
            else:
                peer.nursery.start_soon(self._close, peer, 4009)
            return
        peer.session = session
        for frame in session.events[whole(data.get("seq")) :]:
            self._put(peer, frame)
        self._put(peer, {"op": 0, "s": len(session.events), "t": "RESUMED", "d": ""})

    # -- control --------------------------------------------------------------------------------

    def _control(self, name: str, body: dict[str, Any]) -> HttpAnswer:
        if name == "inject":
            return _answer(
                200,
                {"msg_id": self.say(text(body.get("from")), text(body.get("room")), text(body.get("text")))},
            )
        if name == "sent":
            return _answer(200, {"sent": [{"target": chat, "text": said} for chat, said, _ in self.sent]})
        if name == "faults":
            try:
                self.trouble(text(body.pop("fault", "")), **body)
            except ConfigError as exc:
                return _answer(400, {"error": str(exc)})
            return _answer(200, {"faults": len(self.faults)})
        if name == "state":
            return _answer(200, {"connections": len(self.peers), "identifies": self.identifies, "resumes": self.resumes,
                                 "tokens": self.tokens, "sent": len(self.sent)})  # fmt: skip
        return _answer(404, {"error": f"there is no {name}", "hint": "inject, sent, faults, state"})


def _answer(status: int, value: dict[str, Any]) -> HttpAnswer:
    body = json.dumps(value, ensure_ascii=False).encode() if status != 204 else b""
    return HttpAnswer(status=status, headers=(("Content-Type", "application/json"),), body=body)


def main(argv: list[str] | None = None) -> int:
    """Serve the platform until a signal; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="qqops simulate qqofficial", description="The official QQ bot platform, simulated."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one")
    parser.add_argument("--interval", type=float, default=41.25, help="seconds between two heartbeats")
    args = parser.parse_args(argv)

    async def run() -> int:
        try:
            listeners = await trio.open_tcp_listeners(args.port, host=args.host)
        except (OSError, OverflowError, UnicodeError) as exc:
            raise ConfigError(f"cannot listen on {args.host}:{args.port}: {exc}") from exc
        url = f"http://{args.host}:{listeners[0].socket.getsockname()[1]}"
        platform = Platform(time.time, base=url, interval=args.interval)
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                handler = functools.partial(serve_connection, handler=platform.handle)
                nursery.start_soon(trio.serve_listeners, handler, listeners)
                sys.stdout.write(f"ready {url} app_id {_APP} secret {_SECRET}\n")
                sys.stdout.flush()
                async for _ in signals:
                    nursery.cancel_scope.cancel(reason="signal")
                    break
        return 0

    return trio.run(run)


if __name__ == "__main__":
    sys.exit(main())
