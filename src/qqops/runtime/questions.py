"""Questions that only a person can answer, put to everybody who was named: terminal, file, chat rooms.

There are two ways to reach people. A terminal or a folder (an `Operator`) can be shown a newer picture at any time: it
takes the place of the older one and disturbs nobody. A chat room (a `Place`) keeps every post and calls everybody
there, so it is asked once per outage, and gets a fresh picture only when somebody there answers
(``/answer ACCOUNT TEXT`` of the essentials) and the picture that they have does not count any more.

An outage begins with the first question of an account and ends when that account is online or given up; it may last
for many sessions. A way that fails for now (a full disk, a room whose account is offline) is tried again for as long
as it lasts. Only when no way is left that could ever bring an answer is that said, by `NeedsHuman`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import attrs
import structlog
import trio

from qqops.adapters.base import Operator, Question, QuestionKind
from qqops.errors import NeedsHuman, TransientError
from qqops.model import AccountRef, Delivery, Image, Room
from qqops.runtime.backoff import Backoff, BackoffPolicy
from qqops.runtime.rooms import Rooms
from qqops.texts import Say

log = structlog.get_logger("qqops.questions")

#: Seconds between two looks for a room whose account is not online itself.
ROOM_RETRY = 5.0
#: How often a folder that cannot be written is tried again.
HUMAN_RETRY = BackoffPolicy(first=1.0, cap=60.0)
#: How often a room that refuses what is said there is tried again: each try is a request to a service.
REFUSED_RETRY = BackoffPolicy(first=10.0, cap=600.0)


@attrs.frozen
class Place:
    """A room in which questions are put.

    Attributes:
        account: Name of the account that speaks there.
        room: Number (id) or name of the room; see `NamedRooms`.
    """

    account: str
    room: str


@attrs.define(eq=False)
class _Way:
    """A terminal, a folder.

    Attributes:
        failing: Whether it was said that it cannot be reached.
    """

    operator: Operator
    failing: bool = False

    def note(self, reason: str) -> None:
        """Say once that it cannot be reached (*reason*), and once that it can be again ("")."""
        name = type(self.operator).__name__.lower()
        if reason and not self.failing:
            log.warning("a question cannot be put, and is tried again", to=name, reason=reason)
        elif self.failing and not reason:
            log.info("questions can be put again", to=name)
        self.failing = bool(reason)


@attrs.define(eq=False)
class _Case:
    """One outage of one account.

    Attributes:
        question: The picture that counts at this moment; None while none does.
        answer: What was typed for it.
        wanting: Places that are to be told of the picture that counts, or of the next one.
        seen: Places that have been told of it.
        failed: Humans that could not be shown it yet.
        refused: Why operators will never answer.
        turn: Held while a question waits for its answer: a second one of the same account is put after it.
    """

    places: Sequence[Place]
    question: Question | None = None
    answer: str | None = None
    wanting: set[Place] = attrs.field(factory=set)
    seen: set[Place] = attrs.field(factory=set)
    failed: set[_Way] = attrs.field(factory=set)
    refused: dict[_Way, str] = attrs.field(factory=dict)
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _stirred: trio.Event = attrs.field(factory=trio.Event)

    def put(self, question: Question | None) -> None:
        """Let *question* be the one that counts; None: the picture is worth nothing any more."""
        self.question, self.answer = question, None
        self.seen.clear()
        self.failed.clear()
        self.stir()

    def stir(self) -> None:
        """Let everybody who waits look again."""
        self._stirred.set()
        self._stirred = trio.Event()

    async def until(self, holds: Callable[[], object], look: float = math.inf) -> None:
        """Wait until *holds*; looked at whenever something changes, and every *look* seconds."""
        while not holds():
            with trio.move_on_after(look):
                await self._stirred.wait()


class Questions:
    """Asks people; itself an `Operator`. Injected into handlers that ask for it. `run` must be running.

    Args:
        rng: For the jitter between two tries.
    """

    def __init__(
        self,
        operators: Sequence[Operator],
        rooms: Rooms,
        places: Sequence[Place] = (),
        rng: random.Random | None = None,
    ) -> None:
        self._ways = [_Way(operator) for operator in operators]
        self._rooms = rooms
        self._places = places
        self._rng = rng or random.Random()
        self._cases: dict[str, _Case] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def open(self) -> Sequence[Question]:
        """The questions that wait for a person."""
        return [case.question for case in self._cases.values() if case.question is not None]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reach who could not be reached at once, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    # -- for the supervisors --------------------------------------------------------------------

    async def ask(self, question: Question) -> str:
        """Put *question* to everybody and return the first answer.

        A question for a renewal is put to nobody: it waits until a fresh picture is of use to somebody.

        Raises:
            NeedsHuman: Nobody is there who could ever answer.
        """
        case = self._case(question.account)
        if question.kind is QuestionKind.RENEWAL:
            case.put(None)
            await case.until(lambda: self._of_use(case), ROOM_RETRY)
            return ""
        async with case.turn:
            return await self._put(case, question)

    async def _put(self, case: _Case, question: Question) -> str:
        case.put(question)
        try:
            async with trio.open_nursery() as nursery:
                for way in self._left(case):
                    nursery.start_soon(self._ask, case, way, question)
                await case.until(lambda: case.answer is not None or self._hopeless(case))
                nursery.cancel_scope.cancel(reason="answered")
            if case.answer is None:
                raise self._refusal(case)
            return case.answer
        finally:
            case.put(None)

    async def show(self, question: Question) -> None:
        """Show everybody a picture; who cannot be reached now is shown it later, while it counts.

        Raises:
            NeedsHuman: Nobody is there who could ever see one.
        """
        case = self._case(question.account)
        case.put(question)
        for way in self._left(case):
            await self._show(case, way, question)
        if self._hopeless(case):
            raise self._refusal(case)

    def over(self, account: AccountRef) -> None:
        """Note that *account* is online or given up: its next question is the first of another outage."""
        case = self._cases.pop(account.id, None)
        if case is not None:
            case.scope.cancel(reason="the account needs nobody any more")

    # -- for the rooms --------------------------------------------------------------------------

    def answer(self, account: str, text: str, room: Room) -> bool:
        """Take what was said in *room* to the question of *account*; False when that asks nothing there.

        It answers the picture that the room has. When that one does not count any more, or is to be scanned, the
        room gets the one that does.
        """
        case = self._cases.get(account)
        if case is None:
            return False
        place = next((p for p in case.places if (here := self._room(p)) and here.ref == room.ref), None)
        if place is None:
            return False
        question = case.question
        if question is not None and question.kind is QuestionKind.CAPTCHA and place in case.seen:
            case.put(None)
            case.answer = text
        case.wanting.add(place)  # whoever answers wants to know when that was wrong
        case.stir()
        return True

    # -- one outage -----------------------------------------------------------------------------

    def _case(self, account: AccountRef) -> _Case:
        """Return the outage of *account*; a new one has its tasks."""
        case = self._cases.get(account.id)
        if case is None:
            # The account that needs help cannot ask for it itself.
            places = [place for place in self._places if place.account != account.id]
            case = self._cases[account.id] = _Case(places, wanting=set(places))
            assert self._nursery is not None, "Questions.run is not running"
            self._nursery.start_soon(self._attend, case, name=f"questions of {account}")
        return case

    async def _attend(self, case: _Case) -> None:
        """See to it that rooms are told, and that operators are shown what they could not be shown at once."""
        with case.scope:
            async with trio.open_nursery() as nursery:
                for place in case.places:
                    nursery.start_soon(self._keep_told, case, place)
                for way in self._ways:
                    nursery.start_soon(self._show_again, case, way)

    def _left(self, case: _Case) -> Sequence[_Way]:
        return [way for way in self._ways if way not in case.refused]

    def _hopeless(self, case: _Case) -> bool:
        return not case.places and not self._left(case)

    def _of_use(self, case: _Case) -> bool:
        """Whether somebody would see a fresh picture, and wants it."""
        return bool(self._left(case)) or any(self._room(place) for place in case.wanting)

    def _refusal(self, case: _Case) -> NeedsHuman:
        return NeedsHuman("; ".join(case.refused.values()) or "there is nobody who could be asked (bot.ask)")

    # -- operators ---------------------------------------------------------------------------------

    async def _ask(self, case: _Case, way: _Way, question: Question) -> None:
        backoff = Backoff(HUMAN_RETRY, self._rng)
        while True:
            try:
                answer = await way.operator.ask(question)
            except TransientError as exc:
                way.note(str(exc))
                await trio.sleep(backoff.next_delay(exc.retry_after))
                continue
            except NeedsHuman as exc:
                case.refused[way] = str(exc)
            else:
                way.note("")
                case.answer = answer
            case.stir()
            return

    async def _show(self, case: _Case, way: _Way, question: Question) -> None:
        try:
            await way.operator.show(question)
        except TransientError as exc:
            way.note(str(exc))
            case.failed.add(way)
            case.stir()
        except NeedsHuman as exc:
            case.refused[way] = str(exc)
        else:
            way.note("")
            if case.question is question:
                case.failed.discard(way)

    async def _show_again(self, case: _Case, way: _Way) -> None:
        backoff = Backoff(HUMAN_RETRY, self._rng)
        while True:
            if way not in case.failed:
                backoff.attempt = 0
                await case.until(lambda: way in case.failed)
            await trio.sleep(backoff.next_delay())
            if case.question is not None and way in case.failed:
                await self._show(case, way, case.question)

    # -- rooms ----------------------------------------------------------------------------------

    def _room(self, place: Place) -> Room | None:
        """Return the room that is meant; None while it is not known, or when its name leaves that open.

        A picture opens the account to whoever sees it: it goes to no room that may be another one.
        """
        return self._rooms.named.find(place.account, place.room)

    async def _keep_told(self, case: _Case, place: Place) -> None:
        """Tell a room of the picture that counts whenever it is to be told, as soon as its account can."""
        backoff = Backoff(REFUSED_RETRY, self._rng)
        while True:
            await case.until(lambda: place in case.wanting and case.question is not None)
            room, question = self._room(place), case.question
            if room is None or question is None:
                await trio.sleep(ROOM_RETRY)
                continue
            case.wanting.discard(place)
            case.seen.add(place)
            reason = await self._tell(room, question)
            if not reason:
                backoff.attempt = 0
                continue
            if case.question is question:
                case.seen.discard(place)
            case.wanting.add(place)
            if not backoff.attempt:
                log.warning("a question could not be put, and is tried again", room=place.room, reason=reason)
            await trio.sleep(backoff.next_delay())

    async def _tell(self, room: Room, question: Question) -> str:
        """Say *question* in *room*; return why that was refused, or ""."""
        words = {"account": question.account.id, "text": question.text}
        outcome = await self._rooms.send(room.ref, Say(f"ask.{question.kind.value}", words))
        if outcome.delivery is Delivery.REFUSED:
            return outcome.reason
        # "unknown" counts as told: who got no picture can ask for one, who got two was asked twice.
        if question.picture:
            await self._rooms.send(room.ref, (Image(f"{question.account.id}.png", content=question.picture),))
        return ""
