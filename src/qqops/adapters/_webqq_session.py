"""The tasks of one WebQQ session: poll, deliver, send, refresh, and the flows before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import structlog
import trio

from qqops.adapters._http import HttpClient
from qqops.adapters._webqq_calls import Calls
from qqops.adapters._webqq_lookups import LOOK_UP_GAP, LookUps
from qqops.adapters._webqq_options import Options
from qqops.adapters.base import Link, Outgoing
from qqops.errors import AdapterError, FatalError, NotSent, ProtocolError, TransientError
from qqops.model import (
    AccountRef,
    Clock,
    Delivery,
    Draft,
    FriendRequest,
    Joined,
    Left,
    Outcome,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    User,
)
from qqops.protocol.webqq import lists, poll, send
from qqops.protocol.webqq.classify import SessionGone, Verdict
from qqops.protocol.webqq.http import get
from qqops.protocol.webqq.login import change_status, login, logout, relink
from qqops.protocol.webqq.roster import NeedGroup, NeedMembers, Roster
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Failed polls in a row before the session is re-linked, as in the official page (webqq.md §12.3).
POLL_FAILURES = 8
#: Longest pause after a failed poll, in seconds (§12.3).
POLL_PAUSE = 10.0
#: Seconds that a session which is over waits for the answer to a send.
SEND_PATIENCE = 2.0
#: Seconds between heartbeats of the 2013 generation, and how long one may take (§4.7).
HEARTBEAT, HEARTBEAT_DEADLINE = 60.0, 5.0


class LiveSession:
    """The tasks of one session."""

    def __init__(
        self, account: AccountRef, options: Options, clock: Clock, http: HttpClient, link: Link
    ) -> None:
        self._account = account
        self._options = options
        self._clock = clock
        self._calls = Calls(account, options.endpoints, http, link)
        self._link = link
        self._session: Session | None = None
        self._pending: deque[poll.Item] = deque()
        self._arrived = trio.Event()
        self._end: AdapterError | None = None
        self._kick: AdapterError | None = None
        self._wire_free = trio.Event()
        self._wire_free.set()
        self._usable = True
        self._look_ups: LookUps | None = None
        self.online = False
        #: Whether a poll has shown that the session works.
        self.proved = False
        self.roster = Roster(account=account, own=0, nick="")

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
    def resumable(self) -> Session | None:
        """The values for a re-link, unless the service has said that they are worthless."""
        return (
            self._session if self._usable and self._session is not None and self._session.psessionid else None
        )

    # -- coming online --------------------------------------------------------------------------

    async def open(self, session: Session, *, relinking: bool, roster: Roster | None = None) -> bool:
        """Log in, or re-link *session*; False when the re-link was refused and a new login is due.

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
                password = self._options.password.reveal()
                await self._calls.drive(session, login(session, password), within)
                self._session = session
            if not relinking:
                self.roster = Roster(account=self._account, own=session.number, nick=session.nick)
            self._look_ups = LookUps(self._account, session, self.roster, self._calls)
            await self._fetch_lists(within)
        except SessionGone:
            self._usable = False
            raise
        except ProtocolError as exc:
            self._usable = False
            raise TransientError(f"the login failed: {exc}") from exc
        self.online = True
        self._link.online([session.nick])
        self._link.alive(2 * self._options.poll_hold)
        return True

    async def _fetch_lists(self, within: float | None = None) -> None:
        session, roster = self.session, self.roster
        roster.friends = await self._calls.drive(session, lists.friends(session), within)
        roster.groups = await self._calls.drive(session, lists.groups(session), within)
        try:
            roster.discussions = await self._calls.drive(session, lists.discussions(session), within)
        except (ProtocolError, TransientError) as exc:
            # Discussion groups came and went with the years; nothing else depends on them.
            log.info("no discussion groups", account=str(self._account), reason=str(exc))
        roster.asked.clear()

    async def change_status(self, status: str) -> bool:
        """Be seen as *status*; False when the service refuses."""
        try:
            return await self._calls.drive(self.session, change_status(self.session, status))
        except ProtocolError as exc:
            raise TransientError(str(exc)) from exc

    async def say_goodbye(self) -> None:
        """Log out, if there is a login; failures do not matter any more."""
        if self.resumable is None:
            return
        self._usable = False
        try:
            await self._calls.drive(self.session, logout(self.session))
        except (AdapterError, ProtocolError) as exc:
            log.info("logout failed", account=str(self._account), reason=str(exc))

    # -- being online ---------------------------------------------------------------------------

    async def run(self, outbox: Outgoing) -> None:
        """Poll, deliver, send and refresh until the session is over; raises why."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poll_until_over, name="poll")
                nursery.start_soon(outbox.carry, self._send, name="send")
                nursery.start_soon(self._keep_lists, name="refresh")
                if self.session.profile.heartbeat:
                    nursery.start_soon(self._heartbeat, name="heartbeat")
                await self._deliver()
        except Exception:
            if self._kick is not None:
                raise self._kick from None  # it explains why everything else failed, too
            raise

    def take_over(self, pending: deque[poll.Item]) -> None:
        """Go on with what the session before this one had received and not handed over."""
        self._pending = pending

    @property
    def pending(self) -> deque[poll.Item]:
        """What was received and not handed over yet."""
        return self._pending

    def flush(self) -> None:
        """Hand over what has been received, without further look-ups: its aliases are about to die."""
        while self._pending:
            self._hand_over(self._pending.popleft())

    async def _poll_until_over(self) -> None:
        """Poll; when the session is over, leave the reason to `_deliver`, which has still work to finish."""
        try:
            await self._poll()
        except AdapterError as exc:
            self._end = exc
            self._arrived.set()

    async def _poll(self) -> None:
        session, hold = self.session, self._options.poll_hold
        failures = 0
        while True:
            await self._link.ready()
            try:
                request = poll.request(session, deadline=2 * hold)
                polled = poll.read(session, await self._calls.call(session, request))
            except ProtocolError as exc:
                self._link.malformed(exc)
                polled = poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))
            except NotSent:
                raise  # nobody is listening: say so, and let the back-off space the attempts
            except TransientError as exc:
                polled = poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))
            if polled.ptwebqq:
                session.renew_ptwebqq(polled.ptwebqq)
            if polled.items:
                self._pending.extend(polled.items)
                self._arrived.set()
                self._note_kick(polled.items)
            if polled.verdict in (Verdict.OK, Verdict.IDLE):
                failures = 0
                self._link.alive(2 * hold)
                if polled.instant:
                    await trio.sleep(1.0)  # nothing, at once: never spin
                else:
                    self.proved = True
                continue
            failures += 1
            self._judge(polled, failures)
            await trio.sleep(min(0.1 * 2**failures, POLL_PAUSE))

    def _judge(self, polled: poll.Polled, failures: int) -> None:
        """Raise when the session is over."""
        if polled.verdict is Verdict.FATAL:
            raise FatalError(f"the service refused the account ({polled.cause})")
        if polled.verdict is Verdict.RELINK:
            raise TransientError(polled.cause)
        if polled.verdict is not Verdict.TRANSIENT:
            self._usable = False
            raise TransientError(polled.cause)
        if failures >= POLL_FAILURES:
            raise TransientError(f"{failures} polls failed in a row, the last one: {polled.cause}")

    async def _deliver(self) -> None:
        """Hand over what came in, oldest first, after looking up who and where it is."""
        while True:
            while self._pending:
                item = self._pending[0]
                if isinstance(item, poll.Incoming):
                    await self.look_ups.look_up_for(item)
                self._pending.popleft()
                self._hand_over(item)
            if end := self._kick or self._end:
                with trio.move_on_after(SEND_PATIENCE):
                    await self._wire_free.wait()  # an answer to what is on the wire is better than "unknown"
                raise end
            self._arrived = trio.Event()
            await self._arrived.wait()

    def _hand_over(self, item: poll.Item) -> None:
        """Make an event of *item*. Synchronous, so that nothing is lost between two items."""
        roster, link = self.roster, self._link
        if isinstance(item, poll.Incoming):
            if not roster.is_own(item):
                link.event(roster.translate(item, self._clock.now()))
        elif isinstance(item, poll.Membership):
            self._membership(item)
        elif isinstance(item, poll.FriendAsk):
            user = User(ref=PersonRef(self._account, str(item.number)), name=str(item.number))
            link.event(FriendRequest(account=self._account, sender=user, text=item.text))
        elif isinstance(item, poll.Malformed):
            link.malformed(item.error)
        elif isinstance(item, poll.Ignored):
            log.debug("ignored", account=str(self._account), poll_type=item.poll_type)

    def _membership(self, item: poll.Membership) -> None:
        roster = self.roster
        rooms = [
            room for room in roster.rooms() if room.ref.kind is RoomKind.GROUP and room.id == str(item.group)
        ]
        ref = RoomRef(self._account, RoomKind.GROUP, str(item.group))
        room = rooms[0] if rooms else Room(ref=ref, name=str(item.group))
        user = User(ref=PersonRef(self._account, str(item.person)), name=str(item.person))
        by = User(ref=PersonRef(self._account, str(item.by)), name=str(item.by)) if item.by else None
        for key in [key for key in roster.members if key[0] == "group"]:
            del roster.members[key]  # somebody came or went: names are fetched anew when they are needed
        roster.asked -= {need for need in roster.asked if isinstance(need, NeedMembers)}
        self._link.event((Joined if item.joined else Left)(room=room, sender=user, by=by))

    def _note_kick(self, items: Sequence[poll.Item]) -> None:
        """Note at once that another login took over: whatever fails from now on fails because of that."""
        kicked = next((item for item in items if isinstance(item, poll.Kicked)), None)
        if kicked is None:
            return
        self._usable = False
        cause = f"kicked: {kicked.reason or 'another login took over'}"
        if self._options.on_kick == "stop":
            self._kick = FatalError(cause)
        else:
            # Coming back at once would only start a fight with the other login.
            self._kick = TransientError(cause, retry_after=self._options.kick_pause)

    # -- sending --------------------------------------------------------------------------------

    async def _send(self, draft: Draft, started: Callable[[], None]) -> Outcome:
        target = await self.look_ups.target(draft.room)
        if target is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"the account knows no room {draft.room.id!r}")
        session = self.session
        started()
        self._wire_free = trio.Event()
        try:
            response = await self._calls.call(session, send.request(session, *target, draft.segments))
        except NotSent:
            raise
        except (TransientError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        finally:
            self._wire_free.set()
        outcome, verdict = send.read(session, response)
        if verdict in (Verdict.RELINK, Verdict.LOGIN):
            # The session is dead, and so the message went nowhere: it waits for the next one.
            self._usable = self._usable and verdict is Verdict.RELINK
            raise NotSent(f"a send was refused: {outcome.reason}")
        return outcome

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*."""
        target = await self.look_ups.target(room)
        if target is None:
            return []
        kind, alias = target
        if kind == "buddy":
            return [self.roster.user(alias)]
        if (kind, alias) not in self.roster.members:
            await self.look_ups.look_up(NeedMembers(kind, alias))
        return [self.roster.user(uin, kind, alias) for uin in self.roster.members.get((kind, alias), {})]

    # -- keeping up -----------------------------------------------------------------------------

    async def _keep_lists(self) -> None:
        """Learn the groups' real numbers, so that rooms are found by name; then refresh from time to time."""
        while True:
            for gid in list(self.roster.groups):
                need = NeedGroup(gid)
                if gid not in self.roster.group_numbers and need not in self.roster.asked:
                    await self.look_ups.look_up(need)
                    await trio.sleep(LOOK_UP_GAP)
            await trio.sleep(self._options.refresh)
            try:
                await self._fetch_lists()
                self.roster.members.clear()
            except (NotSent, SessionGone):
                raise
            except (ProtocolError, TransientError) as exc:
                log.warning("the lists could not be refreshed", account=str(self._account), reason=str(exc))

    async def _heartbeat(self) -> None:
        """The 2013 page's own heartbeat; nobody knows whether it was needed, and its errors do not matter."""
        count = 0
        while True:
            await trio.sleep(HEARTBEAT)
            count += 1
            query = {
                "uin": "",
                "tp": 1,
                "id": 0,
                "retype": 1,
                "rc": count,
                "lv": 3,
                "t": self.session.noise(),
            }
            request = get(
                "get_msg_tip",
                "http://web.qq.com/web2/get_msg_tip",
                query,
                referer="http://web2.qq.com/webqq.html",
                deadline=HEARTBEAT_DEADLINE,
            )
            try:
                await self._calls.call(self.session, request)
            except (TransientError, ProtocolError) as exc:
                log.debug("heartbeat failed", account=str(self._account), reason=str(exc))


def is_cancelled(exc: BaseException) -> bool:
    """Whether *exc* is nothing but cancellation; a nursery wraps it in a group."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_cancelled(one) for one in exc.exceptions)
    return isinstance(exc, trio.Cancelled)
