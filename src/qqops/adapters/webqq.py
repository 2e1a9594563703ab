"""WebQQ, both generations: the socket shell over `qqops.protocol.webqq`.

One call of `WebQQ.serve` is one session: log in (or take the last session up again), fetch the lists, then
poll, deliver, send and refresh until something ends it. What must survive a session, and nothing else, is
kept in the adapter: the values for a re-link.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence

import attrs
import structlog
import trio

from qqops.adapters._http import HttpClient
from qqops.adapters.base import Link, Network, Opening, Outgoing, Question, QuestionKind
from qqops.errors import AdapterError, ConfigError, FatalError, NotSent, ProtocolError, TransientError
from qqops.model import (
    AccountRef,
    Clock,
    Delivery,
    Draft,
    FriendRequest,
    Joined,
    Left,
    Limits,
    Outcome,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Secret,
    User,
)
from qqops.protocol.webqq import lists, poll, send
from qqops.protocol.webqq.classify import Verdict
from qqops.protocol.webqq.flow import AskCaptcha, Call, Flow, Pause, ShowQR, T
from qqops.protocol.webqq.http import Request, Response, get
from qqops.protocol.webqq.login import login, logout, relink
from qqops.protocol.webqq.profile import Login, profile
from qqops.protocol.webqq.roster import Need, NeedGroup, NeedMembers, NeedPerson, Roster
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Failed polls in a row before the session is re-linked, as in the official page (webqq.md §12.3).
POLL_FAILURES = 8
#: Longest pause after a failed poll, in seconds (§12.3).
POLL_PAUSE = 10.0
#: Seconds between heartbeats of the 2013 generation, and how long one may take (§4.7).
HEARTBEAT, HEARTBEAT_DEADLINE = 60.0, 5.0
#: Seconds between two look-ups of real numbers in the background; the call is rate limited (§9.6).
LOOK_UP_GAP = 0.2


@attrs.frozen(kw_only=True)
class Options:
    """Settings of a WebQQ account.

    Attributes:
        number: Own QQ number; the QR login finds it out by itself.
        password: For profile webqq2013.
        endpoints: Host → base URL, ``*`` for all others; empty for the service's own addresses.
        poll_hold: Seconds the service holds a poll. Twice that without an answer is a dead session.
        refresh: Seconds between two fetches of the lists.
        send_gap: Seconds between two sends; below 0.5 messages vanish (webqq.md §12.3).
        max_bytes: UTF-8 bytes of text in one message (§12.4).
        on_kick: ``relogin`` after *kick_pause* seconds, or ``stop``.
        qr_interval: Seconds between two looks at the QR code.
    """

    profile: str = "smartqq"
    number: int = 0
    password: Secret = Secret("")  # noqa: RUF009 - immutable
    endpoints: Mapping[str, str] = attrs.field(factory=dict)
    poll_hold: float = 60.0
    refresh: float = 300.0
    send_gap: float = 0.5
    max_bytes: int = 720
    on_kick: str = "relogin"
    kick_pause: float = 30.0
    qr_interval: float = 2.0


class WebQQ:
    """One WebQQ account."""

    def __init__(self, account: AccountRef, options: Options, *, clock: Clock, rng: random.Random) -> None:
        self._account = account
        self._options = options
        self._profile = profile(options.profile)
        self._clock = clock
        self._rng = rng
        self._resume: Session | None = None
        self._live: _Session | None = None
        if self._profile.login is Login.PASSWORD and not (options.number and options.password):
            raise ConfigError("profile webqq2013 needs number and password")
        if options.on_kick not in ("relogin", "stop"):
            raise ConfigError(f"on_kick must be relogin or stop, got {options.on_kick!r}")
        for key in ("poll_hold", "refresh", "qr_interval"):
            if not getattr(options, key) > 0:
                raise ConfigError(f"{key} must be > 0 seconds, got {getattr(options, key)!r}")

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._account

    @property
    def limits(self) -> Limits:
        """Pace and size of sends."""
        return Limits(gap=self._options.send_gap, max_bytes=self._options.max_bytes)

    def rooms(self) -> Sequence[Room]:
        """Return the rooms of the live session; none while offline."""
        return self._live.roster.rooms() if self._live is not None else []

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*; nobody while offline or when the service does not tell."""
        if self._live is None:
            return []
        return await self._live.members(room)

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session; see `qqops.adapters.base.Adapter.serve`."""
        resume, self._resume = self._resume, None
        async with HttpClient() as http:
            live = _Session(self._account, self._options, self._clock, http, link)
            try:
                session = await live.open(resume or self._new_session(), relinking=resume is not None)
                if session is None:
                    session = await live.open(self._new_session(), relinking=False)
                self._live = live
                await live.run(outbox)
            except BaseException as exc:
                if live.online and _is_cancelled(exc) and not link.lost:
                    with trio.move_on_after(2, shield=True):
                        await live.say_goodbye()
                self._resume = live.resumable
                raise
            finally:
                self._live = None

    def _new_session(self) -> Session:
        return Session(
            profile=self._profile,
            rng=self._rng,
            number=self._options.number,
            qr_interval=self._options.qr_interval,
            hold=self._options.poll_hold,
        )


class _Session:
    """The tasks of one session."""

    def __init__(self, account: AccountRef, options: Options, clock: Clock, http: HttpClient, link: Link) -> None:
        self._account = account
        self._options = options
        self._clock = clock
        self._http = http
        self._link = link
        self._session: Session | None = None
        self._pending: deque[poll.Item] = deque()
        self._arrived = trio.Event()
        self._end: AdapterError | None = None
        self._usable = True
        self.online = False
        self.roster = Roster(account=account, own=0, nick="")

    @property
    def session(self) -> Session:
        """The values of the login. Only valid after `open`."""
        assert self._session is not None
        return self._session

    @property
    def resumable(self) -> Session | None:
        """The values for a re-link, unless the service has said that they are worthless."""
        return self._session if self._usable and self._session is not None and self._session.psessionid else None

    # -- driving flows --------------------------------------------------------------------------

    async def _drive(self, session: Session, flow: Flow[T], within: float | None = None) -> T:
        """Do what *flow* asks for and return its result.

        Args:
            within: Seconds until the next proof of life that each answer is worth; None for none.
        """
        answer: object = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = None
            if isinstance(step, Call):
                answer = await self._call(session, step.request)
                if within is not None:
                    self._link.alive(within)
            elif isinstance(step, Pause):
                await trio.sleep(step.seconds)
            elif isinstance(step, AskCaptcha):
                answer = await self._link.ask(self._question(QuestionKind.CAPTCHA, "captcha", step.picture))
            elif isinstance(step, ShowQR):
                text = "the QR code has expired, scan the new one" if step.refreshed else "scan the QR code"
                await self._link.show(self._question(QuestionKind.QR, text, step.picture))

    def _question(self, kind: QuestionKind, text: str, picture: bytes) -> Question:
        return Question(account=self._account, kind=kind, text=text, picture=picture)

    async def _call(self, session: Session, request: Request) -> Response:
        """Make one request: endpoint map, cookies out, cookies in."""
        endpoints = self._options.endpoints
        base = endpoints.get(request.host) or endpoints.get("*") or f"{request.scheme}://{request.host}"
        headers = request.headers(session.cookies.header(request.host))
        reply = await self._http.call(
            request.method,
            base.rstrip("/") + request.target,
            headers,
            request.body if request.method == "POST" else b"",
            deadline=request.deadline,
            idempotent=request.idempotent,
        )
        session.cookies.take(request.host, reply.headers)
        return Response(status=reply.status, headers=reply.headers, body=reply.body, elapsed=reply.elapsed)

    # -- coming online --------------------------------------------------------------------------

    async def open(self, session: Session, *, relinking: bool) -> Session | None:
        """Log in, or re-link *session*; None when the re-link was refused and a new login is due.

        Raises:
            AdapterError: It did not work; the type says what follows.
        """
        within = 120.0
        try:
            if relinking:
                self._session = session
                if not await self._drive(session, relink(session), within):
                    self._session = None
                    return None
            else:
                password = self._options.password.reveal()
                await self._drive(session, login(session, password), within)
                self._session = session
            self.roster = Roster(account=self._account, own=session.number, nick=session.nick)
            await self._fetch_lists(within)
        except ProtocolError as exc:
            raise TransientError(f"the login failed: {exc}") from exc
        self.online = True
        self._link.online([session.nick])
        self._link.alive(2 * self._options.poll_hold)
        return session

    async def _fetch_lists(self, within: float | None = None) -> None:
        session, roster = self.session, self.roster
        roster.friends = await self._drive(session, lists.friends(session), within)
        roster.groups = await self._drive(session, lists.groups(session), within)
        try:
            roster.discussions = await self._drive(session, lists.discussions(session), within)
        except (ProtocolError, TransientError) as exc:
            # Discussion groups came and went with the years; nothing else depends on them.
            log.info("no discussion groups", account=str(self._account), reason=str(exc))
        roster.asked.clear()

    async def say_goodbye(self) -> None:
        """Log out; failures do not matter any more."""
        self._usable = False
        try:
            await self._drive(self.session, logout(self.session))
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
        finally:
            # What has been received is handled, whatever ends the session: without further look-ups.
            while self._pending:
                self._hand_over(self._pending.popleft())

    async def _poll_until_over(self) -> None:
        """Poll; when the session is over, leave the reason to `_deliver`, which has still work to finish."""
        try:
            await self._poll()
        except AdapterError as exc:
            self._end = self._end or exc  # a kick that is waiting to be handed over explains more
            self._arrived.set()

    async def _poll(self) -> None:
        session, hold = self.session, self._options.poll_hold
        failures = 0
        while True:
            await self._link.ready()
            try:
                request = poll.request(session, deadline=2 * hold)
                polled = poll.read(session, await self._call(session, request))
            except ProtocolError as exc:
                self._link.malformed(exc)
                polled = poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))
            except TransientError as exc:
                polled = poll.Polled(verdict=Verdict.TRANSIENT, cause=str(exc))
            if polled.ptwebqq:
                session.renew_ptwebqq(polled.ptwebqq)
            if polled.items:
                self._pending.extend(polled.items)
                self._arrived.set()
            if polled.verdict in (Verdict.OK, Verdict.IDLE):
                failures = 0
                self._link.alive(2 * hold)
                if polled.verdict is Verdict.IDLE and session.empty_polls:
                    await trio.sleep(1.0)  # an idle answer at once: never spin
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
                    await self._look_up_for(item)
                self._pending.popleft()
                self._hand_over(item)
            if self._end is not None:
                raise self._end
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def _look_up_for(self, item: poll.Incoming) -> None:
        while not self.roster.is_own(item) and (need := self.roster.need(item)) is not None:
            await self._look_up(need)

    async def _look_up(self, need: Need) -> None:
        """Ask the service once; without an answer the message goes on with what is known."""
        session, roster = self.session, self.roster
        roster.asked.add(need)
        try:
            if isinstance(need, NeedPerson):
                roster.numbers[need.uin] = await self._drive(
                    session, lists.real_number(session, need.uin, group=False)
                )
            elif isinstance(need, NeedGroup):
                if need.gid not in roster.groups:
                    roster.groups = await self._drive(session, lists.groups(session))
                group = roster.groups.get(need.gid)
                if group is not None and need.gid not in roster.group_numbers:
                    number = await self._drive(session, lists.real_number(session, group.code, group=True))
                    roster.group_numbers[need.gid] = number
            elif need.kind == "discu":
                members, numbers = await self._drive(session, lists.discussion_members(session, need.room))
                roster.members[need.kind, need.room] = members
                roster.numbers.update(numbers)
            elif need.room in roster.groups:
                group = roster.groups[need.room]
                roster.members[need.kind, need.room] = await self._drive(
                    session, lists.group_members(session, group)
                )
        except (ProtocolError, TransientError) as exc:
            log.warning("look-up failed", account=str(self._account), need=type(need).__name__, reason=str(exc))

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
        elif isinstance(item, poll.Kicked):
            self._kicked(item)
        elif isinstance(item, poll.Malformed):
            link.malformed(item.error)
        else:
            log.debug("ignored", account=str(self._account), poll_type=item.poll_type)

    def _membership(self, item: poll.Membership) -> None:
        roster = self.roster
        rooms = [room for room in roster.rooms() if room.ref.kind is RoomKind.GROUP and room.id == str(item.group)]
        ref = RoomRef(self._account, RoomKind.GROUP, str(item.group))
        room = rooms[0] if rooms else Room(ref=ref, name=str(item.group))
        user = User(ref=PersonRef(self._account, str(item.person)), name=str(item.person))
        by = User(ref=PersonRef(self._account, str(item.by)), name=str(item.by)) if item.by else None
        for key in [key for key in roster.members if key[0] == "group"]:
            del roster.members[key]  # somebody came or went: names are fetched anew when they are needed
        self._link.event((Joined if item.joined else Left)(room=room, sender=user, by=by))

    def _kicked(self, item: poll.Kicked) -> None:
        self._usable = False
        cause = f"kicked: {item.reason or 'another login took over'}"
        if self._options.on_kick == "stop":
            self._end = FatalError(cause)
        else:
            # Coming back at once would only start a fight with the other login.
            self._end = TransientError(cause, retry_after=self._options.kick_pause)

    # -- sending --------------------------------------------------------------------------------

    async def _send(self, draft: Draft) -> Outcome:
        target = await self._target(draft.room)
        if target is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"the account knows no room {draft.room.id!r}")
        session = self.session
        try:
            response = await self._call(session, send.request(session, *target, draft.segments))
        except NotSent:
            raise
        except (TransientError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        outcome, verdict = send.read(session, response)
        if verdict in (Verdict.RELINK, Verdict.LOGIN):
            # The session is dead, and so the message went nowhere: it waits for the next one.
            self._usable = self._usable and verdict is Verdict.RELINK
            raise NotSent(f"a send was refused: {outcome.reason}")
        return outcome

    async def _target(self, room: RoomRef) -> tuple[str, int] | None:
        """Return (kind, alias) of *room*, looking up real numbers until it is found."""
        target = self.roster.target(room)
        for need in self.roster.unresolved(room) if target is None else []:
            await self._look_up(need)
            target = self.roster.target(room)
            if target is not None:
                break
        return target

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*."""
        target = await self._target(room)
        if target is None:
            return []
        kind, alias = target
        if kind == "buddy":
            return [self.roster.user(alias)]
        if (kind, alias) not in self.roster.members:
            await self._look_up(NeedMembers(kind, alias))
        return [self.roster.user(uin, kind, alias) for uin in self.roster.members.get((kind, alias), {})]

    # -- keeping up -----------------------------------------------------------------------------

    async def _keep_lists(self) -> None:
        """Learn the groups' real numbers, so that rooms are found by name; then refresh from time to time."""
        while True:
            for gid in list(self.roster.groups):
                need = NeedGroup(gid)
                if gid not in self.roster.group_numbers and need not in self.roster.asked:
                    await self._look_up(need)
                    await trio.sleep(LOOK_UP_GAP)
            await trio.sleep(self._options.refresh)
            try:
                await self._fetch_lists()
                self.roster.members.clear()
            except (ProtocolError, TransientError) as exc:
                log.warning("the lists could not be refreshed", account=str(self._account), reason=str(exc))

    async def _heartbeat(self) -> None:
        """The 2013 page's own heartbeat; nobody knows whether it was needed, and its errors do not matter."""
        count = 0
        while True:
            await trio.sleep(HEARTBEAT)
            count += 1
            query = {"uin": "", "tp": 1, "id": 0, "retype": 1, "rc": count, "lv": 3, "t": self.session.noise()}
            request = get(
                "get_msg_tip",
                "http://web.qq.com/web2/get_msg_tip",
                query,
                referer="http://web2.qq.com/webqq.html",
                deadline=HEARTBEAT_DEADLINE,
            )
            try:
                await self._call(self.session, request)
            except (TransientError, ProtocolError) as exc:
                log.debug("heartbeat failed", account=str(self._account), reason=str(exc))


def _is_cancelled(exc: BaseException) -> bool:
    """Whether *exc* is nothing but cancellation; a nursery wraps it in a group."""
    if isinstance(exc, BaseExceptionGroup):
        return all(_is_cancelled(one) for one in exc.exceptions)
    return isinstance(exc, trio.Cancelled)


def open_webqq(opening: Opening, options: Options) -> WebQQ:
    """Return the adapter of a WebQQ account."""
    return WebQQ(opening.account, options, clock=opening.clock, rng=opening.rng)


network = Network(name="webqq", options=Options, open=open_webqq)
