"""The official QQ bot platform as a network: ``network = "qqofficial"``."""

from __future__ import annotations

from qqops import hookimpl
from qqops.adapter import Adapter, Network, Opening
from qqops_qqofficial.options import Options, identity


def _open(opening: Opening, options: Options) -> Adapter:
    """Return the adapter; its libraries are loaded by who has such an account."""
    from qqops_qqofficial.adapter import open_qqofficial

    return open_qqofficial(opening, options)


network = Network(name="qqofficial", options=Options, open=_open, identity=identity)


@hookimpl
def qqops_networks() -> list[Network]:
    """Return the network."""
    return [network]
