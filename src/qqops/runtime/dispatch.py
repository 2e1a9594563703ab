"""From an event to the handlers that it sets off.

`Dispatcher.route` is synchronous: duplicates, own messages and chatter end there, without a task, a lock
or a log line. What matched waits in a queue of its (room, person), which exists only while there is work,
and is run in a task of its own: in order for one person in one room, concurrently for all others.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence

import trio

from qqops.model import AccountRef, Clock, Draft, Event, Message
from qqops.runtime._request import Request
from qqops.runtime.addressed import unaddressed
from qqops.runtime.alarms import Alarms
from qqops.runtime.approvals import Approvals
from qqops.runtime.audit import Audit
from qqops.runtime.bounds import Bounds
from qqops.runtime.compiling import compile_routes
from qqops.runtime.context import Known
from qqops.runtime.conversations import Conversations, cancels
from qqops.runtime.declared import OPEN
from qqops.runtime.desk import Desk
from qqops.runtime.dispatch_policy import DispatchPolicy as DispatchPolicy
from qqops.runtime.execution import Execution
from qqops.runtime.gate import Gate
from qqops.runtime.handlers import Handlers
from qqops.runtime.hints import HINT, Hints
from qqops.runtime.leftovers import hit_of, start_of, to_run
from qqops.runtime.named_rooms import NamedRooms
from qqops.runtime.observe import Observers
from qqops.runtime.outbox import Outbox
from qqops.runtime.registry import Handler, Hit, Line, Mode, Registry
from qqops.runtime.runner import Runner
from qqops.runtime.runs import Runs
from qqops.runtime.seen import Seen, order_of
from qqops.runtime.siblings import Siblings
from qqops.runtime.storage.drawers import InMemory
from qqops.runtime.storage.journal import Journal, Recovered, Unfinished
from qqops.runtime.threads import InThread, in_thread
from qqops.runtime.ticket import Ticket as Ticket
from qqops.runtime.ticket import add_run as add_run
from qqops.runtime.why import SHOWN
from qqops.texts import Catalogue, Say


class Dispatcher:
    """Owner of all running handlers."""

    def __init__(
        self,
        registry: Registry,
        *,
        clock: Clock,
        observers: Observers,
        catalogue: Catalogue,
        rooms: NamedRooms,
        policy: DispatchPolicy,
        threads: InThread = in_thread,
        journal: Journal | None = None,
        gate: Gate | None = None,
        talks: Conversations | None = None,
        approvals: Approvals | None = None,
        known: Known | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._hints = Hints(trio.current_time)
        registry.aliases.leads_somewhere = lambda room, line: (
            self._routes.command(line, 0, (), room) is not None
        )
        self._observers = observers
        self._catalogue = catalogue
        self._rooms = rooms
        self._clock = clock
        self._policy = policy
        self._gate = gate or Gate(clock=clock)
        self.execution = Execution(
            registry, Runner(threads=policy.threads, in_thread=threads, gate=self._gate), clock=clock,
            observers=observers, catalogue=catalogue, rooms=rooms, gate=self._gate, journal=journal, known=known,
        )  # fmt: skip
        self._outboxes = self.execution.outboxes
        self.bounds = Bounds(self._gate.halted)
        self._gate.halted.changed.append(self.refresh)
        self._routes = compile_routes(registry, rooms, self._hints, self.bounds)
        self._names: dict[AccountRef, tuple[str, ...]] = {}
        self._seen = Seen(policy.window)
        self._matched: tuple[Event | None, list[Hit]] = None, []
        self._runs: Runs[Ticket] = Runs(
            lambda ticket: self.execution.run(ticket, self._routes.around),
            slots=policy.slots,
            per_plugin=policy.of_one_plugin,
        )
        self.execution.overdue, self.execution.told_to_end = self._runs.overdue, self._runs.ended
        self._numbers = itertools.count(1)
        self.talks = talks or Conversations(Alarms())
        self.approvals = approvals or Approvals(InMemory(), Audit(clock), clock, self.talks.alarms)
        self.approvals.rerun = functools.partial(self.rerun, journal=False)
        self.approvals.tell = self._tell_room
        self.talks.there = self.approvals.there = self._outboxes.__contains__
        self.execution.desk = Desk(
            talks=self.talks, approvals=self.approvals, aside=self._runs.aside, rerun=self.rerun,
            prefixed=lambda message: self._calls(unaddressed(message, ())),
        )  # fmt: skip
        self.handlers = Handlers(
            registry, self._runs, self.execution, self.talks, self.approvals, self._gate.halted
        )
        self.siblings = Siblings(
            self.talks.alarms, talking=self.talks.waits_for, account_of=rooms.account, stirs=self._stirs,
            hand_on=self._set_off,
        )  # fmt: skip
        self.dropped = self.messages = 0

    # -- wiring ---------------------------------------------------------------------------------

    def add_account(self, ref: AccountRef, outbox: Outbox) -> None:
        """Let handlers answer through *outbox*. Of several accounts in one room, the one that was added first responds."""
        self._outboxes[ref] = outbox
        self._names[ref] = ()
        self.siblings.add(ref)

    def forget_account(self, ref: AccountRef) -> None:
        """Forget an account, which is offline; what its handlers ask ends, what they still want to say goes nowhere."""
        del self._outboxes[ref], self._names[ref]
        self.talks.end_account(ref)
        self.approvals.end_account(ref)
        self.siblings.remove(ref)

    def has(self, ref: AccountRef) -> bool:
        """Whether the account is one of ours, online or not."""
        return ref in self._outboxes

    def online(self, ref: AccountRef, names: Sequence[str], me: str = "", ids: str = "") -> None:
        """Note that an account is online; see `qqops.adapters.base.Link.online`."""
        self._names[ref] = tuple(sorted({n.lower() for n in names if n}, key=len, reverse=True))
        self.siblings.online(ref, self._names[ref], me, ids)

    def offline(self, ref: AccountRef) -> None:
        """Note that an account is not online any more."""
        self.siblings.offline(ref)

    def refresh(self) -> None:
        """Take over what the registry holds now. Running handlers are not touched."""
        self._routes = compile_routes(self._registry, self._rooms, self._hints, self.bounds)

    @property
    def closed(self) -> bool:
        """Whether new work is refused."""
        return self._runs.closed

    @property
    def busy(self) -> int:
        """Handlers that run or wait; not those that wait for a person."""
        return self._runs.waiting + self._runs.active

    def asking(self) -> list[Ticket]:
        """Return the runs that wait for people."""
        return self._runs.aside_now()

    # -- the synchronous part -------------------------------------------------------------------

    def chatter(self, account: AccountRef, text: str) -> bool:
        """Whether a group message of plain *text* sets nothing off, so that nobody need make an event of it.

        A cheap no is right; "maybe" is always allowed.
        """
        if self.execution.narrator is not None or self._routes.may_concern(
            text, self._names.get(account, ())
        ):
            return False
        if self.talks.open and self.talks.concerns(account):
            return False
        self.messages += 1
        return True

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to events of *kind*."""
        return bool(self._routes.listening(kind))

    def route(self, event: Event) -> list[Ticket]:
        """Decide about *event* and queue what it sets off; nothing matched gives an empty list."""
        if self._runs.open:
            if not self._seen.is_new(event):
                return self._left(event, "seen before")
            if self.siblings.leaves(event):
                return self._left(event, "another account of ours said it, or responds to it")
        return self._set_off(event)

    def _left(self, event: Event, why: str) -> list[Ticket]:
        """Tell that *event* sets nothing off, if anybody wants to know."""
        if self.execution.narrator is not None:
            self.execution.narrator.left(event, why)
        return []

    def _stirs(self, event: Event) -> bool:
        """Whether *event* sets anything off."""
        if not isinstance(event, Message):
            return self.wants(type(event))
        if self.talks.waits_for(event.room.ref, event.sender.ref):
            return True
        hits = self._routes.match(event, self._names.get(event.account, ()))
        self._matched = event, hits  # a hint is given once: it is not looked for again
        return bool(hits)

    def _set_off(self, event: Event) -> list[Ticket]:
        """Queue what *event* sets off."""
        if not self._runs.open:
            self.dropped += 1
            return self._left(event, "the bot is starting or stopping")
        if not isinstance(event, Message):
            hits = self._routes.listening(type(event))
            return self._queue_all(event, list(hits)) if hits else self._left(event, "nobody listens to it")
        self.messages += 1
        if self.talks.open and self._answers(event):
            return self._left(event, "an answer to an open question")
        (last, hits), self._matched = self._matched, (None, [])
        if last is not event:
            hits = self._routes.match(event, self._names.get(event.account, ()))
        if hits and hits[0].handler.name != HINT:
            return self._queue_all(event, hits)
        if (text := event.text) and text[0] in self._routes.first:
            self._note_unmatched(event)
        return self._queue_all(event, hits) if hits else self._left(event, "nothing matched")

    def _answers(self, message: Message) -> bool:
        """Whether *message* is for a question that waits for an answer; it has it then."""
        if not self.talks.waits_for(message.room.ref, message.sender.ref):
            return False
        names = self._names.get(message.account, ())
        answer = unaddressed(message, names, loosely=True)
        return self.talks.take(answer if cancels(answer) else unaddressed(message, names), self._calls)

    def _calls(self, message: Message) -> bool:
        """Whether *message*, without what addresses the bot, calls a command by a prefix."""
        return self._routes.prefixed(message.text.strip(), message.room) is not None

    def rerun(self, message: Message, handler: str, *, journal: bool) -> bool:
        """Run the command that *message* calls, as its sender and through the same gate, if it is *handler* still.

        Args:
            handler: ``plugin:name``.
            journal: Whether the journal takes care of it.
        """
        hit = self._hit(message, lambda hit: hit.handler.key == handler and hit.source is not None)
        if hit is None:
            return False
        if journal:
            self._queue_all(message, [hit])
        else:
            self._queue(order_of(message), self._ticket(hit, message, message.account))
        return True

    def _hit(self, message: Message, wanted: Callable[[Hit], bool]) -> Hit | None:
        """Return what *message* sets off and is *wanted*, if it can be run."""
        if message.account not in self._outboxes or not self._runs.open:
            return None
        return next(filter(wanted, self._routes.match(message, self._names[message.account])), None)

    def _tell_room(self, request: Request, say: Say) -> None:
        room = request.message.room
        outbox = self._outboxes.get(room.ref.account)
        if outbox is not None and self._runs.open:
            text = self._catalogue.render(say, self._rooms.language(room))
            outbox.put(Draft.of(room.ref, text), plugin=request.plugin)

    def _note_unmatched(self, message: Message) -> None:
        """Remember for `/why` what looked like a command and was none."""
        if word := self._routes.called(message.text, message.room):
            reason = Say("why.unmatched", {"word": word[:SHOWN]})
            self._gate.why.unmatched(message, self._clock.now(), reason)

    def _queue_all(self, event: Event, hits: list[Hit]) -> list[Ticket]:
        key, account = order_of(event), event.account
        if self._journal is None:
            return [self._begin(key, self._ticket(hit, event, account)) for hit in hits]
        rows = self._journal.accepted(event, [(hit.handler.key, start_of(event, hit)) for hit in hits])
        return [
            self._queue(key, self._ticket(hit, event, account, row))
            for hit, row in zip(hits, rows, strict=True)
        ]

    def _ticket(self, hit: Hit, event: Event | None, account: AccountRef | None, row: int = 0) -> Ticket:
        seconds = hit.handler.timeout if hit.handler.timeout is not None else self._policy.timeout
        number = format(next(self._numbers), "04x")
        return Ticket(number, hit, event, account, trio.current_time(), seconds, None, row)

    def _begin(self, key: Hashable, ticket: Ticket) -> Ticket:
        """Run an inline handler on the spot where nothing has to go before it; queue all others."""
        handler = ticket.hit.handler
        at_once = handler.mode is Mode.INLINE and handler.guards is OPEN and not ticket.row
        if not at_once or self._routes.around.messages.all or self._runs.busy(key, ticket.plugin):
            return self._queue(key, ticket)
        self.execution.run_inline(ticket)
        return ticket

    def resume(self, left: Recovered) -> None:
        """Go on where an earlier run was killed; what had started is reported, not repeated."""
        for where, key in left.seen:
            self._seen.add(where, key)
        settle = self._journal.settle if self._journal is not None else None
        for one, hit in to_run(left, self._left_hit, self._observers, settle):
            event = one.event
            self.siblings.resumed(event)
            self._queue(order_of(event), self._ticket(hit, event, event.account, one.row))

    def _left_hit(self, one: Unfinished) -> Hit | None:
        names = self._names.get(one.event.account)
        return hit_of(one, self._routes, self._registry, names) if names is not None else None

    def submit(self, handler: Handler, *, beside: bool = False) -> Ticket:
        """Queue *handler* without an event, after or *beside* other runs of it. ``ticket.done`` is set at its end."""
        ticket = self._ticket(Hit(handler), None, None)
        done = ticket.done = trio.Event()
        if not self._runs.open:
            done.set()
            self.dropped += 1
            return ticket
        return self._queue(("job", handler.plugin, handler.name, ticket.id if beside else ""), ticket)

    def speak(self, message: Message) -> Ticket | None:
        """Queue the command in *message*, which nobody has just said; None when there is none in it.

        It goes the way of every message from here on: its sender's turn, the gate, filters.
        """
        hit = self._hit(message, lambda hit: isinstance(hit.source, Line))
        if hit is None:
            return None
        ticket = self._ticket(hit, message, message.account)
        ticket.done = trio.Event()
        return self._queue(order_of(message), ticket)

    def _queue(self, key: Hashable, ticket: Ticket) -> Ticket:
        self._runs.add(key, ticket)
        return ticket

    # -- back-pressure --------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether `ready` would wait for handlers to end."""
        return self._runs.waiting >= self._policy.backlog

    async def ready(self, account: AccountRef | None = None) -> None:
        """Wait while there is no room, and until what *account* has heard is on the disk. Readers wait nowhere else."""
        if account is not None:
            await self.siblings.settled(account)
        if self._journal is not None:
            await self._journal.safe()
        if self._runs.closed:
            # What comes now would be refused, and the next read would tell the service that it has arrived.
            await trio.sleep_forever()
        while self.full:
            if self._runs.space.is_set():
                self._runs.space = trio.Event()
            await self._runs.space.wait()

    # -- the tasks ------------------------------------------------------------------------------

    async def run(  # noqa: ASYNC128 - the runs say when they have started
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run handlers until `close`; returns when the last one has ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.talks.alarms.run, name="alarms")
            await self._runs.run(task_status)
            nursery.cancel_scope.cancel(reason="nothing runs any more")

    def close(self) -> None:
        """Refuse new work; what has been queued is still done, what waits for people ends."""
        self.siblings.close()
        self._runs.close()
        self.talks.close()
        self.approvals.close()

    def statistics(self) -> Mapping[str, int]:
        """Return how many handlers run, wait, and how many events came after the end."""
        return {**self._runs.statistics(), "late": self.dropped}
