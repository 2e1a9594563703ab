"""The networks that come with the core, registered through the same hook that any plugin uses."""

from __future__ import annotations

from qqops.adapters import loopback, webqq
from qqops.adapters.base import Network
from qqops.plugin.hooks import hookimpl


@hookimpl
def qqops_networks() -> list[Network]:
    """Return the in-tree networks."""
    return [webqq.network, loopback.network]
