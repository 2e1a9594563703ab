"""What the service remembers: logins, sessions, queues, and what was said."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import attrs

from qqops.model import Segment
from qqops.simulator.world import Group, World

#: Most messages that wait for an account; older ones are dropped, as the service did sooner or later.
QUEUE_LIMIT = 10_000


@attrs.frozen(kw_only=True)
class Item:
    """Something for an account to receive; real numbers only. Aliases come in when it is rendered.

    Attributes:
        kind: ``buddy``, ``group``, ``discu``, ``sess`` or ``raw``.
        room: Real number of the group, or did.
        service: For ``sess``: 0 when *room* is a group that both are in, 1 when it is a discussion group (§10.1).
        raw: A wire item as it stands, for kind ``raw``.
    """

    kind: str
    sender: int = 0
    room: int = 0
    segments: tuple[Segment, ...] = ()
    msg_id: int = 0
    msg_id2: int = 0
    seq: int = 0
    time: int = 0
    service: int = 0
    raw: object = None


@attrs.frozen(kw_only=True)
class SentLine:
    """One send that the service took."""

    account: int
    kind: str
    room: int
    name: str
    text: str
    segments: tuple[Segment, ...]
    time: float


@attrs.define
class Aliases:
    """What one login calls people and rooms. Reshuffled at each login unless that is switched off.

    Attributes:
        made: When, in Unix seconds.
    """

    rng: random.Random
    made: float = 0.0
    people: dict[int, int] = attrs.field(factory=dict)
    gids: dict[int, int] = attrs.field(factory=dict)
    codes: dict[int, int] = attrs.field(factory=dict)
    _behind: dict[int, int] = attrs.field(factory=dict)

    def uin(self, number: int) -> int:
        """Return the alias of a person."""
        return self._alias(self.people, number)

    def gid(self, number: int) -> int:
        """Return the alias of a group to send to."""
        return self._alias(self.gids, number)

    def code(self, number: int) -> int:
        """Return the alias of a group to ask about."""
        return self._alias(self.codes, number)

    def _alias(self, table: dict[int, int], number: int) -> int:
        if number not in table:
            # Up to 2**32 - 1: clients must not assume signed 32 bits.
            alias = self.rng.randrange(1_000_000_000, 2**32)
            while alias in self._behind:
                alias = self.rng.randrange(1_000_000_000, 2**32)
            self.put(table, number, alias)
        return table[number]

    def put(self, table: dict[int, int], number: int, alias: int) -> None:
        """Let *alias* stand for *number*."""
        table[number] = alias
        self._behind[alias] = number

    def real(self, table: dict[int, int], alias: int) -> int:
        """Return the number behind *alias* of one of the tables, or 0."""
        number = self._behind.get(alias, 0)
        return number if table.get(number) == alias else 0


@attrs.define(kw_only=True, eq=False)
class Hold:
    """A poll that waits for something to come.

    Attributes:
        wake: Called when it should be looked at again.
        items: What its answer holds, until that is written.
        told_kick: Whether its answer is the kick_message.
        old_ptwebqq: What was valid before its answer announced a new one.
    """

    session: Session
    began: float
    wake: Callable[[], None] = lambda: None
    items: list[Item] = attrs.field(factory=list)
    told_kick: bool = False
    old_ptwebqq: str = ""


@attrs.define(kw_only=True, eq=False)
class Session:
    """One login of one account.

    Attributes:
        opened: Whether login2 was called.
        born: When, in Unix seconds.
        code: What polls and sends answer: 0 while it works, else the return code.
        relinkable: Whether login2 with the same psessionid revives it.
        gate: Whether get_online_buddies2 was called (smartqq).
        renewed: A new ptwebqq that the next poll shall announce.
        kicked: Whether the next poll shall tell that another login took over.
        unconfirmed: What the last answer held; the next poll proves that it arrived.
        p_skey: What check_sig has set; the channel host of SmartQQ and pictures want it (§2).
        signatures: Signature for a stranger → (who, service_type) it was made for (§11).
    """

    number: int
    profile: str
    aliases: Aliases
    skey: str
    ptwebqq: str
    vfwebqq: str
    psessionid: str = ""
    clientid: str = ""
    code: int = 0
    opened: bool = False
    relinkable: bool = True
    gate: bool = False
    status: str = "online"
    born: float = 0.0
    renewed: str = ""
    kicked: bool = False
    hold: Hold | None = None
    unconfirmed: list[Item] = attrs.field(factory=list)
    p_skey: str = ""
    signatures: dict[str, tuple[int, int]] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Picture:
    """A QR picture: which polls it has seen, what was done with it."""

    qrsig: str
    made: float
    polls: int = 0
    scanned: bool = False
    confirmed: bool = False
    expired: bool = False


@attrs.define(kw_only=True)
class State:
    """All that changes.

    Attributes:
        lost: Messages that a poll took and nobody got, by the fault `lose`.
        swallowed: Sends that were answered "ok" and that nobody sees, by a fault.
        tokens: auth_token of a QR login → whose it is.
        said_last: The message that was delivered last.
        done: Calls that changed something: their names and fields.
        pictures_held: Uploaded pictures by name.
        captchas_made: When each captcha was shown, in Unix seconds.
        linked: What lies on the file server, by the key in its address.
        polled: Account → when a poll of it was last looked at, in Unix seconds.
        confirmed: Told about each message of which the next poll has proved that it arrived.
        dropped: Told about each message that was lost on purpose.
        shuffled: Told about each answer that was shuffled on purpose.
        open_polls: Account → its polls that are held: neither answered nor abandoned by the client.
        flying: Polls whose answer holds messages and is not written yet.
        most_live: Most sessions that one account's client has had at the same time; see `note_live`.
    """

    world: World
    rng: random.Random
    queues: dict[int, deque[Item]] = attrs.field(factory=dict)
    sessions: dict[str, Session] = attrs.field(factory=dict)
    live: dict[int, Session] = attrs.field(factory=dict)
    logins: dict[str, Session] = attrs.field(factory=dict)
    aliases: dict[int, Aliases] = attrs.field(factory=dict)
    pictures: dict[str, Picture] = attrs.field(factory=dict)
    tokens: dict[str, int] = attrs.field(factory=dict)
    captchas: dict[str, str] = attrs.field(factory=dict)
    codes: dict[int, str] = attrs.field(factory=dict)
    wrong_passwords: set[int] = attrs.field(factory=set)
    sent: list[SentLine] = attrs.field(factory=list)
    said_last: list[Item] = attrs.field(factory=list)
    done: list[dict[str, object]] = attrs.field(factory=list)
    pictures_held: dict[str, bytes] = attrs.field(factory=dict)
    captchas_made: dict[str, float] = attrs.field(factory=dict)
    linked: dict[str, bytes] = attrs.field(factory=dict)
    polled: dict[int, float] = attrs.field(factory=dict)
    confirmed: Callable[[Item], None] = attrs.field(default=lambda item: None, repr=False)
    dropped: Callable[[Item], None] = attrs.field(default=lambda item: None, repr=False)
    shuffled: Callable[[list[Item]], None] = attrs.field(default=lambda items: None, repr=False)
    open_polls: dict[int, list[Hold]] = attrs.field(factory=dict)
    flying: list[Hold] = attrs.field(factory=list)
    seq: dict[int, int] = attrs.field(factory=dict)
    injected: int = 0
    lost: int = 0
    swallowed: int = 0
    answered: int = 0
    delivered: int = 0
    logins_done: int = 0
    relinks_done: int = 0
    most_live: int = 0
    _msg_id: int = 0

    def next_message(self) -> int:
        """Return the next msg_id of the service."""
        self._msg_id = self._msg_id or self.rng.randrange(10_000, 30_000)
        self._msg_id += 1
        return self._msg_id

    def hex(self, length: int) -> str:
        """Return *length* random hex characters."""
        return f"{self.rng.getrandbits(length * 4):0{length}x}"

    def queue(self, number: int) -> deque[Item]:
        """Return what waits for the account *number*."""
        return self.queues.setdefault(number, deque(maxlen=QUEUE_LIMIT))

    def put(self, number: int, item: Item) -> None:
        """Let the account *number* receive *item*."""
        self.queue(number).append(item)
        session = self.live.get(number)
        if session is not None and session.hold is not None:
            session.hold.wake()

    def say(self, sender: int, kind: str, room: int, segments: tuple[Segment, ...], now: float) -> list[Item]:
        """Deliver what *sender* says to every bot account that is there; return the items.

        Args:
            kind: ``buddy`` (then *room* is the receiver), ``group`` or ``discu``.
        """
        place = {"group": self.world.groups, "discu": self.world.discussions}.get(kind)
        members = [room] if place is None else place[room].members  # type: ignore[index]
        seq = 0
        if place is not None:
            seq = self.seq[room] = self.seq.get(room, self.rng.randrange(100, 9000)) + 1
        item = Item(
            kind=kind, sender=sender, room=room, segments=segments, msg_id=self.next_message(),
            msg_id2=self.rng.randrange(1, 1_000_000), seq=seq, time=int(now),
        )  # fmt: skip
        receivers = [n for n in members if n != sender and self.world.people[n].is_bot]
        if kind == "buddy" and sender not in self.world.people[room].friends:
            item = self._as_stranger(item, {sender, room})
        self.said_last = [item]
        for number in receivers:
            self.put(number, item)
        self.injected += len(receivers)
        return [item] * len(receivers)

    def _as_stranger(self, item: Item, both: set[int]) -> Item:
        """Return *item* as it comes through a group or discussion group that *both* are in (§10.1)."""
        group = next((g for g in self.world.groups.values() if both <= set(g.members)), None)
        if group is not None:
            return attrs.evolve(item, kind="sess", room=group.number, service=0)
        discussion = next((d for d in self.world.discussions.values() if both <= set(d.members)), None)
        if discussion is not None:
            return attrs.evolve(item, kind="sess", room=discussion.did, service=1)
        return item

    def link(self, content: bytes) -> str:
        """Put *content* on the file server; return its key. Only the latest are kept."""
        key = self.hex(32)
        self.linked[key] = content
        if len(self.linked) > 1000:
            del self.linked[next(iter(self.linked))]
        return key

    def open(self, session: Session) -> None:
        """Let *session* work from now on."""
        session.code = 0
        session.opened = True

    def hold(self, hold: Hold) -> None:
        """Note that a poll is open from now on."""
        self.open_polls.setdefault(hold.session.number, []).append(hold)

    def release(self, hold: Hold) -> None:
        """Note that a poll is open no more: it was answered, or its client has closed the connection."""
        polls = self.open_polls.get(hold.session.number, [])
        if hold in polls:
            polls.remove(hold)
        if not polls:
            self.open_polls.pop(hold.session.number, None)

    @property
    def waiting(self) -> bool:
        """Whether some message is still on its way: in a queue, in an answer, or in one that no poll has confirmed."""
        unconfirmed = any(session.unconfirmed for session in self.sessions.values())
        return unconfirmed or bool(self.flying) or any(self.queues.values())

    def note_live(self, session: Session) -> None:
        """Count the sessions of one account that its clients run at this moment.

        These are the one that calls login2 or poll2 just now, and every other one with an open poll: a client that
        has given a session up has closed that connection before, whatever the service thinks of the session.
        """
        others = {id(p.session) for p in self.open_polls.get(session.number, ()) if p.session is not session}
        self.most_live = max(self.most_live, 1 + len(others))

    def end(self, session: Session, code: int, *, relinkable: bool) -> None:
        """Let *session* answer *code* from now on, and wake its poll."""
        session.code = code
        session.relinkable = session.relinkable and relinkable
        if session.hold is not None:
            session.hold.wake()


def name_of(world: World, kind: str, number: int) -> str:
    """Return the name of a room or person."""
    if kind == "group":
        group: Group | None = world.groups.get(number)
        return group.name if group else str(number)
    if kind == "discu":
        return world.discussions[number].name if number in world.discussions else str(number)
    return world.people[number].nick if number in world.people else str(number)
