"""Reads one HTTP/1.1 answer from the bytes of a connection: h11, with bounds on what is read. Pure.

For `connection`, which holds thousands of polls; it costs 20 µs an answer more than a parser of our own would, 4 % of what
an idle account costs.
"""

from __future__ import annotations

import re

import h11

from qqops.errors import ProtocolError

#: Most bytes of status line and headers.
MAX_HEAD = 64 * 1024
#: Most interim answers (1xx) before the real one.
MAX_INTERIM = 5

#: What stands for the request that is answered: only its method matters to how an answer is read.
_ASKED, _ALL_OF_IT = h11.Request(method="GET", target="/", headers=[("Host", "-")]), h11.EndOfMessage()


class TooLarge(ProtocolError):
    """The answer is longer than we are ready to read."""


class ResponseReader:
    """One answer, as far as it has come.

    Attributes:
        status: 0 until the head is complete.
        keep: Whether the connection can be used again afterwards.
        done: Whether all of it is here.
        begun: Whether anything has come at all.
    """

    def __init__(self, max_body: int) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.keep = False
        self.done = False
        self.begun = False
        self._max = max_body
        self._interim = 0
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._h11.send(_ASKED)
        self._h11.send(_ALL_OF_IT)

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises `ProtocolError`."""
        if not data:
            return
        self.begun = True
        if self.done:
            self.keep = False  # more than one answer to one request: not to be trusted
            return
        try:
            self._h11.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as exc:
            # After the colon h11 quotes what it has read, which may hold a cookie: which names are secret, only its network
            # knows. Nor is *data* quoted beyond the beginning of a line that is none of HTTP.
            reason = str(exc).partition(":")[0]
            began = b"" if self.status else re.split(rb"[=:\r\n]", data[:400], maxsplit=1)[0]
            raise ProtocolError(f"the answer breaks HTTP: {reason}", payload=began) from None

    def end(self) -> bool:
        """Note that the connection has ended; return whether the answer is whole all the same."""
        self.keep = False
        if self.begun and not self.done:
            try:
                self._h11.receive_data(b"")
                self._read()
            except (h11.RemoteProtocolError, ProtocolError):
                return False
        self.keep = False
        return self.done

    def _read(self) -> None:
        while not self.done:
            event = self._h11.next_event()
            if isinstance(event, h11.InformationalResponse):
                self._interim += 1
                if self._interim > MAX_INTERIM or event.status_code == 101:
                    raise ProtocolError(f"the service answered with {event.status_code}")
            elif isinstance(event, h11.Response):
                self._head(event)
            elif isinstance(event, h11.Data):
                if len(self.body) + len(event.data) > self._max:
                    raise TooLarge(f"the answer is larger than {self._max} bytes")
                self.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.done = True
                self.keep = self._h11.their_state is h11.DONE and not self._h11.trailing_data[0]
            else:
                return

    def _head(self, event: h11.Response) -> None:
        if event.status_code > 599:
            raise ProtocolError(f"the service answered with {event.status_code}")
        self.status = event.status_code
        for name, value in event.headers.raw_items():
            self.headers.append((name.decode("ascii"), value.decode("latin-1")))
            match name.lower():
                case b"content-length" if int(value) > self._max:
                    raise TooLarge(f"the answer is larger than {self._max} bytes")
                case b"content-encoding" if value.lower() not in (b"identity", b""):
                    raise ProtocolError("the answer is compressed, and nobody asked for that", payload=value)
