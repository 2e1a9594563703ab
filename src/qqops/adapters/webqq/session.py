"""The tasks of one WebQQ session: poll and hand over, send, refresh, and the flows before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NoReturn

import structlog
import trio

from qqops.adapters.base import Directory, Link, Outgoing
from qqops.adapters.http.client import Http
from qqops.adapters.webqq.account import WebAccount
from qqops.adapters.webqq.actions import Actions
from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.events import EventTranslator, KnownHere
from qqops.adapters.webqq.fetch import Fetch
from qqops.adapters.webqq.login import log_in
from qqops.adapters.webqq.lookups import LOOK_UP_PATIENCE, LookUps
from qqops.adapters.webqq.options import WebQQOptions
from qqops.adapters.webqq.refresher import ListRefresher, wait_for_hour
from qqops.adapters.webqq.saved import SavedSession
from qqops.adapters.webqq.sends import Sends
from qqops.errors import AdapterError, FatalError, NotSent, ProtocolError, TransientError
from qqops.model import AccountRef, Clock, Outcome, SetStatus
from qqops.protocol.webqq import items, poll
from qqops.protocol.webqq.classify import SessionGone, Verdict
from qqops.protocol.webqq.earlier import Earlier
from qqops.protocol.webqq.heard import Heard
from qqops.protocol.webqq.http import Request
from qqops.protocol.webqq.opening import logout, relink
from qqops.protocol.webqq.roster import Roster
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Failed polls in a row before the session is re-linked, as in the official page (webqq.md §12.3).
POLL_FAILURES = 8
#: Longest pause after a failed poll, in seconds (§12.3).
POLL_PAUSE = 10.0
#: Seconds that a session which is over waits for the answer to a send.
SEND_PATIENCE = 2.0


class LiveSession:
    """The tasks of one session."""

    def __init__(
        self,
        account: AccountRef,
        options: WebQQOptions,
        clock: Clock,
        http: Http,
        link: Link,
        saved: SavedSession,
        heard: Heard,
        directory: Directory | None,
    ) -> None:
        self._account = account
        self._options = options
        self._clock = clock
        self._calls = Calls(
            account,
            options.endpoints,
            http,
            link,
            spread=options.picture_wait,
            deadline=options.call_deadline,
        )
        self._link = link
        self._saved = saved
        self._earlier = Earlier(KnownHere(directory, account) if directory is not None else None)
        self._translator = EventTranslator(account, clock, link, heard)
        self._session: Session | None = None
        self._pending: deque[items.Item] = deque()
        self._poll_request: tuple[tuple[str, str], Request] | None = None
        self._kick: AdapterError | None = None
        self._usable = True
        self._look_ups: LookUps | None = None
        self._actions: Actions | None = None
        self._fetch: Fetch | None = None
        self._abilities: WebAccount | None = None
        self._sends: Sends | None = None
        self._upkeep: ListRefresher | None = None
        self.online = False
        #: Whether a poll has shown that the session works.
        self.proved = False
        self._good_poll = float("-inf")
        self.roster = Roster(account=account, own=0, nick="", earlier=self._earlier)

    @property
    def session(self) -> Session:
        """The values of the login. Only valid after `open`."""
        assert self._session is not None
        return self._session

    @property
    def look_ups(self) -> LookUps:
        """What fills the roster. Only valid after `open`."""
        assert self._look_ups is not None
        return self._look_ups

    @property
    def actions(self) -> Actions:
        """What the session can do besides polling. Only valid after `open`."""
        assert self._actions is not None
        return self._actions

    @property
    def fetch(self) -> Fetch:
        """What can be fetched in the session. Only valid after `open`."""
        assert self._fetch is not None
        return self._fetch

    @property
    def abilities(self) -> WebAccount:
        """What the account can do beyond the model. Only valid after `open`."""
        assert self._abilities is not None
        return self._abilities

    @property
    def sends(self) -> Sends:
        """What sends in the session. Only valid after `open`."""
        assert self._sends is not None
        return self._sends

    @property
    def upkeep(self) -> ListRefresher:
        """What keeps the session fresh. Only valid after `open`."""
        assert self._upkeep is not None
        return self._upkeep

    @property
    def resumable(self) -> Session | None:
        """The values for a re-link, unless the service has said that they are worthless."""
        return (
            self._session if self._usable and self._session is not None and self._session.psessionid else None
        )

    # -- coming online --------------------------------------------------------------------------

    async def open(self, session: Session, *, relinking: bool, roster: Roster | None = None) -> bool:
        """Log in, or re-link *session*; False when the re-link was refused and a new login is due.

        A new login tries the cookies of the last one first, where the service can do without a person.

        Raises:
            AdapterError: It did not work; the type says what follows.
        """
        within = 120.0
        if roster is not None:
            self.roster = roster  # aliases survive a re-link, and so does what is known of them
        try:
            if relinking:
                self._session = session
                if not await self._calls.drive(session, relink(session), within):
                    self._session = None
                    return False
            else:
                await log_in(session, self._calls, self._saved, self._options.password, within)
                self._session = session
            if not relinking:
                self.roster = Roster(
                    account=self._account, own=session.number, nick=session.nick, earlier=self._earlier
                )
            self.roster.own, self.roster.nick = session.number, session.nick
            self._look_ups = LookUps(self._account, session, self.roster, self._calls)
            self._actions = Actions(session, self._calls, self._look_ups)
            self._fetch = Fetch(session, self._calls, self._look_ups)
            self._abilities = WebAccount(self._account, session, self._calls, self._look_ups)
            self._sends = Sends(
                session, self._calls, self._look_ups, vary=self._options.vary_equal, proved=self.proved_since
            )
            await self._saved.save(session)
            self._upkeep = ListRefresher(self._account, self._options, session, self._calls, self._look_ups)
            await self._upkeep.fetch_lists(within)
        except SessionGone:
            self._give_up()
            raise
        except ProtocolError as exc:
            self._give_up()
            raise TransientError(f"the login failed: {exc}") from exc
        await self._calls.rest()
        self.online = True
        self._link.online([session.nick], me=str(session.number), ids="qq")
        self._link.alive(self._patience)
        return True

    def _give_up(self) -> None:
        """The service does not know the session any more: neither this run nor the next may take it up."""
        self._usable = False
        self._saved.forget()

    @property
    def _patience(self) -> float:
        """Seconds in which a session that works shows it."""
        return 2 * self._options.poll_hold + self._look_up_patience

    @property
    def _look_up_patience(self) -> float:
        return min(LOOK_UP_PATIENCE, self._options.poll_hold)

    async def say_goodbye(self) -> None:
        """Log out, if there is a login; failures do not matter any more."""
        if self.resumable is None:
            return
        self._give_up()
        try:
            await self._calls.drive(self.session, logout(self.session))
        except (AdapterError, ProtocolError) as exc:
            log.info("logout failed", account=str(self._account), reason=str(exc))

    # -- being online ---------------------------------------------------------------------------

    async def run(self, outbox: Outgoing) -> None:
        """Poll, hand over, send and refresh until the session is over; raises why."""
        try:
            async with trio.open_nursery() as nursery:
                self.look_ups.begin(nursery)
                nursery.start_soon(outbox.carry, self.sends.send, name="send")
                nursery.start_soon(self.upkeep.run, name="upkeep")
                if self._options.relogin_at:
                    nursery.start_soon(self._relogin, name="planned re-login")
                end: AdapterError
                try:
                    await self._poll()
                except AdapterError as exc:
                    end = exc
                with trio.move_on_after(SEND_PATIENCE):
                    # An answer to what is on the wire is better than "unknown".
                    await self.sends.quiet()
                raise end
        except Exception:
            if self._kick is not None:
                raise self._kick from None  # it explains why everything else failed, too
            raise

    def take_over(self, pending: deque[items.Item]) -> None:
        """Go on with what the session before this one had received and not handed over."""
        self._pending = pending

    @property
    def pending(self) -> deque[items.Item]:
        """What was received and not handed over yet."""
        return self._pending

    def flush(self) -> None:
        """Hand over what has been received, without further look-ups: its aliases are about to die."""
        while self._pending:
            self._translator.item(self._pending.popleft(), self.roster)

    async def _poll(self) -> NoReturn:
        session, hold = self.session, self._options.poll_hold
        failures = 0
        await self._deliver()
        while True:
            # The next poll tells the service that the last answer has arrived: it goes out only when what that
            # held has been handed over and is on the disk.
            await self._link.ready()
            began = trio.current_time()
            polled = await self._poll_once(session, hold)
            if polled.ptwebqq:
                session.renew_ptwebqq(polled.ptwebqq)
                await self._saved.save(session)
            if polled.verdict in (Verdict.OK, Verdict.IDLE):
                failures = 0
                self._good_poll = began
                self._link.alive(self._patience)
            if polled.items:
                self._pending.extend(item for item in polled.items if self._translator.wants(item))
                self._note_kick(polled.items)
                await self._deliver()
            if self._kick is not None:
                raise self._kick
            if polled.verdict in (Verdict.OK, Verdict.IDLE):
                if polled.instant:
                    await trio.sleep(1.0)  # nothing, at once: never spin
                else:
                    self.proved = True
                continue
            failures += 1
            self._judge(polled, failures)
            await trio.sleep(min(0.1 * 2**failures, POLL_PAUSE))

    async def _poll_once(self, session: Session, hold: float) -> poll.Polled:
        try:
            key = (session.psessionid, session.ptwebqq)
            if self._poll_request is None or self._poll_request[0] != key:
                self._poll_request = (key, poll.request(session, deadline=2 * hold))
            return poll.read(session, await self._calls.call(session, self._poll_request[1]))
        except ProtocolError as exc:
            self._link.malformed(exc)
            return poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))
        except NotSent:
            raise  # nobody is listening: say so, and let the back-off space the attempts
        except TransientError as exc:
            return poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))

    def _judge(self, polled: poll.Polled, failures: int) -> None:
        """Raise when the session is over."""
        if polled.verdict is Verdict.FATAL:
            raise FatalError(f"the service refused the account ({polled.cause})")
        if polled.verdict is Verdict.RELINK:
            raise TransientError(polled.cause)
        if polled.verdict is not Verdict.TRANSIENT:
            self._give_up()
            raise TransientError(polled.cause)
        if failures >= POLL_FAILURES:
            raise TransientError(f"{failures} polls failed in a row, the last one: {polled.cause}")

    def proved_since(self, moment: float) -> bool:
        """Whether a poll that began at *moment* (trio's clock) or later has shown that the session works."""
        return self._good_poll >= moment

    async def _deliver(self) -> None:
        """Hand over what came in, oldest first, after looking up who and where it is.

        What the service does not tell in time is handed over as it is: a late poll would lose more. Nobody waits for
        the look-ups of another room.
        """
        until = trio.current_time() + self._look_up_patience
        self._deliver_known()
        while self._pending:
            with trio.move_on_at(until):
                await self.look_ups.look_up_for(self._pending[0])
            self._translator.item(self._pending.popleft(), self.roster)

    def _deliver_known(self) -> None:
        """Hand over what needs no look-up and stands behind nothing of its room that does."""
        waiting: deque[items.Item] = deque()
        places = set()
        while self._pending:
            item = self._pending.popleft()
            if isinstance(item, items.Incoming):
                waits = item.place in places or self.look_ups.need(item) is not None
                if waits:
                    places.add(item.place)
            else:
                waits = bool(waiting) or self.look_ups.need(item) is not None
            if waits:
                waiting.append(item)
            else:
                self._translator.item(item, self.roster)
        self._pending.extend(waiting)

    def _note_kick(self, found: Sequence[items.Item]) -> None:
        """Note at once that another login took over: whatever fails from now on fails because of that."""
        kicked = next((item for item in found if isinstance(item, items.Kicked)), None)
        if kicked is None:
            return
        self._give_up()
        cause = f"kicked: {kicked.reason or 'another login took over'}"
        if self._options.on_kick == "stop":
            self._kick = FatalError(cause)
        else:
            # Coming back at once would only start a fight with the other login.
            self._kick = TransientError(cause, retry_after=self._options.kick_pause)

    async def _relogin(self) -> None:
        """End the session at the planned hour; sessions that end by themselves do so at the worst one."""
        await wait_for_hour(self._options.relogin_at, self._clock)
        with trio.move_on_after(self._options.call_deadline):
            await self.sends.leave()
        await self.say_goodbye()
        raise TransientError(f"planned re-login at {self._options.relogin_at}")

    async def set_status(self, status: str) -> Outcome:
        """Be seen as *status*, also after the next login and the next start."""
        outcome = await self.actions.act(SetStatus(account=self._account, status=status))
        if outcome.ok:
            self._saved.status = status
            await self._saved.save(self.session)
        return outcome


def is_cancelled(exc: BaseException) -> bool:
    """Whether *exc* is nothing but cancellation; a nursery wraps it in a group."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_cancelled(one) for one in exc.exceptions)
    return isinstance(exc, trio.Cancelled)
