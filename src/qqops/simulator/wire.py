"""A request as the service's parts see it, and the answers they give."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

import attrs

from qqops.simulator.state import Hold


@attrs.frozen(kw_only=True)
class Asked:
    """A request: the service's own host name and path, whatever road it came by."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    referer: str
    body: bytes = b""

    @property
    def r(self) -> dict[str, Any]:
        """The JSON object in the form field ``r``, or an empty one."""
        try:
            value = json.loads(self.form.get("r", "{}"))
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def value(self, name: str) -> str:
        """Return a value from ``r``, the form or the query, as text: clients send both kinds (§13.6)."""
        r = self.r
        found = r[name] if name in r else self.form.get(name, self.query.get(name))
        return "" if found is None or found == "null" else str(found)

    def number(self, name: str) -> int:
        """Return a value as an integer, or 0."""
        text = self.value(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


@attrs.frozen(kw_only=True)
class Reply:
    """An answer; *cookies* are whole Set-Cookie lines, in order."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    cookies: tuple[str, ...] = ()
    location: str = ""


#: What the service does with a request: answer, or hold it.
Outcome = Reply | Hold


def json_reply(value: Any) -> Reply:
    """Return an API answer; bodies end in a line feed (§3)."""
    return Reply(body=json.dumps(value, separators=(",", ":")).encode() + b"\n")


def result(value: Any) -> Reply:
    """Return a successful API answer."""
    return json_reply({"retcode": 0, "result": value})


def code(number: int, **more: Any) -> Reply:
    """Return an answer with a return code and no result."""
    return json_reply({"retcode": number, "errmsg": "", **more})


def js(text: str, cookies: tuple[str, ...] = ()) -> Reply:
    """Return a JavaScript answer; these end in CR LF (§3)."""
    return Reply(
        body=text.encode() + b"\r\n", content_type="application/x-javascript; charset=utf-8", cookies=cookies
    )


def page(title: str, status: int = 200, extra: str = "", cookies: tuple[str, ...] = ()) -> Reply:
    """Return a small HTML page."""
    body = f"<html><head><title>{title}</title>{extra}</head><body><h1>{title}</h1></body></html>\n"
    return Reply(body=body.encode(), status=status, content_type="text/html; charset=utf-8", cookies=cookies)


def cookie(name: str, value: str, domain: str = "qq.com", expires: str = "") -> str:
    """Return a Set-Cookie line in the service's own style: capitals, trailing semicolon (§2)."""
    return f"{name}={value};{f' EXPIRES={expires};' if expires else ''} PATH=/; DOMAIN={domain};"


def parse(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """Return the request, by whichever of the three roads it came.

    ``Host: d.web2.qq.com`` and the path; an absolute target, as to a proxy; or ``/d.web2.qq.com/path``.
    """
    host = headers.get("host", "").partition(":")[0].lower()
    if "://" in target.partition("?")[0]:
        parts = _split(target)
        host, target = parts.hostname or "", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    path, _, query = target.partition("?")
    first, _, rest = path.lstrip("/").partition("/")
    if not host.endswith("qq.com") and first.endswith("qq.com"):
        host, path = first.lower(), "/" + rest
    form = body.decode("utf-8", "replace") if method == "POST" else ""
    return Asked(
        method=method,
        host=host,
        path=urllib.parse.unquote(path),
        query=dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        form=dict(urllib.parse.parse_qsl(form, keep_blank_values=True)),
        cookies=_cookies(headers.get("cookie", "")),
        referer=headers.get("referer", ""),
        body=body,
    )


def _split(url: str) -> urllib.parse.SplitResult:
    """Return the parts of *url*; of nothing when it is none."""
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return urllib.parse.urlsplit("")


def host_of(url: str) -> str:
    """Return the host of *url*, or "" when there is none."""
    return _split(url).hostname or ""


def good_referer(referer: str) -> bool:
    """§3: the host ends in web2.qq.com and the path is a proxy page; version and id do not matter."""
    parts = _split(referer)
    host = parts.hostname or ""
    return (host == "web2.qq.com" or host.endswith(".web2.qq.com")) and parts.path in (
        "/proxy.html",
        "/cfproxy.html",
    )


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, equals, value in pairs if equals}
