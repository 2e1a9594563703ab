"""The settings of a running bot, read anew when a plugin is loaded or reloaded.

The plugin gets its new table. Whatever else has changed holds from the next start on, and is named.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from qqops._accounts import accounts
from qqops.adapters.base import Network
from qqops.errors import Mistakes
from qqops.plugin.host import Host
from qqops.plugin.plugins import Renewed
from qqops.settings import Settings, plugin_config, read_settings


class LiveSettings:
    """Reads the settings of *host* anew, from the file and the environment.

    Args:
        started: Those with which the bot has begun.
        environ: Looked into at each reading.
    """

    def __init__(self, path: pathlib.Path, started: Settings, environ: Mapping[str, str], host: Host) -> None:
        self._path = path
        self._started = started
        self._environ = environ
        self._host = host
        self._networks: dict[str, Network] = dict(host.networks)

    def renew(self, name: str) -> Renewed:
        """Return the settings for the plugin *name*, whose own table it looks through itself when it is loaded.

        Raises:
            ConfigError: Something is wrong, in them or in the table of another plugin that is loaded; all of it is named.
        """
        reading = read_settings(self._path, self._environ)
        settings, file = reading.settings, reading.file
        configure = functools.partial(plugin_config, settings, file, self._environ)
        mistakes = Mistakes()
        mistakes.found += reading.wrong
        # Accounts may outlive the plugin of their network; they wait for it, and are no mistake.
        self._networks |= self._host.networks
        with mistakes.noted():
            accounts(settings.accounts, file, self._networks, self._environ)
        for plugin in self._host.reports:
            found = self._host.collected(plugin)
            for cls in found.configs if found is not None and plugin != name else ():
                with mistakes.noted():
                    configure(plugin, cls)
        mistakes.check()
        return Renewed(configure=configure, restart=tuple(changed(self._started, settings)))


def changed(before: Settings, now: Settings) -> Iterator[str]:
    """Yield the keys outside the tables of plugins in which two settings differ; a table that is new or gone as a whole."""

    def values(settings: Settings) -> dict[str, Any]:
        plain = attrs.asdict(settings)
        del plain["plugins"]["tables"]
        return plain

    yield from _differ(values(before), values(now), "")


def _differ(before: Any, now: Any, key: str) -> Iterator[str]:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        if before != now:
            yield key
        return
    for name in sorted(before.keys() | now.keys()):
        below = f"{key}.{name}" if key else name
        if name in before and name in now:
            yield from _differ(before[name], now[name], below)
        else:
            yield below
