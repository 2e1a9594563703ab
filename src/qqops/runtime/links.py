"""The accounts of a bot and their connections: added, stopped, started and taken away while it runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from qqops.errors import Refuse
from qqops.runtime.alarms import Alarms
from qqops.runtime.border import ANYTHING, described, theirs
from qqops.runtime.nowhere import REASON
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import Outbox, OutboxPolicy
from qqops.runtime.spawning import Spawn, spawning
from qqops.runtime.supervisor import LinkPolicy, Reconnect, Supervisor
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.adapters.base import Adapter
    from qqops.model import AccountRef, Clock
    from qqops.runtime.accounts import Accounts
    from qqops.runtime.dispatch import Dispatcher
    from qqops.runtime.observe import LinkState, Observers
    from qqops.runtime.outgoing import Chain
    from qqops.runtime.questions import Questions
    from qqops.runtime.rooms import Rooms
    from qqops.runtime.storage.blobs import Blobs
    from qqops.runtime.storage.journal import Journal

log = structlog.get_logger("qqops.links")

#: Accounts of one network that come online at the same time. More only slow each other down, and a service that has
#: just come back is not overrun.
COMING_ONLINE = 64
#: Seconds that an account has to leave its service.
LEAVE_WITHIN = 10.0
#: Why an account that somebody has stopped takes nothing to be sent.
STOPPED = "the account was stopped"


@attrs.define(eq=False)
class _Link:
    """An account and its connection.

    Attributes:
        again: Makes its adapter anew; None where that cannot be.
        wanted: Whether it is to be online; not after somebody has stopped it.
        unloaded: Whether the plugin that brings its network is unloaded.
        over: Set while it has no task.
        turn: Held while it leaves its service: two who take it off do so one after the other.
    """

    supervisor: Supervisor
    again: Callable[[], Adapter] | None
    wanted: bool = True
    unloaded: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)
    turn: trio.Lock = attrs.field(factory=trio.Lock)

    def __attrs_post_init__(self) -> None:
        self.over.set()

    @property
    def given_up(self) -> bool:
        """Whether it cannot go on; not one that somebody has stopped, who may start it again."""
        return self.over.is_set() and self.supervisor.stopped and self.wanted


class Links:
    """Owner of all accounts. Injected into handlers that ask for it.

    Attributes:
        rng: For the jitter between two tries.
        ended: Whether the bot has ended because of its accounts; see `given_up`.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        rooms: Rooms,
        accounts: Accounts,
        questions: Questions,
        *,
        observers: Observers,
        clock: Clock,
        rng: random.Random,
        journal: Journal | None,
        blobs: Blobs,
        chain: Chain,
    ) -> None:
        self._dispatcher = dispatcher
        self._rooms = rooms
        self._accounts = accounts
        self._questions = questions
        self._observers = observers
        self._clock = clock
        self.rng = rng
        self._journal = journal
        self._blobs = blobs
        self._chain = chain
        self._alarms = Alarms()
        self._doors: dict[str, trio.CapacityLimiter] = {}
        self._links: dict[AccountRef, _Link] = {}
        self._spawn: Spawn | None = None
        self._fewer = trio.Event()
        self._exits = False
        self.ended = False

    @property
    def supervisors(self) -> list[Supervisor]:
        """One for each account, in the order in which they were added."""
        return [link.supervisor for link in self._links.values()]

    def states(self) -> Sequence[LinkState]:
        """Return the state of every connection."""
        return [supervisor.state for supervisor in self.supervisors]

    # -- which there are ------------------------------------------------------------------------

    def add(
        self,
        adapter: Adapter,
        link: LinkPolicy,
        outbox: OutboxPolicy,
        again: Callable[[], Adapter] | None = None,
    ) -> Supervisor:
        """Add an account; while the bot runs it is connected at once.

        Args:
            again: Makes its adapter anew, when the plugin that brings its network is reloaded.

        Raises:
            Refuse: There is an account of this name.
        """
        ref = adapter.account
        if ref in self._links:
            raise Refuse(Say("links.there", {"account": str(ref)}))
        box = Outbox(
            ref, adapter.pace, adapter.can, outbox, self._observers, self._alarms, self._journal, self.rng, self._chain,
            self._rooms.left_out, self._blobs,
        )  # fmt: skip
        supervisor = Supervisor(
            adapter, box, self._dispatcher, operator=self._questions, observers=self._observers, clock=self._clock,
            policy=link, rng=self.rng,
            doors=self._doors.setdefault(ref.network, trio.CapacityLimiter(COMING_ONLINE)),
        )  # fmt: skip
        self._rooms.account(adapter, box)
        self._accounts.add(adapter)
        self._dispatcher.add_account(ref, box)
        added = self._links[ref] = _Link(supervisor, again)
        self._begin(added)
        return supervisor

    async def remove(self, account: str | AccountRef) -> None:
        """Stop an account and forget it; what it had to send is refused, what it asks people ends.

        It counts as given up: when no other can go on, the bot ends, unless the next account is added before anything else
        runs.

        Raises:
            Refuse: There is none of this name.

        Cancellation: waits until it is off, `LEAVE_WITHIN` seconds at most; so do `stop` and `restart`.
        """
        link = self._find(account)
        ref = link.supervisor.adapter.account
        await self._leave(link, REASON)
        if not self._known(link):
            return  # somebody else has removed it meanwhile
        link.supervisor.detach()
        self._rooms.forget(ref)
        self._accounts.forget(ref)
        self._dispatcher.forget_account(ref)
        del self._links[ref]
        self._fewer.set()

    # -- on and off -----------------------------------------------------------------------------

    async def stop(self, account: str | AccountRef) -> None:
        """Take an account off its service until `start`; what it had to send is refused. Raises `Refuse`.

        What handlers ask people by it stays open until its time is over: it may be answered after a `start`. It may be the
        last that is online; ask `alone` where somebody could be locked out.
        """
        link = self._find(account)
        link.wanted = False
        await self._turn_over(link, STOPPED)

    def start(self, account: str | AccountRef) -> None:
        """Connect an account that was stopped or given up; harmless when it is connected. Raises `Refuse`."""
        link = self._loaded(account)
        link.wanted = True
        self._begin(link)

    async def restart(self, account: str | AccountRef) -> None:
        """Take an account off its service and connect it anew; what it has to send waits. Raises `Refuse`."""
        link = self._loaded(account)
        link.wanted = True
        await self._turn_over(link)

    def alone(self, *accounts: str | AccountRef) -> bool:
        """Whether none but *accounts* is online, and stays so: without them nobody could be heard. Raises `Refuse`."""
        these = [self._find(account) for account in accounts]
        others = (one for one in self._links.values() if one not in these and one.wanted and not one.unloaded)
        return not any(one.supervisor.state.phase is Phase.ONLINE for one in others)

    # -- a network as a whole -------------------------------------------------------------------

    async def leave(self, networks: Sequence[str]) -> None:
        """Take the accounts of *networks* off their services, as their code is unloaded; what they have to send waits."""
        async with trio.open_nursery() as nursery:
            for ref in self.on(networks):
                link = self._links[ref]
                link.unloaded = True
                if link.wanted or not link.over.is_set():  # one that somebody has stopped stays so
                    nursery.start_soon(self._turn_over, link, name=f"{ref} leaves")

    def on(self, networks: Sequence[str]) -> list[AccountRef]:
        """Return the accounts of *networks*."""
        return [ref for ref in self._links if ref.network in networks]

    def offline(self) -> list[AccountRef]:
        """Return the accounts whose code was unloaded."""
        return [ref for ref, link in self._links.items() if link.unloaded]

    def renew(self, accounts: Sequence[AccountRef]) -> None:
        """Connect *accounts* with adapters made anew; one that cannot be made stays offline until the next time."""
        for ref in accounts:
            link = self._links[ref]
            if link.again is None:
                log.warning("an account cannot be made anew: restart the bot", account=str(ref))
                continue
            try:
                adapter = link.again()
            except ANYTHING as exc:  # the border of a plugin
                failure = theirs(exc)
                log.exception("an account cannot be made anew", account=str(ref))
                link.supervisor.off(f"it cannot be made anew: {described(failure)}", stopped=False)
                continue
            link.unloaded = False
            link.supervisor.renew(adapter)
            self._rooms.account(adapter, link.supervisor.outbox)
            self._accounts.add(adapter)
            self._begin(link)

    # -- the tasks ------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep all accounts connected until cancelled, or until none of them can go on."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._alarms.run, name="alarms")
            self._spawn = spawning(nursery)
            for link in self._links.values():
                self._begin(link)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._spawn = None

    async def given_up(self) -> None:
        """Wait until no account can go on, or one says that the bot ends with it."""
        while not self.ended:
            await self._fewer.wait()
            self._fewer = trio.Event()
            self.ended = self._exits or all(one.given_up for one in self._links.values())

    def _begin(self, link: _Link) -> None:
        if self._spawn is None or not link.wanted or link.unloaded or not link.over.is_set():
            return
        if link.turn.locked() or not self._known(link):
            return  # who takes it off its service begins it afterwards, if it is still wanted
        link.over, link.scope = trio.Event(), trio.CancelScope()
        link.supervisor.outbox.open()
        self._spawn(self._supervise, link, name=str(link.supervisor.adapter.account))

    async def _supervise(self, link: _Link) -> None:
        try:
            with link.scope:
                if self._journal is not None:
                    # What is delivered again is known for that only when it is known what was there before.
                    await self._journal.loaded.wait()
                await link.supervisor.run()
        finally:
            link.over.set()
        if link.scope.cancel_called and not link.turn.locked():
            self._begin(link)  # nobody waits for it any more, but it may be wanted again
            return
        if link.supervisor.policy.reconnect is Reconnect.EXIT and not link.scope.cancel_called:
            self._exits = True
        self._fewer.set()

    async def _turn_over(self, link: _Link, reason: str = "") -> None:
        """End the task of *link*, and begin another if that is what the last one who had a say meanwhile wants."""
        await self._leave(link, reason)
        self._begin(link)

    async def _leave(self, link: _Link, reason: str = "") -> None:
        """End the task of *link*; with a *reason* it is stopped, and what it had to send is refused with it."""
        with trio.CancelScope(shield=True):
            async with link.turn:
                if not self._known(link):
                    return
                link.scope.cancel(reason=reason or "the account is made anew")
                with trio.move_on_after(LEAVE_WITHIN):
                    await link.over.wait()
                if not link.over.is_set():
                    log.error(
                        "an account does not leave its service", account=str(link.supervisor.adapter.account)
                    )
                reason = reason or ("" if link.wanted else STOPPED)  # by somebody else, meanwhile
                link.supervisor.off(reason or "the account is made anew", stopped=bool(reason))
                if reason:
                    link.supervisor.outbox.close(reason)

    def _known(self, link: _Link) -> bool:
        """Whether *link* was not removed."""
        return self._links.get(link.supervisor.adapter.account) is link

    def _find(self, account: str | AccountRef) -> _Link:
        found = [one for ref, one in self._links.items() if account in (ref, str(ref), ref.id)]
        if len(found) != 1:
            raise Refuse(Say("links.unknown", {"account": str(account)}))
        return found[0]

    def _loaded(self, account: str | AccountRef) -> _Link:
        link = self._find(account)
        if link.unloaded:
            raise Refuse(Say("links.unloaded", {"account": str(account)}))
        return link
