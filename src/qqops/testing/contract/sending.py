"""What goes out while all is well: where it belongs, whole, at the pace of the account."""

from __future__ import annotations

import itertools

import attrs
import pytest
import trio

from qqops.model import AccountRef, Action, Delivery, Pace, RoomKind
from qqops.testing.bench import Bench
from qqops.testing.contract.ground import Ground
from qqops.testing.virtual import run_virtual


@attrs.frozen(kw_only=True)
class _Impossible(Action):
    """Something that no network can do."""

    account: AccountRef


class Sending(Ground):
    """Tests of what goes out."""

    @pytest.mark.trio(run=run_virtual)
    async def test_a_message_is_answered_where_it_was_said(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Bo", "qqops-test", "ping 2")
            bench.stage.say("Ali", "", "ping 3")
            await bench.until(lambda: len(bench.outcomes()) == 3)
            assert sorted(bench.stage.said()) == [
                ("Ali", "re ping 3"), ("ops", "re ping 1"), ("qqops-test", "re ping 2"),
            ]  # fmt: skip

    @pytest.mark.trio(run=run_virtual)
    async def test_what_arrives_is_reported_as_sent(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for who, room in (("Ali", "ops"), ("Bo", "qqops-test"), ("Ali", "")):
                bench.stage.say(who, room, "ping 1")
            await bench.until(lambda: len(bench.outcomes()) == 3)
            assert [sent.outcome.reason for sent in bench.sent() if not sent.outcome.ok] == []

    @pytest.mark.network_can("ids")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_was_sent_has_an_address_of_its_own(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for n, (who, room) in enumerate(
                (("Ali", "ops"), ("Bo", "qqops-test"), ("Ali", "ops"), ("Ali", ""))
            ):
                bench.stage.say(who, room, f"ping {n}")
            await bench.until(lambda: len(bench.outcomes()) == 4)
            assert all(ref.room == sent.draft.room for sent in bench.sent() for ref in sent.outcome.refs)
            assert len({ref for sent in bench.sent() for ref in sent.outcome.refs}) == 4

    @pytest.mark.trio(run=run_virtual)
    async def test_answers_of_a_room_go_out_in_order_and_each_once(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for n in range(30):
                bench.stage.say("Ali", "ops", f"ping {n}")
            await bench.until(lambda: len(bench.outcomes()) == 30, 600)
            assert [text for _, text in bench.stage.said()] == [f"re ping {n}" for n in range(30)]

    @pytest.mark.trio(run=run_virtual)
    async def test_a_long_text_arrives_whole_and_in_order(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "long")
            await bench.until(lambda: bench.outcomes(), 600)
            seen = "\n".join(text for _, text in bench.stage.said())
            assert [int(n) for n in seen.split()] == list(range(600))

    @pytest.mark.trio(run=run_virtual)
    async def test_an_endless_text_is_cut_or_becomes_a_file(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "endless")
            await bench.until(lambda: bench.outcomes(), 600)
            seen = [text for _, text in bench.stage.said()]
            assert 1 <= len(seen) <= bench.stage.adapter.can(RoomKind.GROUP).max_parts
            assert "characters left out]" in seen[-1] or "file" in seen[-1]

    @pytest.mark.trio(run=run_virtual)
    async def test_no_message_on_the_wire_is_longer_than_it_may_be(self) -> None:
        async with self.bench() as bench:
            most = bench.stage.adapter.can(RoomKind.GROUP).max_bytes
            if not most:
                pytest.skip("this network sets no limit to a message (`max_bytes` is 0)")
            await bench.online()
            bench.stage.say("Ali", "ops", "wide")
            await bench.until(lambda: bench.outcomes(), 600)
            assert bench.stage.said()
            assert [n for _, text in bench.stage.said() if (n := len(text.encode())) > most] == []

    @pytest.mark.trio(run=run_virtual)
    async def test_mentions_and_emoticons_are_shown_or_said_in_words(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "shown")
            await bench.until(lambda: bench.stage.said())
            assert bench.stage.said()[0][1].startswith("shown to ")
            await bench.until(lambda: bench.outcomes())
            assert bench.sent()[0].outcome.ok

    @pytest.mark.trio(run=run_virtual)
    async def test_an_answer_of_blanks_is_refused_with_a_reason(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "blank")
            await bench.until(lambda: bench.outcomes())
            [sent] = bench.sent()
            assert sent.outcome.delivery is Delivery.REFUSED
            assert "blanks" in sent.outcome.reason
            assert bench.stage.said() == []

    @pytest.mark.trio(run=run_virtual)
    async def test_what_the_account_cannot_do_is_refused_before_anything_is_asked_for(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            account = bench.stage.adapter.account
            outcome = await bench.app.accounts.act(_Impossible(account=account))
            assert outcome.delivery is Delivery.REFUSED
            assert "_Impossible" in outcome.reason

    @pytest.mark.trio(run=run_virtual)
    async def test_the_gap_between_two_sends_is_kept_on_the_wire(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.outbox.queue.pace = Pace(gap=3.0, in_flight=8)
            moments = await self._answer_in_three_rooms(bench)
            assert [round(b - a, 1) for a, b in itertools.pairwise(moments) if b - a < 2.9] == []

    @pytest.mark.network_can("slow")
    @pytest.mark.trio(run=run_virtual)
    async def test_no_more_sends_are_on_the_wire_at_once_than_may_be(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.outbox.queue.pace = Pace(in_flight=2)
            for _ in range(3):
                bench.stage.trouble("slow")
            moments = await self._answer_in_three_rooms(bench)
            assert moments[2] - moments[0] > 6.0

    @pytest.mark.network_can("slow")
    @pytest.mark.trio(run=run_virtual)
    async def test_two_rooms_do_not_wait_for_each_other(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.outbox.queue.pace = Pace(in_flight=2)
            bench.stage.trouble("slow")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.stage.said())
            bench.stage.say("Bo", "qqops-test", "ping 2")
            await bench.until(lambda: ("re ping 2", Delivery.DELIVERED) in _delivered(bench), 4.0)
            assert len(bench.outcomes()) == 1, "the slow one cannot be known yet"
            await bench.until(lambda: len(bench.outcomes()) == 2)

    @pytest.mark.network_can("slow")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_slow_answer_is_waited_for(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("slow")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.outcomes())
            assert bench.sent()[0].outcome.ok, bench.sent()[0].outcome.reason
            assert bench.stage.said() == [("ops", "re ping 1")]

    async def _answer_in_three_rooms(self, bench: Bench) -> list[float]:
        """Let something be answered in three rooms at once; return when people saw each answer."""
        moments: list[float] = []
        for who, room in (("Ali", "ops"), ("Bo", "qqops-test"), ("Ali", "")):
            bench.stage.say(who, room, "ping 1")
        while len(moments) < 3:
            n = len(moments)
            await bench.until(lambda n=n: len(bench.stage.said()) > n)  # type: ignore[misc]
            moments += [trio.current_time()] * (len(bench.stage.said()) - n)
        await bench.until(lambda: len(bench.outcomes()) == 3)
        return moments


def _delivered(bench: Bench) -> list[tuple[str, Delivery]]:
    """Return the outcomes, with what was accepted taken for delivered."""
    return [(text, Delivery.DELIVERED if how is Delivery.ACCEPTED else how) for text, how in bench.outcomes()]
