"""The networks that come with the core, registered through the same hook that any plugin uses."""

from __future__ import annotations

from qqops.adapters import memory
from qqops.adapters.base import Adapter, Network, Opening
from qqops.adapters.onebot11 import options as onebot11_options
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.webqq import options as webqq_options
from qqops.adapters.webqq.options import WebQQOptions
from qqops.errors import ConfigError
from qqops.plugin.hooks import hookimpl


def _open_webqq(opening: Opening, options: WebQQOptions) -> Adapter:
    """Return the adapter; who has no such account need not load its HTTP library."""
    from qqops.adapters.webqq.adapter import open_webqq

    return open_webqq(opening, options)


def _open_onebot11(opening: Opening, options: OneBotOptions) -> Adapter:
    """Return the adapter; its libraries are an extra, and are imported when an account asks for it."""
    try:
        from qqops.adapters.onebot11.adapter import open_onebot11
    except ModuleNotFoundError as exc:
        raise ConfigError(f"{exc.name} is not installed", hint="pip install 'qqops[onebot]'") from exc
    return open_onebot11(opening, options)


webqq = Network(
    name="webqq", options=WebQQOptions, open=_open_webqq, remembers=True, identity=webqq_options.identity
)
onebot11 = Network(
    name="onebot11", options=OneBotOptions, open=_open_onebot11, identity=onebot11_options.identity
)


@hookimpl
def qqops_networks() -> list[Network]:
    """Return the in-tree networks."""
    return [webqq, onebot11, memory.network]
