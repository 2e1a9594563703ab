"""Requests and responses as values, and the cookies between them.

The hosts here are the service's own names. Where they really lead is decided outside, by the endpoint map.
"""

from __future__ import annotations

import email.utils
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping

import attrs

from qqops.protocol.webqq.address import Address, hostname, split

#: What a browser of those years said; an empty or a library's agent was refused on some calls (webqq.md §3).
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/39.0 Safari/537.36"
)


@attrs.frozen(kw_only=True)
class Request:
    """One call of the service.

    Attributes:
        name: Which call it is (``poll2``); the classification goes by it.
        host: Name in lower case, and the port where it is not the scheme's own.
        deadline: Seconds the whole call may take; None for the account's setting.
        idempotent: Whether it may be repeated when a kept-alive connection turns out to be stale.
        content: (type, bytes) of a body that is not a form.
        named: Whether it goes to an address that the service has named for a file; see `address.destination`.
    """

    name: str
    method: str
    host: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    referer: str = ""
    scheme: str = "http"
    deadline: float | None = None
    idempotent: bool = True
    content: tuple[str, bytes] | None = attrs.field(default=None, repr=False)
    named: bool = False

    @property
    def address(self) -> Address:
        """Where it goes by the service's own names."""
        return split(f"{self.scheme}://{self.host}{self.path}")

    @property
    def url(self) -> str:
        """The whole URL by the service's own names."""
        return f"{self.scheme}://{self.host}{self.target}"

    @property
    def hostname(self) -> str:
        """The host without a port; cookies go by it."""
        return hostname(self.host)

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        query = urllib.parse.urlencode(self.query)
        return f"{self.path}?{query}" if query else self.path

    def headers(self, cookies: str) -> list[tuple[str, str]]:
        """Return the request's headers, *cookies* being the value of the Cookie header or ""."""
        headers = [("Host", self.host), ("User-Agent", USER_AGENT), ("Accept", "*/*")]
        if self.referer:
            headers.append(("Referer", self.referer))
        if self.method == "POST":
            headers.append(("Origin", f"{self.scheme}://{self.host}"))
            form = "application/x-www-form-urlencoded"
            headers.append(("Content-Type", self.content[0] if self.content is not None else form))
        if cookies:
            headers.append(("Cookie", cookies))
        return headers

    @property
    def body(self) -> bytes:
        """The form, encoded; or the content."""
        return self.content[1] if self.content is not None else urllib.parse.urlencode(self.form).encode()


@attrs.frozen(kw_only=True)
class Response:
    """What came back.

    Attributes:
        elapsed: Seconds the call took; the classification needs it (webqq.md §12.1).
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    elapsed: float = 0.0

    def header(self, name: str) -> str:
        """Return the first header of that name, in any case, or ""."""
        return next((v for k, v in self.headers if k.lower() == name), "")


def get(name: str, url: str, query: Mapping[str, object], **more: object) -> Request:
    """Return a GET of *url* (``https://host/path``) with *query*. Raises `ProtocolError` when it is not a plain address."""
    return _request(name, "GET", url, query=_pairs(query), **more)


def post(name: str, url: str, form: Mapping[str, object], **more: object) -> Request:
    """Return a POST of *form* to *url*."""
    return _request(name, "POST", url, form=_pairs(form), **more)


def _request(name: str, method: str, url: str, **more: object) -> Request:
    to = split(url)
    known: dict[str, object] = {
        "name": name, "method": method, "scheme": to.scheme, "host": to.authority, "path": to.path,
    }  # fmt: skip
    if to.query:
        more["query"] = (*urllib.parse.parse_qsl(to.query, keep_blank_values=True), *more.get("query", ()))  # type: ignore[misc]
    return Request(**{**known, **more})  # type: ignore[arg-type]


def _pairs(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in values.items())


class Cookies:
    """The cookies of one session, by domain and name.

    Written for this service: domains are honoured, paths are always ``/`` there and ignored, and an expiry
    counts only when it lies in the past, which is how the service deletes (webqq.md §4.5). No clock needed.
    """

    #: More cookies, or longer ones, than any real session has; beyond that the peer is playing games.
    LIMIT = 200
    MAX_COOKIE = 4096

    def __init__(self, values: Mapping[tuple[str, str], str] | None = None) -> None:
        self._values: dict[tuple[str, str], str] = dict(values or {})
        #: Counts changes; who keeps a header knows by it when to make it anew.
        self.version = 0

    def take(self, host: str, headers: Iterable[tuple[str, str]]) -> None:
        """Store what the Set-Cookie headers of an answer from *host* say."""
        for key, value in headers:
            if key.lower() == "set-cookie" and len(value) <= self.MAX_COOKIE:
                self._take_one(host, value)

    def _take_one(self, host: str, line: str) -> None:
        first, *attributes = line.split(";")
        name, equals, value = first.strip().partition("=")
        if not equals or not name or any(ord(c) < 33 or ord(c) > 126 for c in name + value):
            return
        domain = host
        gone = False
        for attribute in attributes:
            key, _, text = attribute.strip().partition("=")
            if key.lower() == "domain" and text.strip():
                domain = text.strip().lstrip(".").lower()
            elif key.lower() == "max-age":
                gone = re.fullmatch(r"-\d{1,10}|0+", text.strip(), re.ASCII) is not None
            elif key.lower() == "expires":
                gone = gone or _lies_before_2000(text)
        if host != domain and not host.endswith("." + domain):
            return
        self.version += 1
        # The same few names in every account: thousands of them share one text each.
        domain, name = sys.intern(domain), sys.intern(name)
        if gone:
            self._values.pop((domain, name), None)
        elif (domain, name) in self._values or len(self._values) < self.LIMIT:
            self._values[domain, name] = value

    def header(self, host: str) -> str:
        """Return the Cookie header for a request to *host*; a name goes out once, the closest domain wins."""
        chosen: dict[str, tuple[int, str]] = {}
        for (domain, name), value in self._values.items():
            if (host == domain or host.endswith("." + domain)) and len(domain) >= chosen.get(name, (0, ""))[
                0
            ]:
                chosen[name] = (len(domain), value)
        return "; ".join(f"{name}={value}" for name, (_, value) in chosen.items())

    def get(self, name: str) -> str:
        """Return the value of *name*, whatever its domain, or ""."""
        return next((v for (_, n), v in reversed(self._values.items()) if n == name), "")

    def put(self, domain: str, name: str, value: str) -> None:
        """Set a cookie, replacing those of the same name under other domains."""
        self.drop(name)
        self._values[domain, name] = value

    def drop(self, name: str) -> None:
        """Forget the cookie *name* of all domains."""
        self.version += 1
        self._values = {key: value for key, value in self._values.items() if key[1] != name}

    def items(self) -> Iterable[tuple[tuple[str, str], str]]:
        """Return ((domain, name), value) of every cookie."""
        return self._values.items()

    def __len__(self) -> int:
        return len(self._values)


def _lies_before_2000(text: str) -> bool:
    """Whether an Expires date is one of those that delete. Real expiries lie after the year 2000."""
    moment = email.utils.parsedate_tz(text.replace("-", " "))
    return moment is not None and moment[0] < 2000
