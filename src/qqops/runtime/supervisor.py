"""Keeps one account connected: serve, classify the end, wait, again.

``connecting → (needs human) → online → waiting → connecting → …`` or ``stopped``. The loop is the only
place that starts a session, so there is never more than one per account. It gives up only when the
account cannot go on (`FatalError`), when a person is needed and nobody is there who could ever answer
(`NeedsHuman`), or when the policy says so.
"""

from __future__ import annotations

import contextlib
import enum
import random
from collections.abc import Iterator, Sequence

import attrs
import structlog
import trio

from qqops.adapters.base import Adapter, Question
from qqops.errors import AdapterError, FatalError, NeedsHuman, ProtocolError, TransientError
from qqops.model import Clock, Connected, Disconnected, Event
from qqops.runtime.backoff import Backoff, BackoffPolicy
from qqops.runtime.border import ANYTHING, described, leaves, theirs
from qqops.runtime.intake import Intake, Unheard
from qqops.runtime.observe import BadData, LinkState, Observers, Overflow, Phase
from qqops.runtime.outbox import Outbox
from qqops.runtime.questions import Questions

log = structlog.get_logger("qqops.link")


class Reconnect(enum.Enum):
    """What follows when a session ends."""

    #: Whatever the reason, unless fatal.
    ALWAYS = "always"
    #: Only after errors that are likely to pass; a session that the service ended in good order is not renewed.
    ON_TRANSIENT = "on-transient"
    #: One session, then the account stays off.
    NEVER = "never"
    #: One session, then the whole bot ends (for process managers that restart it).
    EXIT = "exit"


@attrs.frozen(kw_only=True)
class LinkPolicy:
    """How a connection is kept.

    Attributes:
        connect_within: Seconds in which a session must come online or prove that it is getting there.
    """

    reconnect: Reconnect = Reconnect.ALWAYS
    backoff: BackoffPolicy = attrs.field(factory=BackoffPolicy)
    connect_within: float = 120.0


@attrs.frozen(kw_only=True)
class _End:
    """Why a session is over."""

    cause: str
    transient: bool = True
    fatal: bool = False
    retry_after: float | None = None


