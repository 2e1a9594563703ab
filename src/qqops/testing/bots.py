"""Starts bots for tests: the real dispatcher, outbox, scheduler and supervisor on a network in memory."""

from __future__ import annotations

import contextlib
import inspect
import pathlib
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any

import attrs
import trio

from qqops import model
from qqops._file import SettingsFile
from qqops._overrides import configured
from qqops._structure import is_secret
from qqops.adapters.base import Question
from qqops.adapters.memory import EVERYTHING, MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.errors import NeedsHuman, PluginError
from qqops.model import (
    AccountRef,
    Action,
    Capabilities,
    Clock,
    Pace,
    Secret,
)
from qqops.plugin.host import Candidate, PluginState
from qqops.plugin.plugin import Plugin
from qqops.runtime.audit import Audit
from qqops.runtime.hidden import Hidden
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.drawers import Drawers
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bot import BotUnderTest
from qqops.testing.heard import all_told
from qqops.testing.http import HttpUnderTest
from qqops.testing.virtual import HeldThreads, VirtualClock

#: What an account in a test can do, unless it is said otherwise: whatever qqops has a class for.
ABLE = attrs.evolve(
    EVERYTHING,
    actions=frozenset(
        kind for _, kind in inspect.getmembers(model, inspect.isclass) if issubclass(kind, Action)
    ),
)


class Nobody:
    """A `qqops.adapters.base.Operator` that is never there."""

    async def ask(self, question: Question) -> str:
        """Refuse."""
        raise NeedsHuman(question.text)

    async def show(self, question: Question) -> None:
        """Refuse."""
        raise NeedsHuman(question.text)


def _configured(cls: type[Any], config: Mapping[str, Any], plugin: str) -> Any:
    def fetch(values: Mapping[str, Any], *_: object) -> Mapping[str, Any]:
        return {k: Secret(v) if isinstance(v, str) and is_secret(cls, k) else v for k, v in values.items()}

    return configured(config, cls, SettingsFile(pathlib.Path("test"), ""), f"plugins.{plugin}", fetch)


class Bots:
    """Starts bots. Injected as the fixture ``bots``."""

    def __init__(self) -> None:
        self._run = 0

    @contextlib.asynccontextmanager
    async def run(
        self,
        *plugins: Plugin,
        policy: AppPolicy | None = None,
        pace: Pace | None = None,
        can: Capabilities | None = None,
        accounts: Collection[str] | Mapping[str, Capabilities] = ("test",),
        config: Mapping[str, Any] | None = None,
        folder: pathlib.Path | None = None,
        clock: VirtualClock | None = None,
        drawers: Drawers | None = None,
        audit: Callable[[Clock], Audit] | None = None,
        hidden: Hidden | None = None,
    ) -> AsyncGenerator[BotUnderTest]:
        """Run a bot with *plugins* until the block ends.

        Args:
            policy: Without a seed it gets one: a test does the same every time.
            pace: How fast the network lets the bot send, to impersonate a platform.
            can: What an account can do, for the same.
            accounts: Names of its accounts, ``NAME`` or ``NETWORK:NAME``; or with what each of them can do.
            config: What the settings would say in ``[plugins.NAME]``, for every plugin that asks.
            folder: Where the store is kept; without one in memory, and nothing outlives the bot.
            drawers: What survives from one run to the next without a folder: locks, requests for approval.
            audit: Makes the audit; None for one in memory.
            hidden: Learns the secrets of *config*.
            clock: The wall clock, to be set forward or back, or to go on after a restart.

        Raises:
            PluginError: A plugin cannot be loaded.
            AssertionError: Something of a plugin has failed and nobody expected it, or something is left of the bot.
        """
        __tracebackhide__ = True
        _check(plugins, accounts)
        clock = clock or VirtualClock()
        policy = policy or AppPolicy()
        # A bot that is started again in the same folder knows the messages of its first life.
        self._run += 1
        first = 1 if folder is None else self._run * 1_000_000
        networks = _networks(accounts, clock, first)
        given = accounts if isinstance(accounts, Mapping) else {}
        held = HeldThreads()
        web = HttpUnderTest()

        def make() -> App:
            app = App(
                policy if policy.seed is not None else attrs.evolve(policy, seed=1),
                clock=clock,
                operator=Nobody(),
                threads=held,
                store=Store(folder / "qqops.db", threads=held) if folder is not None else None,
                configure=lambda plugin, cls: _configured(cls, config or {}, plugin),
                drawers=drawers,
                audit=audit(clock) if audit is not None else None,
                hidden=hidden,
                web=web.client,
                files=folder / "files" if folder is not None else None,
            )
            for plugin in plugins:
                report = app.host.load(Candidate(name=plugin.name, load=lambda p=plugin: p))  # type: ignore[misc]
                if report.state is not PluginState.LOADED:
                    raise PluginError(report.reason, plugin=plugin.name, where=report.where)
            for name, network in networks.items():
                adapter = MemoryAdapter(network, pace or Pace(), given.get(name) or can or ABLE)
                app.add_account(adapter, LinkPolicy(), OutboxPolicy())
            return app

        bot = BotUnderTest(make, networks, clock, held, web, lasting=folder is not None)
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            await bot.begin(nursery)
            try:
                yield bot
            except (trio.Cancelled, GeneratorExit, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                if isinstance(exc, BaseExceptionGroup) and exc.subgroup(trio.Cancelled) is not None:
                    raise
                failure = exc  # raised below, so that the author sees it without a group
                await bot.stop()
            else:
                await bot.finish()
        _judge(bot, failure)


def _check(plugins: Collection[object], accounts: Collection[str] | Mapping[str, Capabilities]) -> None:
    __tracebackhide__ = True
    for one in plugins:
        assert isinstance(one, Plugin), f"bots.run takes plugins, not {one!r}"
    assert not isinstance(accounts, str), f"accounts are several names, as ({accounts!r},)"
    assert accounts, "a bot under test has at least one account"
    assert len(set(accounts)) == len(accounts), f"an account stands there twice: {', '.join(accounts)}"


def _networks(
    accounts: Collection[str] | Mapping[str, Capabilities], clock: Clock, first: int
) -> dict[str, MemoryNetwork]:
    made = {}
    for number, name in enumerate(accounts):
        network, _, short = name.rpartition(":")
        ref = AccountRef(network or "memory", short)
        nick = "qqops-bot" if not number else f"qqops-{short}"
        made[name] = MemoryNetwork(ref, clock, nick, first, me=f"b-{short}" if len(accounts) > 1 else "")
    return made


def _judge(bot: BotUnderTest, failure: BaseException | None) -> None:
    """Raise what the block has raised, with what else went wrong; or what went wrong behind its back."""
    __tracebackhide__ = True
    failed = all_told(bot.failures)
    failed += [one for one in bot.http.unexpected if not any(one in text for text in failed)]
    if failure is not None:
        for one in failed:
            if one not in str(failure):
                failure.add_note(one)
        raise failure
    if failed:
        raise AssertionError(
            "\n".join(
                (
                    "something failed. A test that wants this expects what the bot says about it, or takes it from `bot.failures`",
                    *failed,
                )
            )
        )
    if bot.leaks:
        raise AssertionError("\n  ".join(("this was left behind:", *bot.leaks)))
