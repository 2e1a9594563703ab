"""HTTP for plugins: every call has an end, and what may be repeated is."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import attrs
import trio

from qqops.errors import ProtocolError, TransientError

if TYPE_CHECKING:
    from qqops.adapters.http.client import Http

#: Calls that may be made twice without harm.
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
#: Answers that say "later", seconds before each further try, and redirects that are followed.
_LATER, _PAUSES, _REDIRECTS = frozenset({502, 503, 504}), (0.2, 1.0), 5


@attrs.frozen(kw_only=True)
class Reply:
    """What a service has answered.

    Attributes:
        headers: By name in lower case; of several the last.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body's JSON. Raises `ProtocolError` when it is none."""
        try:
            return json_.loads(self.body)
        except ValueError as exc:
            raise ProtocolError("the answer is not JSON", payload=self.body) from exc


class HTTP:
    """A client of one plugin, injected by type and closed with the plugin."""

    def __init__(self) -> None:
        self._client: Http | None = None

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, deadline: float = 20.0
    ) -> Reply:
        """Fetch *url*; see `request`."""
        return await self.request("GET", url, headers=headers, deadline=deadline)

    async def post(
        self,
        url: str,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 20.0,
    ) -> Reply:
        """Send *json* or *body* to *url*; see `request`."""
        return await self.request("POST", url, json=json, body=body, headers=headers, deadline=deadline)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 20.0,
    ) -> Reply:
        """Make a call. What may be made twice is tried three times; redirects of a GET are followed.

        Args:
            json: Sent as JSON, instead of *body*.
            deadline: Seconds for everything, further tries and redirects included.

        Raises:
            TransientError: No answer came in time.
            ProtocolError: The answer cannot be used: too large, or redirected in a circle.
            ValueError: *url* is not an http or https address.
        """
        method = method.upper()
        sent = {"accept": "*/*", **{name.lower(): value for name, value in (headers or {}).items()}}
        if json is not None:
            body = json_.dumps(json, ensure_ascii=False).encode()
            sent.setdefault("content-type", "application/json")
        try:
            with trio.fail_after(deadline):
                return await self._follow(method, url, sent, body, trio.current_time() + deadline)
        except trio.TooSlowError as exc:
            raise TransientError(f"no answer within {deadline:g} s from {_host(url)}") from exc

    async def _follow(self, method: str, url: str, headers: dict[str, str], body: bytes, end: float) -> Reply:
        for _ in range(_REDIRECTS + 1):
            reply = await self._try(method, url, headers, body, end)
            target = reply.headers.get("location")
            if method not in ("GET", "HEAD") or reply.status not in (301, 302, 303, 307, 308) or not target:
                return reply
            there = urljoin(url, target)
            if _host(there) != _host(url):
                # What opens the door of one house is not shown at another.
                headers = {k: v for k, v in headers.items() if k not in ("authorization", "cookie")}
            url = there
        raise ProtocolError(f"{_host(url)} redirects more than {_REDIRECTS} times")

    async def _try(self, method: str, url: str, headers: dict[str, str], body: bytes, end: float) -> Reply:
        repeatable = method in _REPEATABLE
        pauses = _PAUSES if repeatable else ()
        for pause in (*pauses, None):
            try:
                reply = await self._call(method, url, headers, body, end - trio.current_time(), repeatable)
            except TransientError:
                if pause is None:
                    raise
            else:
                if pause is None or reply.status not in _LATER:
                    return reply
            await trio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _call(
        self, method: str, url: str, headers: dict[str, str], body: bytes, seconds: float, repeatable: bool
    ) -> Reply:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"no http or https address: {url!r}")
        if self._client is None:
            from qqops.adapters.http.client import HttpClient  # late: httpx is slow to import

            self._client = await HttpClient().__aenter__()
        found = await self._client.call(
            method, url, list(headers.items()), body, deadline=max(seconds, 0.001), idempotent=repeatable
        )
        got = {name.lower(): value for name, value in found.headers}
        return Reply(status=found.status, headers=got, body=found.body)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