class Supervisor:
    """Owner of one account's connection.

    Args:
        doors: How many accounts may come online at the same time; None for any number.
    """

    def __init__(
        self,
        adapter: Adapter,
        outbox: Outbox,
        dispatcher: Intake,
        *,
        operator: Questions,
        observers: Observers,
        clock: Clock,
        policy: LinkPolicy,
        rng: random.Random,
        doors: trio.CapacityLimiter | None = None,
    ) -> None:
        self.adapter = adapter
        self.doors = doors
        self.outbox = outbox
        self.policy = policy
        self._dispatcher = dispatcher
        self._operator = operator
        self._observers = observers
        self._clock = clock
        self._backoff = Backoff(policy.backoff, rng)
        self._link: SessionLink | None = None
        self._off = False
        self.state = LinkState(account=adapter.account, phase=Phase.CONNECTING, since=clock.now())

    @property
    def stopped(self) -> bool:
        """Whether the account was given up."""
        return self.state.phase is Phase.STOPPED

    async def run(self) -> LinkState:
        """Keep the account connected; return its last state when it is given up."""
        self._off = False
        while True:
            self._change(Phase.CONNECTING)
            end = await self._session()
            if self._off:
                return self.state  # it was taken for gone before it was
            stop = end.fatal or self._is_last(end)
            delay = None if stop else self._backoff.next_delay(end.retry_after)
            if stop:
                self._change(Phase.STOPPED, cause=end.cause, fatal=end.fatal)
                self._operator.over(self.adapter.account)
                self.outbox.close(f"the account is stopped: {end.cause}")
                return self.state
            self._change(Phase.WAITING, cause=end.cause, retry_in=delay)
            await trio.sleep(delay or 0.0)

    def renew(self, adapter: Adapter) -> None:
        """Use *adapter* from now on, while there is no session."""
        self.adapter = adapter
        self.outbox.renew(adapter.pace, adapter.can)

    def off(self, cause: str, *, stopped: bool) -> None:
        """Note that `run` was cancelled: the account is off its service, for good if it is *stopped*."""
        self._off = True
        self._backoff.attempt = 0
        self._dispatcher.offline(self.adapter.account)
        if self.state.phase is Phase.ONLINE:
            self._disconnected(cause)
        if stopped:
            self._operator.over(self.adapter.account)
        self._change(Phase.STOPPED if stopped else Phase.WAITING, cause=cause)

    def detach(self) -> None:
        """Let nobody hear of the account any more: it was removed. What of it has not ended by now is cancelled."""
        self._dispatcher = Unheard()
        if self._link is not None:
            self._link.detach(self._dispatcher)

    def leave_door(self) -> None:
        """Let the next account come online: this one is, or waits for a person, or has failed."""
        if self.doors is not None:
            with contextlib.suppress(RuntimeError):  # it was left before
                self.doors.release_on_behalf_of(self)

    def _is_last(self, end: _End) -> bool:
        match self.policy.reconnect:
            case Reconnect.ALWAYS:
                return False
            case Reconnect.ON_TRANSIENT:
                return not end.transient
            case _:
                return True

    @trio.lowlevel.enable_ki_protection
    async def _session(self) -> _End:
        """Hold one session and say why it ended."""
        errors: list[BaseException] = []
        if self.doors is not None:
            await self.doors.acquire_on_behalf_of(self)
        session = self._link = SessionLink(self, self._dispatcher, self._operator)
        try:
            with session.scope:
                await self.adapter.serve(session, self.outbox)
        except ANYTHING as exc:  # classified below, bugs are logged with their traceback
            errors = list(leaves(theirs(exc)))
        finally:
            self.leave_door()
        now = trio.current_time()
        if session.online_since is not None:
            self._backoff.ended(now - session.online_since)
        end = _worst(errors) if errors else _End(cause="the session ended", transient=False)
        # An account that cannot go on cannot, however its session came to its end.
        if session.scope.cancelled_caught and not end.fatal:
            end = _End(cause=f"nothing was heard for {now - session.heard:.0f} s")
        if session.online_since is not None and not self._off:
            self._dispatcher.offline(self.adapter.account)
            self._disconnected(end.cause)
        return end

    def _disconnected(self, cause: str) -> None:
        account = self.adapter.account
        self._dispatcher.route(Disconnected(account=account, at=self._clock.now(), cause=cause))

    def _change(
        self, phase: Phase, *, cause: str = "", retry_in: float | None = None, fatal: bool = False
    ) -> None:
        """Replace the state, log it once and tell the observers."""
        self.state = LinkState(
            account=self.adapter.account,
            phase=phase,
            since=self._clock.now(),
            cause=cause,
            attempt=self._backoff.attempt,
            retry_in=retry_in,
            fatal=fatal,
        )
        write = log.error if fatal else log.warning if phase is Phase.WAITING else log.info
        more = {} if retry_in is None else {"retry_in": round(retry_in, 1)}
        write(
            phase.value, account=str(self.adapter.account), cause=cause, attempt=self._backoff.attempt, **more
        )
        self._observers.tell(self.state)


