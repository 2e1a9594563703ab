"""Adapters whose sessions are broken."""

import logging
import math

import trio

from qqops.errors import TransientError

from ._broken import Parley, Twisted, caught_by, nothing, wait


@caught_by("test_a_dropped_connection_comes_back_again_and_again")
class SwallowsTheEnd(Parley):
    """It takes the end of the connection for nothing, and goes quiet."""

    async def serve(self, link, outbox):
        try:
            await super().serve(Twisted(link, alive=lambda within: link.alive(math.inf)), outbox)
        except* TransientError:
            await trio.sleep_forever()


@caught_by("test_a_dead_connection_that_looks_open_is_found_out_in_time")
class PromisesForEver(Parley):
    """It says that the service lives for ever, and nobody looks."""

    async def serve(self, link, outbox):
        await super().serve(Twisted(link, alive=lambda within: link.alive(math.inf)), outbox)


@caught_by("test_online_is_told_when_sends_work_and_not_before")
class OnlineTooEarly(Parley):
    """It says that it is online before it has logged in, and refuses what is sent until then."""

    async def serve(self, link, outbox):
        async with trio.open_nursery() as nursery:
            link.online(["parley-bot"])
            nursery.start_soon(outbox.carry, self._send)
            await super().serve(Twisted(link, online=nothing), Twisted(outbox, carry=wait))


@caught_by("test_online_is_told_once_in_each_session")
class OnlineAgain(Parley):
    """It says that it is online with each sign of life."""

    async def serve(self, link, outbox):
        def alive(within):
            link.alive(within)
            link.online(["parley-bot"])

        await super().serve(Twisted(link, alive=alive), outbox)


@caught_by("test_it_comes_online_and_tells_what_the_bot_is_called")
class HasNoName(Parley):
    """It does not say what people call the bot."""

    async def serve(self, link, outbox):
        await super().serve(Twisted(link, online=lambda names: link.online([])), outbox)


@caught_by("test_it_says_good_bye_within_two_seconds")
class LongGoodbye(Parley):
    """It takes its time."""

    async def _say_goodbye(self, line, stream):
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        await super()._say_goodbye(line, stream)


@caught_by("test_it_says_good_bye_within_two_seconds_when_nobody_answers")
class WaitsForTheFarewell(Parley):
    """It waits until the service has said good-bye, too."""

    async def _say_goodbye(self, line, stream):
        with trio.move_on_after(15, shield=True):
            await line.write({"do": "bye"})
            while await stream.receive_some():
                pass
        await super()._say_goodbye(line, stream)


@caught_by("test_no_connection_is_left_when_a_session_was_cancelled")
class NoGoodbye(Parley):
    """It leaves its connection open."""

    async def _say_goodbye(self, line, stream):
        pass


@caught_by("test_it_can_be_cancelled_at_every_await")
class OpensAndWaits(Parley):
    """It awaits something between opening the connection and the ``try`` that closes it."""

    async def serve(self, link, outbox):
        dial = self._dial

        async def dial_and_wait(options):
            stream = await dial(options)
            await trio.sleep(0.5)
            return stream

        self._dial = dial_and_wait
        try:
            await super().serve(link, outbox)
        finally:
            self._dial = dial


@caught_by("test_no_task_is_left_when_a_session_was_cancelled")
class LeavesATask(Parley):
    """Something of it goes on when the session is over."""

    async def serve(self, link, outbox):
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        await super().serve(link, outbox)


@caught_by("test_nothing_goes_on_the_wire_after_a_session_was_cancelled")
class HasTheLastWord(Parley):
    """It says something in the room when it has been cancelled already."""

    async def _say_goodbye(self, line, stream):
        async def later():
            await trio.sleep(3)
            await line.write({"n": 0, "do": "say", "to": "r1", "text": "bye, all of you"})
            await trio.sleep(1)
            await stream.aclose()

        trio.lowlevel.spawn_system_task(later)


@caught_by("test_a_session_after_a_cancelled_one_works_like_the_first")
class WorksOnce(Parley):
    """What it needs was made with it, and is closed after the first session."""

    closed = False

    async def serve(self, link, outbox):
        if self.closed:
            raise TransientError("the client is closed")
        try:
            await super().serve(link, outbox)
        finally:
            self.closed = True


@caught_by("test_no_secret_is_in_a_log_or_a_record")
class LogsThePassword(Parley):
    """It logs what it asks for."""

    async def _log_in(self, line):
        logging.getLogger("parley").debug("hello %s", self._options.password.reveal())
        return await super()._log_in(line)
