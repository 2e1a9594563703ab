"""A small HTTP/1.1 server: h11 on trio streams. For the simulator, and for networks that call us.

A handler may take as long as it likes: while it waits, the connection is watched, and a client that goes
away ends the handler. It learns afterwards whether its answer was written.
"""

from __future__ import annotations

import http
import select

import h11
import structlog
import trio

from qqops.adapters.http.exchange import HttpAnswer as HttpAnswer
from qqops.adapters.http.exchange import HttpHandler as HttpHandler
from qqops.adapters.http.exchange import HttpRequest as HttpRequest
from qqops.adapters.http.exchange import Takeover as Takeover

#: Largest body that is read, in bytes.
MAX_BODY = 16 * 1024 * 1024
#: Bytes up to which a body is no burden.
SMALL = 64 * 1024
#: Seconds until the head of a request must be whole, whether nothing comes or a byte now and then.
HEAD_DEADLINE = 30.0
#: Seconds that a connection may rest between two requests. Whoever posts an event just when it is closed loses it, so that
#: is not to happen often.
KEEP_ALIVE = 300.0
#: Seconds for a client to send the body, and for us to write an answer.
IO_DEADLINE = 30.0


log = structlog.get_logger("qqops.listen")


async def serve_connection(
    stream: trio.abc.Stream, handler: HttpHandler, large: trio.CapacityLimiter | None = None
) -> None:
    """Serve one connection until it closes; closes *stream*. Peers that break the rules get a 400 at most.

    Args:
        large: Bounds how many bodies over `SMALL` bytes are read at a time by all who share it, so that nobody can fill
            the memory before a handler has looked at their token.
    """
    connection = _Connection(stream, handler, large)
    async with stream:
        try:
            await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError, trio.TooSlowError):
            return


class _Connection:
    def __init__(
        self, stream: trio.abc.Stream, handler: HttpHandler, large: trio.CapacityLimiter | None
    ) -> None:
        self._stream = stream
        self._handler = handler
        self._large = large
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)

    async def run(self) -> None:
        patience = HEAD_DEADLINE
        while True:
            event = await self._head(patience)
            patience = KEEP_ALIVE
            if not isinstance(event, h11.Request):
                return
            request = await self._read(event)
            if request is None:
                await self._write(HttpAnswer(status=413, body=b"too large\n"), b"", keep=False)
                return
            answer, extra = await self._answer(request)
            if answer is None:
                return
            if isinstance(answer, Takeover):
                await answer.serve(self._stream, self._h11.trailing_data[0] + extra)
                return
            if answer.close:
                answer.sent(False)
                return
            if not await self._write_reporting(answer, extra):
                return

    async def _head(self, patience: float) -> type[h11.PAUSED | h11.NEED_DATA] | h11.Event | None:
        """Return the head of a request; None when it does not begin within *patience* seconds, or is not whole in time."""
        begun = bool(self._h11.trailing_data[0])
        with trio.move_on_after(HEAD_DEADLINE if begun else patience) as scope:
            return await self._next_event(scope)
        return None

    async def _next_event(
        self, head: trio.CancelScope | None = None
    ) -> type[h11.PAUSED | h11.NEED_DATA] | h11.Event:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as exc:
                wrong: h11.RemoteProtocolError | None = exc
            else:
                wrong = None
            if wrong is not None:
                if self._h11.our_state is h11.IDLE:
                    await self._write(HttpAnswer(status=400, body=f"{wrong}\n".encode()), b"", keep=False)
                raise wrong
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(bytes(await self._stream.receive_some(65536)))
            if head is not None:
                head.deadline = min(head.deadline, trio.current_time() + HEAD_DEADLINE)

    async def _read(self, head: h11.Request) -> HttpRequest | None:
        """Return the whole request, or None when its body is too large."""
        body = bytearray()
        with trio.fail_after(IO_DEADLINE):
            whole = await self._read_body(body, min(SMALL, MAX_BODY))
            if not whole and self._large is not None:
                async with self._large:
                    whole = await self._read_body(body, MAX_BODY)
            elif not whole:
                whole = await self._read_body(body, MAX_BODY)
        if not whole:
            return None
        headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers)
        return HttpRequest(
            method=head.method.decode("ascii"),
            target=head.target.decode("latin-1"),
            headers=headers,
            body=bytes(body),
        )

    async def _read_body(self, body: bytearray, most: int) -> bool:
        """Read until the end of the body, or beyond *most* bytes; return whether that was the end."""
        while len(body) <= most:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return True
            else:
                raise h11.RemoteProtocolError("the request broke off")
        return False

    async def _answer(self, request: HttpRequest) -> tuple[HttpAnswer | Takeover | None, bytes]:
        """Run the handler while the connection is watched; no answer when the client has gone."""
        answer: HttpAnswer | Takeover | None = None
        extra = b""
        handed_on = False
        try:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal extra
                    try:
                        extra = bytes(await self._stream.receive_some(65536))
                    except trio.BrokenResourceError:
                        extra = b""
                    if not extra:
                        nursery.cancel_scope.cancel(reason="the client went away")

                nursery.start_soon(watch)
                try:
                    answer = await self._handler(request)
                except Exception:
                    log.exception("request failed", method=request.method, target=request.target[:200])
                    answer = HttpAnswer(status=500, body=b"internal error\n")
                nursery.cancel_scope.cancel(reason="answered")
            handed_on = True
        finally:
            if not handed_on and isinstance(answer, HttpAnswer):
                answer.sent(False)  # cancelled between the answer and its writing
        return answer, extra

    async def _write_reporting(self, answer: HttpAnswer, extra: bytes) -> bool:
        written = False
        try:
            if not extra and _has_hung_up(self._stream):
                return False
            written = await self._write(answer, extra, keep=True)
        finally:
            answer.sent(written)
        return written and self._h11.our_state is h11.IDLE

    async def _write(self, answer: HttpAnswer, extra: bytes, *, keep: bool) -> bool:
        try:
            reason = http.HTTPStatus(answer.status).phrase
        except ValueError:
            reason = "Unknown"
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        if not keep:
            headers.append(("Connection", "close"))
        response = h11.Response(
            status_code=answer.status,
            headers=[(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers],
            reason=reason.encode(),
        )
        data = b"".join(
            part or b""
            for part in (
                self._h11.send(response),
                self._h11.send(h11.Data(data=answer.body)),
                self._h11.send(h11.EndOfMessage()),
            )
        )
        with trio.fail_after(IO_DEADLINE):
            await self._stream.send_all(data)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        if extra:
            self._h11.receive_data(extra)
        return True


def _has_hung_up(stream: trio.abc.Stream) -> bool:
    """Whether the client has closed its side already; an answer written now would reach nobody.

    Needs the kernel's word for it, which only Linux gives; elsewhere the watching task has to do.
    """
    if not isinstance(stream, trio.SocketStream) or not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(stream.socket.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
