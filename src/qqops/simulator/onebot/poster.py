"""Events by HTTP POST, one after the other, signed. Source: onebot11.md §1."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque

import trio

from qqops.adapters.http.client import HttpClient
from qqops.errors import AdapterError, ProtocolError
from qqops.simulator.onebot.implementation import Frame

#: Times that one event is posted, and seconds between two of them.
TRIES, PAUSE = 3, 1.0


class Poster:
    """Posts to one URL.

    Attributes:
        statuses: How the other side has answered, by HTTP status; 0 for not at all.
    """

    def __init__(self, url: str, secret: str, number: int) -> None:
        self.statuses: dict[int, int] = {}
        self._url = url
        self._secret = secret
        self._number = number
        self._queue: deque[Frame] = deque(maxlen=10_000)
        self._wake = trio.Event()

    def put(self, frame: Frame) -> None:
        """Queue an event."""
        self._queue.append(frame)
        self._wake.set()

    async def run(self) -> None:
        """Post what is queued, until cancelled."""
        async with HttpClient() as http:
            while True:
                if not self._queue:
                    self._wake = trio.Event()
                    await self._wake.wait()
                frame = self._queue.popleft()
                for _ in range(TRIES):
                    status = await self._post(
                        http, json.dumps(frame, ensure_ascii=False).encode("utf-8", "replace")
                    )
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    if 0 < status < 500:
                        break
                    await trio.sleep(PAUSE)

    async def _post(self, http: HttpClient, body: bytes) -> int:
        headers = [("Content-Type", "application/json"), ("X-Self-ID", str(self._number))]
        if self._secret:
            digest = hmac.new(self._secret.encode(), body, hashlib.sha1).hexdigest()
            headers.append(("X-Signature", f"sha1={digest}"))
        try:
            reply = await http.call("POST", self._url, headers, body, deadline=5.0, idempotent=False)
        except (AdapterError, ProtocolError):
            return 0
        return reply.status
