"""Questions that only a person can answer, put to everybody who was named: terminal, file, chat rooms.

Each question is put once to each of them, and the first answer counts. In a chat room people answer with the command
``/answer ACCOUNT TEXT`` of the essentials.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import structlog
import trio

from qqops.adapters.base import Human, Question
from qqops.errors import NeedsHuman
from qqops.model import Image, Room
from qqops.runtime.rooms import Rooms
from qqops.texts import Say

log = structlog.get_logger("qqops.questions")

#: Seconds between two tries to reach a room whose account is not online itself.
ROOM_RETRY = 5.0


@attrs.frozen
class Place:
    """A room in which questions are put.

    Attributes:
        account: Name of the account that speaks there.
        room: Name or id of the room.
    """

    account: str
    room: str

    def is_room(self, room: Room) -> bool:
        """Whether *room* is this one."""
        return room.ref.account.id == self.account and self.room in (room.id, room.name)


@attrs.define(eq=False)
class _Open:
    question: Question
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: str = ""


class Questions:
    """Asks people; itself a `Human`. Injected into handlers that ask for it."""

    def __init__(self, humans: Sequence[Human], rooms: Rooms, places: Sequence[Place] = ()) -> None:
        self._humans = humans
        self._rooms = rooms
        self._places = places
        self._open: dict[str, _Open] = {}

    @property
    def open(self) -> Sequence[Question]:
        """The questions that wait for an answer."""
        return [one.question for one in self._open.values()]

    def answer(self, account: str, text: str, room: Room) -> bool:
        """Answer the open question of *account*; False when there is none, or *room* is none of the places."""
        one = self._open.get(account)
        if one is None or not any(place.is_room(room) for place in self._places):
            return False
        one.answer = text
        one.answered.set()
        return True

    async def ask(self, question: Question) -> str:
        """Put *question* to everybody and return the first answer.

        Raises:
            NeedsHuman: Nobody is there.
        """
        account = question.account.id
        self._open[account] = one = _Open(question)
        refusals: list[NeedsHuman] = []

        async def put_to(human: Human) -> None:
            try:
                one.answer = await human.ask(question)
                one.answered.set()
            except NeedsHuman as exc:
                refusals.append(exc)
                if len(refusals) == len(self._humans) and not self._places:
                    one.answered.set()

        try:
            async with trio.open_nursery() as nursery:
                for human in self._humans:
                    nursery.start_soon(put_to, human)
                for place in self._places:
                    nursery.start_soon(self._tell, place, question)
                await one.answered.wait()
                nursery.cancel_scope.cancel(reason="answered")
        finally:
            del self._open[account]
        if refusals and len(refusals) == len(self._humans) and not self._places:
            raise refusals[0]
        return one.answer

    async def show(self, question: Question) -> None:
        """Show everybody a picture. Raises `NeedsHuman` when nobody could be shown it."""
        refusals: list[NeedsHuman] = []
        for human in self._humans:
            try:
                await human.show(question)
            except NeedsHuman as exc:
                refusals.append(exc)
        for place in self._places:
            with trio.move_on_after(ROOM_RETRY):
                await self._tell(place, question)
        if refusals and len(refusals) == len(self._humans) and not self._places:
            raise refusals[0]

    async def _tell(self, place: Place, question: Question) -> None:
        """Say *question* in a room, as soon as its account can."""
        if place.account == question.account.id:
            return  # the account that needs help cannot ask for it itself
        words = {"account": question.account.id, "text": question.text}
        while True:
            room = next((room for room in self._rooms.known() if place.is_room(room)), None)
            if room is not None:
                outcome = await self._rooms.send(room.ref, Say(f"ask.{question.kind.value}", words))
                if question.picture:
                    picture = Image(f"{question.account.id}.png", content=question.picture)
                    await self._rooms.send(room.ref, (picture,))
                if outcome.ok:
                    return
                log.warning("a question could not be put", room=place.room, reason=outcome.reason)
            await trio.sleep(ROOM_RETRY)
