"""URLs of the service, taken apart once, and held against the places where requests may go.

Addresses come from answers and messages: a redirect, an offered file. What is compared here is what is connected to
later, so that no spelling (userinfo, backslash, upper case, ports) means one host to the check and another to the wire.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping

import attrs

from qqops.protocol.webqq.errors import WebQQProtocolError

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
#: Scheme, host and port; everything that this does not match is refused, not repaired.
_AUTHORITY = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL}){{0,20}}|\[[0-9a-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?=[/?#]|\Z)",
    re.ASCII | re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
#: Characters of path and query that stay as they are; others are percent-encoded.
_KEPT = "".join(c for c in map(chr, range(33, 127)) if c not in '"<>\\^`{|}')


@attrs.frozen
class Address:
    """A URL in parts.

    Attributes:
        host: In lower case; an IPv6 address in brackets.
        path: At least ``/``.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str = ""

    @property
    def authority(self) -> str:
        """Host, and the port where it is not the scheme's own."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"


def split(url: str) -> Address:
    """Return the parts of *url*.

    Raises:
        ProtocolError: It is not a plain HTTP address: another scheme, userinfo, a name that is not ASCII, a strange port.
    """
    found = _AUTHORITY.match(url)
    port = int(found["port"] or _PORTS[found["scheme"].lower()]) if found is not None else 0
    if found is None or not 0 < port < 65536:
        raise WebQQProtocolError("no plain address of HTTP", payload=url)
    rest = url[found.end() :].partition("#")[0]
    path, _, query = urllib.parse.quote(rest, safe=_KEPT).partition("?")
    return Address(found["scheme"].lower(), found["host"].lower(), port, path or "/", query)


def join(base: str, reference: str) -> str:
    """Return where *reference*, absolute or relative, leads from *base*. What comes out is still to be `split`."""
    try:
        return urllib.parse.urljoin(base, reference)
    except ValueError as exc:
        raise WebQQProtocolError("no plain address of HTTP", payload=reference) from exc


def hostname(authority: str) -> str:
    """Return the host of ``host`` or ``host:port``."""
    return re.sub(r":[0-9]+\Z", "", authority)


def destination(address: Address, endpoints: Mapping[str, str], *, named: bool = False) -> str:
    """Return the base URL that a request for *address* goes to.

    An endpoint's own address is reached by its key only: it is the owner's word about one host, not a further host.

    Args:
        endpoints: Host, or host and port → base URL; ``*`` for all other addresses that are allowed.
        named: Whether the service itself has named this very address for a file. Then it may also be a numeric one,
            of the public network.

    Raises:
        ProtocolError: It is neither the service's nor in *endpoints*.
    """
    usual = address.port in _PORTS.values()
    for key in (address.authority, *((address.host,) if usual else ())):
        if key in endpoints and key != "*":
            return endpoints[key].rstrip("/")
    ours = address.host == "qq.com" or address.host.endswith(".qq.com")
    if not (ours and usual) and not (named and _is_public(address.host)):
        raise WebQQProtocolError("this is not a host of the service", payload=address.authority)
    return endpoints.get("*", f"{address.scheme}://{address.authority}").rstrip("/")


def _is_public(host: str) -> bool:
    """Whether *host* is an IPv4 address that the whole network can reach; the service never named another kind."""
    try:
        number = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return number.is_global and not number.is_multicast
