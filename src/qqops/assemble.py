"""Settings → a bot that can be run: plugins loaded, accounts made."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from qqops._tables import SettingsFile, nearest
from qqops.adapters.base import Human, Opening
from qqops.app import App, AppPolicy
from qqops.errors import ConfigError
from qqops.model import AccountRef
from qqops.plugin.host import PluginReport, PluginState, discover
from qqops.runtime.clock import WallClock
from qqops.runtime.store import Store
from qqops.settings import Settings, accounts


def make_app(
    settings: Settings,
    human: Human | Sequence[Human],
    environ: Mapping[str, str],
    folder: pathlib.Path | None = None,
) -> App:
    """Return a bot with its plugins and no accounts yet.

    Args:
        folder: Where its store is kept; without one nothing outlives the process.
    """
    policy = AppPolicy(
        prefixes=settings.bot.prefixes,
        rooms=settings.room_settings,
        dispatch=settings.dispatch,
        journal=settings.journal,
        ask_in=settings.ask_in,
        grace_seconds=settings.bot.grace_seconds,
    )
    store = Store(folder / "qqops.db") if folder is not None else None
    app = App(policy, clock=WallClock(), human=human, store=store)
    wanted = environ.get("QQOPS_PLUGINS")
    only = [name.strip() for name in wanted.split(",") if name.strip()] if wanted else settings.plugins.only
    found = discover()
    app.host.load_all(found, only=only or None, off=settings.plugins.off)
    names = [candidate.name for candidate in found]
    for name in (*only, *settings.plugins.off):
        if name not in names:
            reason = f"no plugin of this name is installed ({nearest(name, names)})"
            app.host.reports[name] = PluginReport(name=name, state=PluginState.SKIPPED, reason=reason)
    return app


def add_accounts(app: App, settings: Settings, file: SettingsFile, environ: Mapping[str, str]) -> None:
    """Make the adapters of all accounts. Raises `ConfigError`."""
    folder = file.path.parent / settings.bot.data
    for account in accounts(settings, file, app.host.networks, environ):
        opening = Opening(
            account=AccountRef(account.network, account.name),
            clock=app.clock,
            rng=app.rng,
            folder=folder,
            directory=app.identity,
        )
        try:
            adapter = app.host.networks[account.network].open(opening, account.options)
        except ConfigError as exc:
            raise ConfigError(
                exc.message, where=file.where(f"accounts.{account.name}"), hint=exc.hint
            ) from exc
        app.add_account(adapter, account.link, settings.outbox)
