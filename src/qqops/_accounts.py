"""Tables ``[accounts.NAME]`` → accounts whose options are checked against those of their network."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import attrs

from qqops._structure import SettingsFile, nearest, secrets, structure
from qqops.adapters.base import Network
from qqops.errors import ConfigError, excerpt
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.supervisor import LinkPolicy, Reconnect


@attrs.frozen(kw_only=True)
class LinkSettings:
    """Table ``[accounts.NAME.link]``: how a connection is held, whatever its network.

    It is a table of its own so that a new key here is never in the way of an option of somebody's network.

    Attributes:
        reconnect: ``always``, ``on-transient``, ``never`` or ``exit``.
        retry_first: Seconds of the first back-off window.
        retry_cap: Longest back-off window in seconds.
        retry_stable: Seconds online after which failed attempts are forgotten.
        connect_within: Seconds in which a session must come online or prove that it is getting there.
    """

    reconnect: str = "always"
    retry_first: float = 1.0
    retry_cap: float = 60.0
    retry_stable: float = 60.0
    connect_within: float = 120.0


@attrs.frozen(kw_only=True)
class AccountSettings:
    """What every ``[accounts.NAME]`` may say, whatever its network; these are `Network.RESERVED`.

    Attributes:
        network: Kind of network; the remaining keys depend on it.
    """

    network: str
    link: LinkSettings = attrs.field(factory=LinkSettings)


@attrs.frozen(kw_only=True)
class Account:
    """One account, checked.

    Attributes:
        options: An object of the network's own options class.
    """

    name: str
    network: str
    link: LinkPolicy
    options: Any


def accounts(
    tables: Mapping[str, dict[str, Any]],
    file: SettingsFile,
    networks: Mapping[str, Network],
    environ: Mapping[str, str],
) -> list[Account]:
    """Return the accounts, each checked against the options of its network.

    Args:
        tables: ``[accounts.NAME]`` by name, as they stand in *file*.

    Raises:
        ConfigError: Something in them is wrong; the first mistake is named with file, line and key.
    """
    found = []
    for name, table in tables.items():
        key = f"accounts.{name}"
        network = _network(table, file, key, networks)
        common = structure(
            {k: v for k, v in table.items() if k in Network.RESERVED}, AccountSettings, file, key
        )
        own = {k: v for k, v in table.items() if k not in Network.RESERVED}
        names = set(_names(network.options))
        _check_moved(own.keys() - names, file, key)
        known = names | {"network"} | {f"link.{link_key}" for link_key in _names(LinkSettings)}
        own = secrets(own, network.options, file, key, environ)
        options = structure(own, network.options, file, key, known)
        link = _link(common.link, file, f"{key}.link")
        found.append(Account(name=name, network=network.name, link=link, options=options))
    _check_twice(found, file, networks)
    return found


def _names(cls: type[Any]) -> list[str]:
    return [a.name for a in attrs.fields(cls)]


def _network(
    table: Mapping[str, Any], file: SettingsFile, key: str, networks: Mapping[str, Network]
) -> Network:
    if "network" not in table:
        raise ConfigError("network is missing", where=file.where(key), hint=f"one of: {', '.join(networks)}")
    kind = table["network"]
    network = networks.get(kind) if isinstance(kind, str) else None
    if network is None:
        near = nearest(str(kind), networks)
        raise ConfigError(f"unknown network {kind!r}", where=file.where(f"{key}.network"), hint=near)
    return network


def _check_moved(unknown: Iterable[str], file: SettingsFile, key: str) -> None:
    """Tell where a key of the connection stands that was written beside the options, as it was once."""
    for name in _names(LinkSettings):
        if name in unknown:
            hint = f"it belongs to the table [{key}.link]"
            if f"{key}.{name}" in file.overrides:
                variable = f"QQOPS_{key}.link.{name}".replace(".", "__").upper()
                hint = f"its environment variable is {variable}"
            raise ConfigError(f"unknown key {name!r}", where=file.where(f"{key}.{name}"), hint=hint)


def _link(link: LinkSettings, file: SettingsFile, key: str) -> LinkPolicy:
    try:
        reconnect = Reconnect(link.reconnect)
    except ValueError:
        choices = ", ".join(r.value for r in Reconnect)
        raise ConfigError(
            f"unknown value {link.reconnect!r}",
            where=file.where(f"{key}.reconnect"),
            hint=f"one of: {choices}",
        ) from None
    for name in ("retry_first", "retry_cap", "connect_within"):
        if not getattr(link, name) > 0:
            raise ConfigError(
                f"must be > 0 seconds, got {getattr(link, name):g}", where=file.where(f"{key}.{name}")
            )
    backoff = BackoffPolicy(first=link.retry_first, cap=link.retry_cap, stable=link.retry_stable)
    return LinkPolicy(reconnect=reconnect, backoff=backoff, connect_within=link.connect_within)


def _check_twice(found: list[Account], file: SettingsFile, networks: Mapping[str, Network]) -> None:
    """Refuse one account of a service under two names: they would kick each other out, or do everything twice."""
    seen: dict[tuple[str, str, Hashable], str] = {}
    for account in found:
        for key, value in networks[account.network].identity(account.options).items():
            other = seen.setdefault((account.network, key, value), account.name)
            if other == account.name:
                continue
            table = f"accounts.{account.name}"
            raise ConfigError(
                f"{excerpt(getattr(account.options, key, value))} is the account {other!r} already",
                where=file.where(f"{table}.{key}", table),
                hint=f"leave one of the two out, or give each its own {key}",
            )
