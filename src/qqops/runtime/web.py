"""HTTP for plugins: every call has an end, what may be repeated is, and nothing of a URL but its host is ever told."""

from __future__ import annotations

import binascii
import datetime
import json as json_
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

import attrs
import structlog
import trio

from qqops.errors import ProtocolError, TransientError
from qqops.model import Secret

if TYPE_CHECKING:
    from qqops.adapters.http.client import Http

log = structlog.get_logger("qqops.http")

#: Calls that may be made twice without harm.
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
#: Answers that say "later", seconds before each further try, and redirects that are followed.
_LATER, _PAUSES, _REDIRECTS = frozenset({502, 503, 504}), (0.2, 1.0), 3
#: Headers that open the door of one house and are not shown at another.
_KEYS = frozenset({"authorization", "proxy-authorization", "cookie"})


@attrs.frozen(kw_only=True)
class HttpPolicy:
    """Table ``[http]``: what plugins may call.

    Attributes:
        private: Networks, addresses and names of hosts that are not public and may be called all the same.
    """

    private: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Reply:
    """What a service has answered.

    Attributes:
        headers: By name in lower case; of several the last.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""

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
    """A client of one plugin, injected by type and closed with the plugin.

    Args:
        plugin: Whose it is, for the log.
        policy: What may be called.
        connect: Makes what carries the calls; a test puts its own in its place.
        now: Tells the time, for services that name a moment at which to come again.
    """

    def __init__(
        self,
        plugin: str = "",
        *,
        policy: HttpPolicy | None = None,
        connect: Callable[[], Http] | None = None,
        now: Callable[[], datetime.datetime] | None = None,
    ) -> None:
        self._plugin = plugin
        self._policy = policy or HttpPolicy()
        self._connect = connect or self._real
        self._now = now
        self._client: Http | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        found: int = getattr(self._client, "held", 0)
        return found

    async def get(
        self, url: str, *, headers: Mapping[str, str | Secret] | None = None, deadline: float = 20.0
    ) -> Reply:
        """Fetch *url*; see `request`."""
        return await self.request("GET", url, headers=headers, deadline=deadline)

    async def post(
        self,
        url: str,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str | Secret] | None = None,
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
        headers: Mapping[str, str | Secret] | None = None,
        deadline: float = 20.0,
    ) -> Reply:
        """Make a call. What may be made twice is tried three times; redirects of a GET are followed.

        Args:
            url: A name and a password in it (``https://NAME:PASSWORD@HOST/``) are sent as a header.
            json: Sent as JSON, instead of *body*.
            deadline: Seconds for everything, further tries, what a service asks to wait, and redirects included.

        Raises:
            TransientError: No answer came in time.
            ProtocolError: The answer cannot be used: too large, or redirected too often.
            AdapterError: The address is private, and the settings do not allow it.
            ValueError: *url* is not an http or https address, or *deadline* is none.
        """
        if not 0 < deadline < math.inf:
            raise ValueError(f"every call has an end: deadline is a number of seconds > 0, not {deadline!r}")
        method = method.upper()
        url, key = _plain(url)
        sent = {"accept": "*/*"} | ({"authorization": key} if key else {})
        for name, value in (headers or {}).items():
            sent[name.lower()] = value.reveal() if isinstance(value, Secret) else value
        if json is not None:
            body = json_.dumps(json, ensure_ascii=False).encode()
            sent.setdefault("content-type", "application/json")
        began = trio.current_time()
        reply: Reply | None = None
        try:
            with trio.fail_after(deadline):
                reply = await self._follow(method, url, sent, body, began + deadline)
        except trio.TooSlowError as exc:
            raise TransientError(f"no answer within {deadline:g} s from {_host(url)}") from exc
        finally:
            log.debug(
                "http call", plugin=self._plugin, method=method, to=_host(url),
                status=reply.status if reply is not None else None,
                seconds=round(trio.current_time() - began, 3),
            )  # fmt: skip
        return reply

    async def _follow(self, method: str, url: str, headers: dict[str, str], body: bytes, end: float) -> Reply:
        for _ in range(_REDIRECTS + 1):
            reply = await self._try(method, url, headers, body, end)
            target = reply.headers.get("location")
            if method not in ("GET", "HEAD") or reply.status not in (301, 302, 303, 307, 308) or not target:
                return reply
            try:
                there, _key = _plain(urljoin(url, target))
            except ValueError:
                raise ProtocolError(f"{_host(url)} redirects to what is no web address") from None
            if _host(there) != _host(url):
                headers = {name: value for name, value in headers.items() if name not in _KEYS}
            url = there
        raise ProtocolError(f"{_host(url)} redirects more than {_REDIRECTS} times")

    async def _try(self, method: str, url: str, headers: dict[str, str], body: bytes, end: float) -> Reply:
        repeatable = method in _REPEATABLE
        for pause in (*(_PAUSES if repeatable else ()), math.inf):
            try:
                reply = await self._call(method, url, headers, body, end - trio.current_time(), repeatable)
            except TransientError:
                if trio.current_time() + pause >= end:
                    raise
            else:
                pause = max(pause, self._asked_to_wait(reply))
                if reply.status not in _LATER or trio.current_time() + pause >= end:
                    return reply
            await trio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _asked_to_wait(self, reply: Reply) -> float:
        """Return the seconds for which *reply* asks, 0 where it does not."""
        text = reply.headers.get("retry-after", "").strip()
        if not text or (text.isascii() and text.isdigit()):
            return float(text or 0)
        import email.utils  # here: hardly any service names a moment

        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if self._now is None or moment.tzinfo is None:
            return 0.0
        return max(0.0, (moment - self._now()).total_seconds())

    async def _call(
        self, method: str, url: str, headers: dict[str, str], body: bytes, seconds: float, repeatable: bool
    ) -> Reply:
        if self._client is None:
            self._client = await self._connect().__aenter__()
        found = await self._client.call(
            method, url, list(headers.items()), body, deadline=max(seconds, 0.001), idempotent=repeatable
        )
        got = {name.lower(): value for name, value in found.headers}
        return Reply(status=found.status, headers=got, body=found.body)

    def _real(self) -> Http:
        from qqops.adapters.http.addresses import Addresses
        from qqops.adapters.http.client import HttpClient  # late: httpx is slow to import

        return HttpClient(admit=Addresses(self._policy.private).admit)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


def _plain(url: str) -> tuple[str, str]:
    """Return *url* without a name, a password and a fragment, and the header that these are sent as, or "".

    Raises:
        ValueError: It is no http or https address; it is not shown, as nobody knows what stands in it.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("no http or https address; write it like 'https://ci.example.org/build'")
    key = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        key = f"Basic {binascii.b2a_base64(pair.encode(), newline=False).decode()}"
    return urlunsplit((parts.scheme, _place(parts), parts.path, parts.query, "")), key


def _place(parts: SplitResult) -> str:
    """Return host and port."""
    return parts.netloc.rpartition("@")[2]


def _host(url: str) -> str:
    """Return what of *url* may be told."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_place(parts)}"
