"""Settings → a bot that can be run: plugins loaded, accounts made."""

from __future__ import annotations

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import structlog

from qqops._accounts import Account, accounts
from qqops._environment import strange
from qqops._explain import rows
from qqops._file import SettingsFile
from qqops._live import LiveSettings
from qqops._structure import nearest
from qqops.adapters.base import Adapter, Opening, Operator
from qqops.app import App, AppPolicy
from qqops.errors import ConfigError, Mistakes
from qqops.model import AccountRef
from qqops.plugin._beside import everything
from qqops.plugin.host import PluginReport, PluginState
from qqops.runtime._audit_file import AuditFile
from qqops.runtime.audit import Audit
from qqops.runtime.clock import WallClock
from qqops.runtime.hidden import Hidden
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.store import Store
from qqops.settings import Reading, Settings, plugin_config

if TYPE_CHECKING:
    from qqops.runtime.storage.postgres import Postgres

#: Name of the store's file in the bot's folder.
STORE = "qqops.db"
#: Name of the folder there in which plugins have their files.
FILES = "files"
#: Name of the folder beside the settings file in which plugins of one file each lie.
PLUGINS = "plugins"

log = structlog.get_logger("qqops.settings")


def database(settings: Settings, folder: pathlib.Path) -> pathlib.Path | Postgres:
    """Return where the store of a bot with these *settings* is. Raises `ConfigError`."""
    url = settings.store.url.reveal()
    if not url:
        return folder / STORE
    from qqops.runtime.storage.postgres import Postgres  # here: large

    return Postgres(url, folder)


def make_app(
    settings: Settings,
    operator: Operator | Sequence[Operator],
    environ: Mapping[str, str],
    folder: pathlib.Path | None = None,
    file: SettingsFile | None = None,
    plugins: pathlib.Path | None = None,
    hidden: Hidden | None = None,
) -> App:
    """Return a bot with its plugins and no accounts yet.

    Args:
        folder: Where its store and the files of plugins are kept; without one nothing outlives the process.
        file: Where the settings stand, for messages about them.
        plugins: Folder with plugins of one file each; without one ``plugins`` beside the settings file.
        hidden: Learns the secrets of the settings.

    Raises:
        ConfigError: The folder of plugins cannot be read.
    """
    policy = AppPolicy(
        prefixes=settings.bot.prefixes,
        commands=settings.commands,
        rooms=settings.room_settings,
        dispatch=settings.dispatch,
        journal=settings.journal,
        blobs=settings.blobs,
        http=settings.http,
        access=settings.access,
        claim_owner=folder is not None,
        ask_in=settings.ask_in,
        ask_missing=settings.bot.ask_missing,
        grace_seconds=settings.bot.grace_seconds,
    )
    store = Store(database(settings, folder), settings.store) if folder is not None else None
    configure = functools.partial(plugin_config, settings, file, environ)
    clock = WallClock()
    audit = Audit(clock, AuditFile(folder)) if folder is not None else None
    app = App(
        policy, clock=clock, operator=operator, store=store, configure=configure, audit=audit, watch=True,
        hidden=hidden, files=folder / FILES if folder is not None else None,
    )  # fmt: skip
    app.hidden.learn(settings)
    wanted = environ.get("QQOPS_PLUGINS")
    only = [name.strip() for name in wanted.split(",") if name.strip()] if wanted else settings.plugins.only
    app.host.folder = plugins or (file.path.parent / PLUGINS if file is not None else None)
    found = everything(app.host.folder)
    app.host.load_all(found, only=only or None, off=settings.plugins.off)
    if file is not None:
        app.plugins.renew = LiveSettings(file.path, settings, environ, app.host).renew
    names = [candidate.name for candidate in found]
    for name in (*only, *settings.plugins.off, *settings.plugins.tables):
        if name not in names:
            reason = f"no plugin of this name is installed, or lies in {PLUGINS} ({nearest(name, names)})"
            app.host.reports[name] = PluginReport(name=name, state=PluginState.SKIPPED, reason=reason)
    for name in app.registry.unowned():
        log.warning(
            "the settings give a command to a plugin that has none of this name",
            command=name,
            plugin=settings.commands.get(name),
        )
    return app


def assembled(
    reading: Reading,
    operator: Operator | Sequence[Operator],
    environ: Mapping[str, str],
    folder: pathlib.Path | None = None,
    hidden: Hidden | None = None,
) -> tuple[App, Sequence[ConfigError]]:
    """Return a bot with its plugins and accounts, and all that is wrong in its settings: it must not run when anything is.

    What is wrong in the table of a plugin stands in that plugin's report.

    Args:
        folder, hidden: As in `make_app`.
    """
    settings, file = reading.settings, reading.file
    mistakes = Mistakes()
    mistakes.found += reading.wrong
    try:
        database(settings, folder or pathlib.Path())
    except ConfigError as exc:
        mistakes.add(exc.message, where=file.where("store.url"), hint=exc.hint)
        settings = attrs.evolve(settings, store=StorePolicy())
    app = make_app(settings, operator, environ, folder, file, hidden=hidden)
    with mistakes.noted():
        add_accounts(app, settings, file, environ)
    return app, mistakes.found


def strange_variables(app: App, reading: Reading, environ: Mapping[str, str]) -> Sequence[ConfigError]:
    """Return a mistake for each variable that looks like a setting and is none; the bot can run with them."""

    def keys() -> Iterator[str]:
        known: list[Account] = []
        with contextlib.suppress(ConfigError):  # told elsewhere
            known = accounts(reading.settings.accounts, reading.file, app.host.networks, environ)
        yield from (row.key for row in rows(reading, known, app.host))

    return list(strange(environ, reading.file.data, app.host.candidates, keys))


def add_accounts(app: App, settings: Settings, file: SettingsFile, environ: Mapping[str, str]) -> None:
    """Make the adapters of all accounts. Raises `ConfigError` that names all that is wrong with them."""
    folder = file.path.parent / settings.bot.data
    found = accounts(settings.accounts, file, app.host.networks, environ)
    if not any(app.host.networks[account.network].remembers for account in found):
        app.forget_names()
    mistakes = Mistakes()
    for account in found:
        app.hidden.learn(account.options)
        network = app.host.networks[account.network]
        opening = Opening(
            account=AccountRef(account.network, account.name),
            clock=app.clock,
            rng=app.rng,
            folder=folder,
            directory=app.directory if network.remembers else None,
            listener=app.listeners.at,
        )
        try:
            adapter = network.open(opening, account.options)
        except ConfigError as exc:
            table = f"accounts.{account.name}"
            for one in exc.all:
                where = file.where(f"{table}.{one.where}" if one.where else table, table)
                mistakes.add(one.message, where=where, hint=one.hint)
            continue
        app.add_account(
            adapter, account.link, settings.outbox,
            again=functools.partial(_again, app, account.network, opening, account.options),
        )  # fmt: skip
    mistakes.check()


def _again(app: App, network: str, opening: Opening, options: Any) -> Adapter:
    """Return the adapter of an account, made anew by the plugin that brings its network now."""
    return app.host.networks[network].open(opening, options)
