"""Adapters that get wrong what goes out."""

from collections import deque

import attrs
import trio

from qqops.errors import TransientError
from qqops.model import Delivery, Later, Outcome, Text

from ._broken import Parley, caught_by


class OtherOutcome(Parley):
    async def _send(self, draft, on_wire):
        outcome = await super()._send(draft, on_wire)
        return self._other(outcome) if isinstance(outcome, (Outcome, Later)) else outcome


@caught_by("test_a_refused_send_says_so_and_why")
class SaysAllIsWell(OtherOutcome):
    """It takes every answer for a yes."""

    def _other(self, outcome):
        return Outcome(delivery=Delivery.DELIVERED)


@caught_by("test_a_refused_send_costs_nothing_else")
class DiesOfARefusal(OtherOutcome):
    """One message that is refused ends the session."""

    def _other(self, outcome):
        if isinstance(outcome, Outcome) and outcome.delivery is Delivery.REFUSED:
            raise TransientError(outcome.reason)
        return outcome


@caught_by("test_a_room_that_nobody_knows_costs_nothing_else")
class DiesOfARoom(OtherOutcome):
    """A room that it cannot find ends the session."""

    def _other(self, outcome):
        if isinstance(outcome, Outcome) and "there is no room" in outcome.reason:
            raise TransientError(outcome.reason)
        return outcome


@caught_by("test_what_comes_too_soon_for_the_service_goes_later")
class GivesUpAtOnce(OtherOutcome):
    """What comes too soon is refused."""

    def _other(self, outcome):
        if isinstance(outcome, Later):
            return Outcome(delivery=Delivery.REFUSED, reason=outcome.reason)
        return outcome


@caught_by("test_a_send_of_which_nobody_knows_is_reported_so")
class TakesSilenceForANo(OtherOutcome):
    """What nobody has answered is said to be refused."""

    def _other(self, outcome):
        if isinstance(outcome, Outcome) and outcome.delivery is Delivery.UNKNOWN:
            return Outcome(delivery=Delivery.REFUSED, reason=outcome.reason)
        return outcome


@caught_by("test_what_was_sent_has_an_address_of_its_own")
class ForgetsIds(OtherOutcome):
    """It does not say under which id a message can be found."""

    def _other(self, outcome):
        return attrs.evolve(outcome, refs=()) if isinstance(outcome, Outcome) else outcome


@caught_by("test_a_send_of_which_nobody_knows_is_never_repeated")
class SendsAgain(Parley):
    """It sends once more what was not answered."""

    async def _send(self, draft, on_wire):
        outcome = await super()._send(draft, on_wire)
        if isinstance(outcome, Outcome) and outcome.delivery is Delivery.UNKNOWN:
            return await super()._send(draft, on_wire)
        return outcome


@caught_by("test_a_slow_answer_is_waited_for")
class Impatient(Parley):
    """It waits three seconds for an answer."""

    async def _send(self, draft, on_wire):
        with trio.move_on_after(3):
            return await super()._send(draft, on_wire)
        return Outcome(delivery=Delivery.UNKNOWN, reason="no answer")


@caught_by("test_the_gap_between_two_sends_is_kept_on_the_wire")
class KnowsNoPace(Parley):
    """It writes first, and asks whether it is its turn afterwards."""

    async def _send(self, draft, on_wire):
        outcome = await super()._send(draft, trio.lowlevel.checkpoint)
        await on_wire()
        return outcome


@caught_by("test_no_more_sends_are_on_the_wire_at_once_than_may_be")
class AnswersBeforeItKnows(Parley):
    """It waits for no answer, so that nobody knows how many sends are under way."""

    async def _send(self, draft, on_wire):
        await on_wire()
        await self._line.write({"n": 0, "do": "say", "to": draft.room.id, "text": draft.text})
        return Outcome(delivery=Delivery.ACCEPTED)


@caught_by("test_two_rooms_do_not_wait_for_each_other")
class OneAtATime(Parley):
    """It holds a lock while it waits for the answer."""

    lock = trio.Lock()

    async def _send(self, draft, on_wire):
        async with self.lock:
            return await super()._send(draft, on_wire)


@caught_by("test_answers_in_another_order_reach_the_right_message")
class FirstComeFirstServed(Parley):
    """It takes the first answer for that to the first question."""

    def __init__(self, *args):
        super().__init__(*args)
        self.asked = deque()

    async def _send(self, draft, on_wire):
        mine = [trio.Event(), None]
        self.asked.append(mine)
        outcome = await super()._send(draft, on_wire)
        first = self.asked.popleft()
        first[1] = outcome
        first[0].set()
        await mine[0].wait()
        return mine[1]


@caught_by("test_no_message_on_the_wire_is_longer_than_it_may_be")
class AddsALine(Parley):
    """It adds something to a text that has been split already."""

    async def _send(self, draft, on_wire):
        added = Text("\nsent by a bot; replies are read by nobody" * 5)
        return await super()._send(attrs.evolve(draft, segments=(*draft.segments, added)), on_wire)
