"""Which addresses may be called: those that everybody may reach, and those of private networks that somebody has named."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from qqops.errors import AdapterError, ConfigError


class PrivateAddress(AdapterError):
    """The address is none that everybody may reach."""


class Addresses:
    """Looks at the address of a connection that has just been made: a name may lead elsewhere the second time it is asked for.

    Args:
        private: Networks (``10.0.0.0/8``), addresses and names of hosts that may be called although they are private.

    Raises:
        ConfigError: One of them is none of these.
    """

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for one in private:
            try:
                self._networks.append(ipaddress.ip_network(one.strip("[]")))
            except ValueError as exc:
                if not _is_name(one):
                    raise ConfigError(
                        f"{one!r} is neither a network, an address nor the name of a host: {exc}",
                        hint="10.0.0.0/8, 192.168.1.5 or ci.example.org; without a scheme and a port",
                    ) from None
                self._hosts.add(one.casefold())

    def admit(self, host: str, address: str) -> None:
        """Raise `PrivateAddress` when *address*, to which *host* has led, may not be called."""
        found = ipaddress.ip_address(address.partition("%")[0])
        # What is carried within an address of the new kind is what is reached.
        inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
        if (found.is_global and inner.is_global and not found.is_multicast) or host.casefold() in self._hosts:
            return
        if any(one in network for network in self._networks for one in (found, inner)):
            return
        shown = address if address == host else f"{address} ({host})"
        raise PrivateAddress(f"{shown} is no public address; the settings may allow it by [http] private")


def _is_name(text: str) -> bool:
    """Whether *text* may be the name of a host; what is made of digits and dots is an address with a slip in it."""
    parts = text.split(".")
    return (
        bool(text)
        and not parts[-1].isdigit()
        and all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts)
    )
