"""Adapters that get wrong what comes in."""

import itertools

import attrs
import trio

from qqops.errors import TransientError
from qqops.model import AccountRef, PersonRef

from ._broken import Parley, Twisted, caught_by, nothing


class OtherMessage(Parley):
    def _message(self, said):
        message = super()._message(said)
        return attrs.evolve(message, **self._other(message))


@caught_by("test_a_message_that_is_delivered_again_has_the_same_id")
class CountsItsIds(OtherMessage):
    """It gives a message an id of its own when it comes, and another one when it comes again."""

    numbers = itertools.count(1)

    def _other(self, message):
        return {"id": str(next(self.numbers))}


@caught_by("test_no_two_messages_have_the_same_id")
class TextAsId(OtherMessage):
    """It makes the id of a message of its text."""

    def _other(self, message):
        return {"id": message.text}


@caught_by("test_events_have_an_aware_time_that_is_about_now")
class NaiveTimes(OtherMessage):
    """It does not say in which time zone a moment is."""

    def _other(self, message):
        return {"at": message.at.replace(tzinfo=None)}


@caught_by("test_events_are_of_the_account_that_heard_them")
class OtherAccounts(OtherMessage):
    """People belong to the network, and not to the account that heard them."""

    def _other(self, message):
        ref = PersonRef(AccountRef("parley", "all"), message.sender.id)
        return {"sender": attrs.evolve(message.sender, ref=ref)}


@caught_by("test_refs_of_people_and_rooms_do_not_change_within_a_session")
class PeopleChange(OtherMessage):
    """It calls people what the message does."""

    def _other(self, message):
        return {"sender": attrs.evolve(message.sender, ref=PersonRef(self.account, f"p-{message.id}"))}


@caught_by("test_the_private_room_is_the_senders")
class RoomsOfTheirOwn(OtherMessage):
    """A private chat has an id of its own."""

    def _other(self, message):
        room = attrs.evolve(message.room, ref=attrs.evolve(message.room.ref, id=f"chat-{message.sender.id}"))
        return {"room": room} if message.room.private else {}


@caught_by("test_rooms_and_members_have_the_refs_that_events_have")
class OtherMembers(Parley):
    """Members are known by their names, and senders by their numbers."""

    async def members(self, room):
        found = await super().members(room)
        return [attrs.evolve(user, ref=PersonRef(self.account, user.name)) for user in found]


@caught_by("test_what_our_own_account_says_sets_nothing_off")
class HearsItself(Parley):
    """It does not know itself."""

    async def _log_in(self, line):
        nick = await super()._log_in(line)
        self._me = ""
        return nick


@caught_by("test_what_is_said_while_nobody_is_connected_is_not_lost_where_it_is_kept")
class SkipsWhatWaited(Parley):
    """It begins each session with the news of that moment."""

    async def _log_in(self, line):
        nick = await super()._log_in(line)
        while found := (await line.call("next", 10.0, after=self._read, hold=0.0))["events"]:
            self._read += len(found)
        return nick


@caught_by("test_nothing_more_is_read_while_the_bot_has_no_room")
class NeverWaits(Parley):
    """It reads whether the bot has room or not."""

    async def serve(self, link, outbox):
        await super().serve(Twisted(link, ready=trio.lowlevel.checkpoint), outbox)


@caught_by("test_a_bot_without_room_is_no_dead_connection")
class TakesAFullBotForDead(Parley):
    """It looks by itself whether something was read, also while it must not read."""

    async def serve(self, link, outbox):
        async with trio.open_nursery() as nursery:
            watch = nursery.cancel_scope

            def alive(within):
                watch.deadline = trio.current_time() + within
                link.alive(within)

            await super().serve(Twisted(link, alive=alive), outbox)
        raise TransientError("nothing was read")


@caught_by("test_one_persons_messages_are_handled_in_order_and_each_once")
class HandsOverInTasks(Parley):
    """It starts a task for each message, and some are faster than others."""

    async def serve(self, link, outbox):
        async with trio.open_nursery() as nursery:
            numbers = itertools.count()

            async def hand_over(event):
                await trio.sleep(0.1 if next(numbers) % 3 else 0.3)
                link.event(event)

            await super().serve(Twisted(link, event=lambda e: nursery.start_soon(hand_over, e)), outbox)


@caught_by("test_what_cannot_be_read_costs_nothing_else")
class DiesOfGarbage(Parley):
    """Something unreadable ends the session."""

    async def serve(self, link, outbox):
        def malformed(error):
            raise error

        await super().serve(Twisted(link, malformed=malformed), outbox)


@caught_by("test_what_cannot_be_read_is_told")
class HidesGarbage(Parley):
    """Something unreadable is skipped without a word."""

    async def serve(self, link, outbox):
        await super().serve(Twisted(link, malformed=nothing), outbox)
