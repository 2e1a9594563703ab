"""Connections that an implementation opens to us, from the handshake until a session has ended with them."""

from __future__ import annotations

import hmac
import urllib.parse
from collections.abc import Callable

import attrs
import structlog
import trio

from qqops.adapters.http.exchange import HttpAnswer, HttpRequest, Takeover
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.websocket.handshake import accept
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import ProtocolError, TransientError

log = structlog.get_logger("qqops.onebot11")

#: Seconds a connection may wait for a session.
PATIENCE = 60.0
#: Seconds between two complaints about connections that take over from each other.
COMPLAIN = 60.0

UNIVERSAL, EVENT, API = "universal", "event", "api"


class TakenOver(TransientError):
    """A newer connection of the same account has come; the session goes on with it at once."""


@attrs.define(eq=False)
class Arrived:
    """One open connection.

    Attributes:
        role: ``universal``, ``event`` or ``api``.
        self_id: The number that it says it has; "" for none.
        wanted: Set when a session takes it, or a newer one its place.
        free: Set when nobody else uses it any more.
        over: Set when the session has ended.
    """

    role: str
    socket: WebSocket
    self_id: str
    wanted: trio.Event = attrs.field(factory=trio.Event)
    free: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)


class Arrivals:
    """What comes in for one account. The newest connection of a role wins: the older one may be half-open.

    Attributes:
        number: Number of the account: from the settings, else of the first connection that said one. Connections of
            others are not ours.
        posted: Answers events that come as posts.

    Args:
        early: Takes what comes on a connection before its session, be it ever used or not: whoever sent it has seen us
            alive, and will not send it again.
    """

    def __init__(self, options: OneBotOptions, name: str, early: Callable[[list[bytes]], None]) -> None:
        self._options = options
        self._early = early
        self._name = name
        self.number = str(options.self_id or "")
        self._waiting: dict[str, Arrived] = {}
        self._news = trio.Event()
        self._in_use: tuple[Arrived, ...] = ()
        self._replaced = trio.Event()
        self._complained = float("-inf")
        self._refused = 0
        self.posted: Callable[[HttpRequest], HttpAnswer] = lambda request: HttpAnswer(status=503)

    def accepts(self, request: HttpRequest) -> bool:
        """Whether *request* is for this account: by its number, where that is known."""
        said = request.header("x-self-id").strip()
        return not (self.number and said and said != self.number)

    async def handle(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Answer a request of the implementation. Fast: some give up after 2 s."""
        if not self.accepts(request):
            self._complain(404, "the account is of another number: does self_id say whose it is?")
            return HttpAnswer(status=404, body=b"another number is here\n")
        if self._options.url:  # its actions go over HTTP, so its events come as posts
            await trio.lowlevel.checkpoint()
            answer = self.posted(request)
            if answer.status in (401, 403):
                self._complain(answer.status, "is the secret (token) the same on both sides?")
            return answer
        refused = authorize(request, self._options.token.reveal())
        if refused:
            self._complain(refused, "is the token the same on both sides?")
            return HttpAnswer(status=refused, body=b"wrong token\n" if refused == 403 else b"token needed\n")
        self.number = self.number or request.header("x-self-id").strip()
        return Takeover(serve=lambda stream, extra: self._serve(stream, extra, request))

    def _complain(self, status: int, hint: str) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            log.warning("refused", account=self._name, status=status, times=self._refused, hint=hint)

    async def _serve(self, stream: trio.abc.Stream, extra: bytes, request: HttpRequest) -> None:
        """Hold a connection until its session has ended; the listener closes it then."""
        try:
            socket = await accept(stream, request, extra, max_size=self._options.max_frame * 2**20)
        except ProtocolError as exc:
            log.warning("no proper handshake", account=self._name, reason=str(exc))
            return
        role = request.header("x-client-role").strip().lower()
        if role not in (API, EVENT):
            role = _by_path(request) or UNIVERSAL
        arrived = Arrived(role, socket, request.header("x-self-id").strip())
        self._put(arrived)
        try:
            await self._tend(arrived)
            if arrived.wanted.is_set():
                await arrived.over.wait()
        finally:
            self._forget(arrived)

    async def _tend(self, arrived: Arrived) -> None:
        """Keep a connection alive while it waits; return when it is wanted, gone, or has waited long enough."""
        with trio.move_on_after(PATIENCE) as patience:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(arrived.socket.write)
                    nursery.start_soon(self._keep, arrived)
                    await arrived.wanted.wait()
                    nursery.cancel_scope.cancel(reason="it is wanted")
            except* TransientError:
                log.info("a connection ended before its session", account=self._name, role=arrived.role)
        if patience.cancelled_caught:
            missing = API if arrived.role == EVENT else EVENT
            log.warning("a connection waited in vain", account=self._name, role=arrived.role, missing=missing)
        arrived.free.set()

    async def _keep(self, arrived: Arrived) -> None:
        while True:
            self._early(await arrived.socket.receive())

    def _put(self, arrived: Arrived) -> None:
        old = self._waiting.pop(arrived.role, None)
        if old is not None:
            old.wanted.set()
            old.over.set()
        self._waiting[arrived.role] = arrived
        roles = {one.role for one in self._in_use}
        if arrived.role in roles or (roles and self._is_whole()):
            self._replaced.set()
        self._news.set()

    def _is_whole(self) -> bool:
        """Whether a session can begin with what waits."""
        return UNIVERSAL in self._waiting or (EVENT in self._waiting and API in self._waiting)

    def _forget(self, arrived: Arrived) -> None:
        if self._waiting.get(arrived.role) is arrived:
            del self._waiting[arrived.role]
            self._news.set()

    async def take(self, tell: Callable[[str], None]) -> tuple[Arrived, Arrived]:
        """Wait for a connection, or for a pair of them; return the ones for events and for actions.

        Cancellation: `release` lets go what was taken.

        Args:
            tell: Is told what is missing, whenever that changes.
        """
        while True:
            self._news = trio.Event()
            if self._is_whole():
                roles = (UNIVERSAL,) if UNIVERSAL in self._waiting else (EVENT, API)
                self._in_use = tuple(self._waiting.pop(role) for role in roles)
                self._replaced = trio.Event()
                for one in self._in_use:
                    one.wanted.set()
                    await one.free.wait()
                return self._in_use[0], self._in_use[-1]
            there = next(iter(self._waiting), "")
            missing = {
                EVENT: "its connection for actions (role API)",
                API: "its connection for events (role Event)",
            }
            tell(missing.get(there, ""))
            await self._news.wait()

    async def watch(self) -> None:
        """End the session when a newer connection has come.

        Raises:
            TakenOver: It has.
        """
        await self._replaced.wait()
        if trio.current_time() > self._complained + COMPLAIN:
            self._complained = trio.current_time()
            log.warning(
                "a newer connection takes over; if that goes on, two programs use this account",
                account=self._name,
            )
        raise TakenOver("a newer connection of the same account took over")

    def release(self) -> None:
        """The session has ended: its connections are over."""
        for one in self._in_use:
            one.over.set()
        self._in_use = ()


def authorize(request: HttpRequest, token: str) -> int:
    """Return 0 when *request* carries *token*, else the HTTP status of the refusal.

    Schemes ``Bearer`` and ``Token`` are taken, a bare token, and ``access_token`` in the URL; in constant time. Without
    a token of ours, everything goes: implementations send an empty one then.
    """
    if not token:
        return 0
    given = request.header("authorization").strip()
    scheme, _, rest = given.partition(" ")
    word = rest.strip() if scheme.lower() in ("bearer", "token") else given
    found = word.encode("latin-1", "replace")  # a header's bytes, whatever they mean
    if not found:
        query = urllib.parse.parse_qs(request.target.partition("?")[2])
        found = next(iter(query.get("access_token", [])), "").encode("utf-8", "replace")
    if not found:
        return 401
    return 0 if hmac.compare_digest(found, token.encode()) else 403


def _by_path(request: HttpRequest) -> str:
    """Return the role that a path says, for implementations that say it there."""
    last = request.path.rstrip("/").rpartition("/")[2].lower()
    return last if last in (API, EVENT) else ""