class SessionLink:
    """The `Link` of one session: what the adapter reports becomes state, events and deadlines."""

    def __init__(self, supervisor: Supervisor, dispatcher: Intake, operator: Questions) -> None:
        self._supervisor = supervisor
        self._dispatcher = dispatcher
        self._operator = operator
        self.heard = trio.current_time()
        self.online_since: float | None = None
        self._malformed = 0
        self._holders = 0
        self._left = 0.0
        # The proof of life is the scope's own deadline: no watching task, nothing to forget.
        self.scope = trio.CancelScope(deadline=self.heard + supervisor.policy.connect_within)

    def detach(self, dispatcher: Intake) -> None:
        """Tell *dispatcher* from now on."""
        self._dispatcher = dispatcher

    def event(self, event: Event) -> None:
        """Pass *event* to the dispatcher."""
        self._dispatcher.route(event)

    def chatter(self, text: str) -> bool:
        """Ask the dispatcher."""
        return self._dispatcher.chatter(self._supervisor.adapter.account, text)

    def wants(self, kind: type[Event]) -> bool:
        """Ask the dispatcher."""
        return self._dispatcher.wants(kind)

    async def ready(self) -> None:
        """Wait while the dispatcher's backlog is full; a full bot is not proof of a dead service."""
        with self._held():
            await self._dispatcher.ready(self._supervisor.adapter.account)

    def _end_in(self, seconds: float) -> None:
        if self._holders:
            self._left = seconds
        else:
            self.scope.deadline = trio.current_time() + seconds

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Let no deadline hold, however many hold it; the last one gives back the time that was left."""
        self._holders += 1
        if self._holders == 1:
            self._left = self.scope.deadline - trio.current_time()
            self.scope.deadline = float("inf")
        try:
            yield
        finally:
            self._holders -= 1
            self._end_in(self._left)

    def alive(self, within: float) -> None:
        """Move the deadline of the session; while it is held, what is left of it then."""
        self.heard = trio.current_time()
        self._end_in(within)

    def online(self, names: Sequence[str], *, me: str = "", ids: str = "") -> None:
        """Note that the session works."""
        if self.online_since is not None:
            return
        self.online_since = trio.current_time()
        supervisor = self._supervisor
        supervisor.leave_door()
        account = supervisor.adapter.account
        self._operator.over(account)
        self._dispatcher.online(account, names, me, ids)
        supervisor._change(Phase.ONLINE)
        self._dispatcher.route(Connected(account=account, at=supervisor.state.since))

    def waiting(self, cause: str) -> None:
        """Note that the other side has to come to us."""
        self._supervisor.leave_door()
        self._end_in(float("inf"))
        self._supervisor._change(Phase.CONNECTING, cause=cause)

    def note(self, cause: str) -> None:
        """Show *cause* beside "online"."""
        if self.online_since is not None and self._supervisor.state.cause != cause:
            self._supervisor._change(Phase.ONLINE, cause=cause)

    @property
    def full(self) -> bool:
        """Whether the dispatcher's backlog is full."""
        return self._dispatcher.full

    def overflow(self, dropped: int) -> None:
        """Tell the observers, and log the 1st, 2nd, 4th, 8th … time."""
        account = self._supervisor.adapter.account
        if dropped & (dropped - 1) == 0:
            log.error("the bot cannot keep up: events are dropped", account=str(account), dropped=dropped)
        self._supervisor._observers.tell(Overflow(account=account, dropped=dropped))

    def malformed(self, error: ProtocolError) -> None:
        """Count something unreadable, log it shortened and tell the observers."""
        self._malformed += 1
        account = self._supervisor.adapter.account
        log.warning("malformed data skipped", account=str(account), error=str(error), count=self._malformed)
        self._supervisor._observers.tell(BadData(account=account, error=str(error), count=self._malformed))

    @property
    def lost(self) -> bool:
        """Whether the promise of `alive` was broken."""
        return self.scope.deadline <= trio.current_time()

    async def ask(self, question: Question) -> str:
        """Ask a person; the session may take as long as the person does."""
        supervisor = self._supervisor
        if self.online_since is not None:
            # Only one call waits for the answer; the polls go on and prove that the session lives.
            self.note(question.text)
            try:
                return await self._operator.ask(question)
            finally:
                self.note("")
        supervisor.leave_door()
        supervisor._change(Phase.NEEDS_HUMAN, cause=question.text)
        try:
            with self._held():
                answer = await self._operator.ask(question)
        except BaseException as exc:
            if not isinstance(exc, NeedsHuman):  # the adapter does not wait for it any longer, and goes on
                supervisor._change(Phase.CONNECTING)
            raise
        supervisor._change(Phase.CONNECTING)
        self.alive(supervisor.policy.connect_within)
        return answer

    async def show(self, question: Question) -> None:
        """Show a person a picture. The adapter goes on, so the deadline holds."""
        self._supervisor.leave_door()
        self._supervisor._change(Phase.NEEDS_HUMAN, cause=question.text)
        await self._operator.show(question)
        self.alive(self._supervisor.policy.connect_within)


def _worst(errors: list[BaseException]) -> _End:
    """Classify the end of a session that several tasks may have ended together."""
    for exc in errors:
        if isinstance(exc, FatalError):
            return _End(cause=str(exc), transient=False, fatal=True)
    for exc in errors:
        if isinstance(exc, NeedsHuman):
            return _End(cause=f"a person is needed: {exc}", transient=False, fatal=True)
    for exc in errors:
        if not isinstance(exc, AdapterError | ProtocolError):
            # A bug in an adapter, which may be somebody else's package. It must not end the other accounts,
            # and it must not be quiet.
            log.error("unexpected error in an adapter", exc_info=exc)
            return _End(cause=f"internal error: {described(exc)}")
    hints = [
        exc.retry_after for exc in errors if isinstance(exc, TransientError) and exc.retry_after is not None
    ]
    return _End(cause=str(errors[0]), retry_after=max(hints, default=None))
