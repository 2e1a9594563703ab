"""Fetching what a URL in a message points at: with limits, and nothing but public addresses unless told."""

from __future__ import annotations

import urllib.parse

import trio

from qqops.adapters.http.addresses import Addresses, PrivateAddress
from qqops.adapters.http.client import MAX_BODY
from qqops.adapters.http.connection import Wire
from qqops.adapters.http.response import TooLarge
from qqops.adapters.http.tls import tls_context
from qqops.errors import AdapterError, ProtocolError, Refuse

#: Seconds for one download, and redirects that are followed.
DEADLINE, REDIRECTS = 60.0, 3


_admit = Addresses().admit


async def download(url: str, *, most: int = MAX_BODY, private: bool = False) -> bytes:
    """Return the content at *url*; reading stops where it is too large.

    Args:
        most: Bytes that are taken.
        private: Whether addresses of this machine and of private networks are allowed. A URL comes from whoever wrote
            the message, and must not make the bot fetch what only the bot can reach. What counts is the address of the
            connection itself: a name may lead elsewhere the second time it is asked for.

    Raises:
        Refuse: It cannot be had; the text says why.
    """
    wire = Wire(tls_context, most, None if private else _admit)
    deadline = trio.current_time() + DEADLINE
    try:
        for _ in range(REDIRECTS + 1):
            url, host = _plain(url)
            headers = [("Host", host), ("User-Agent", "qqops"), ("Accept", "*/*")]
            reply = await wire.call("GET", url, headers, b"", deadline=deadline, again=True)
            if reply.status == 200:
                return reply.body
            target = next((v for k, v in reply.headers if k.lower() == "location"), "")
            if reply.status not in (301, 302, 303, 307, 308) or not target:
                raise Refuse(f"it cannot be fetched: HTTP {reply.status}")
            url = urllib.parse.urljoin(url, target)
    except PrivateAddress as exc:
        raise Refuse("it lies within a private network") from exc
    except TooLarge as exc:
        raise Refuse("it is too large") from exc
    except (AdapterError, ProtocolError) as exc:
        raise Refuse(f"it cannot be fetched: {exc}") from exc
    finally:
        with trio.move_on_after(2, shield=True):
            await wire.aclose()
    raise Refuse("it cannot be fetched: too many redirects")


def _plain(url: str) -> tuple[str, str]:
    """Return *url* in ASCII, and its host and port as a request says them.

    Raises:
        Refuse: It is not a URL of HTTP.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if ":" not in host:
            host = host.encode("idna").decode()
    except (ValueError, UnicodeError) as exc:
        raise Refuse("it has no proper address") from exc
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise Refuse("it has no address that can be fetched")
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    path, query = (
        urllib.parse.quote(part, safe="/%:=&?~+!$,;'@()*[]|") for part in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, place, path, query, "")), place
