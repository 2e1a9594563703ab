"""Tables ``[accounts.NAME]`` → accounts whose options are checked against those of their network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Annotated, Any

import attrs

from qqops._environment import variable_of
from qqops._file import SettingsFile
from qqops._structure import filled, nearest, structure
from qqops.adapters.base import Network
from qqops.errors import ConfigError, Mistakes, excerpt
from qqops.model.allowed import OneOf, Pause, Seconds
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

    reconnect: Annotated[str, OneOf(tuple(one.value for one in Reconnect))] = "always"
    retry_first: Seconds = 1.0
    retry_cap: Seconds = 60.0
    retry_stable: Pause = 60.0
    connect_within: Seconds = 120.0


@attrs.frozen(kw_only=True)
class AccountSettings:
    """What every ``[accounts.NAME]`` may say, whatever its network; these are `Network.RESERVED`.

    Attributes:
        network: Kind of network; the remaining keys depend on it.
        link: How its connection is held; a table of its own.
    """

    network: str
    link: LinkSettings = attrs.field(factory=LinkSettings)


@attrs.frozen(kw_only=True)
class Account:
    """One account, checked.

    Attributes:
        held: How its connection is held, as the settings say it.
        options: An object of the network's own options class.
    """

    name: str
    network: str
    held: LinkSettings
    options: Any

    @property
    def link(self) -> LinkPolicy:
        """How its connection is held."""
        held = self.held
        return LinkPolicy(
            reconnect=Reconnect(held.reconnect),
            backoff=BackoffPolicy(first=held.retry_first, cap=held.retry_cap, stable=held.retry_stable),
            connect_within=held.connect_within,
        )


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
        ConfigError: Something in them is wrong; all of it is named.
    """
    found = []
    mistakes = Mistakes()
    for name, table in tables.items():
        with mistakes.noted():
            found.append(_account(name, table, file, networks, environ))
    with mistakes.noted():
        _check_twice(found, file, networks)
    mistakes.check()
    return found


def _account(
    name: str,
    table: Mapping[str, Any],
    file: SettingsFile,
    networks: Mapping[str, Network],
    environ: Mapping[str, str],
) -> Account:
    """Return one account. Raises `ConfigError` that names all that is wrong with it."""
    key = f"accounts.{name}"
    own = {k: v for k, v in table.items() if k not in Network.RESERVED}
    mistakes = Mistakes()
    network, common, options = None, None, None
    with mistakes.noted():
        network = _network(table, file, key, networks)
    with mistakes.noted():
        # What is wrong with its network has been said.
        reserved = {k: v for k, v in table.items() if k in Network.RESERVED} | {"network": ""}
        common = structure(reserved, AccountSettings, file, key)
    if network is not None:
        names = set(_names(network.options))
        moved = [k for k in _names(LinkSettings) if k in own.keys() - names]
        for link_key in moved:
            mistakes.found.append(_moved(link_key, file, key))
        known = names | {"network"} | {f"link.{link_key}" for link_key in _names(LinkSettings)}
        with mistakes.noted():
            stayed = {k: v for k, v in own.items() if k not in moved}
            options = filled(stayed, network.options, file, key, environ, known)
    mistakes.check()
    assert network is not None
    assert common is not None
    return Account(name=name, network=network.name, held=common.link, options=options)


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


def _moved(name: str, file: SettingsFile, key: str) -> ConfigError:
    """Tell where a key of the connection stands that was written beside the options, as it was once."""
    hint = f"it belongs to the table [{key}.link]"
    if f"{key}.{name}" in file.variables:
        hint = f"its environment variable is {variable_of(f'{key}.link.{name}')}"
    return ConfigError(f"unknown key {name!r}", where=file.where(f"{key}.{name}"), hint=hint)


def _check_twice(found: list[Account], file: SettingsFile, networks: Mapping[str, Network]) -> None:
    """Refuse one account of a service under two names: they would kick each other out, or do everything twice."""
    seen: dict[tuple[str, str, Hashable], str] = {}
    mistakes = Mistakes()
    for account in found:
        for key, value in networks[account.network].identity(account.options).items():
            other = seen.setdefault((account.network, key, value), account.name)
            if other == account.name:
                continue
            table = f"accounts.{account.name}"
            mistakes.add(
                f"{excerpt(getattr(account.options, key, value))} is the account {other!r} already",
                where=file.where(f"{table}.{key}", table),
                hint=f"leave one of the two out, or give each its own {key}",
            )
    mistakes.check()
