"""What comes in: which, when, where, by whom, and in what order."""

from __future__ import annotations

import pytest
import trio

from qqops.model import Message, RoomKind
from qqops.runtime.dispatch_policy import DispatchPolicy
from qqops.runtime.observe import BadData
from qqops.testing.contract.ground import Ground
from qqops.testing.virtual import EPOCH, run_virtual

#: Messages that may be with a bot which has no room: what waits in it, what it handles, and one read more.
BACKLOG, RUNNING, ONE_READ = 4, 1, 1


class Events(Ground):
    """Tests of what comes in."""

    @pytest.mark.trio(run=run_virtual)
    async def test_one_persons_messages_are_handled_in_order_and_each_once(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for n in range(30):
                bench.stage.say("Ali", "ops", f"ping {n}")
            await bench.until(lambda: len(bench.outcomes()) == 30, 600)
            assert bench.handled == [f"ping {n}" for n in range(30)]

    @pytest.mark.trio(run=run_virtual)
    async def test_no_two_messages_have_the_same_id(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for _ in range(3):
                bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: len(bench.witness.messages("ping 1")) == 3)
            ids = [message.id for message in bench.witness.messages("ping 1")]
            assert all(ids)
            assert len(set(ids)) == 3

    @pytest.mark.trio(run=run_virtual)
    async def test_events_have_an_aware_time_that_is_about_now(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            message = await bench.hear("Ali", "ops", "ping 1")
            assert message.at.tzinfo is not None
            assert abs((message.at - EPOCH).total_seconds()) < 3600

    @pytest.mark.trio(run=run_virtual)
    async def test_events_are_of_the_account_that_heard_them(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for room in ("ops", ""):
                message = await bench.hear("Ali", room, f"ping {len(room)}")
                assert message.account == bench.stage.adapter.account
                assert message.sender.ref.account == bench.stage.adapter.account

    @pytest.mark.trio(run=run_virtual)
    async def test_the_private_room_is_the_senders(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            message = await bench.hear("Ali", "", "ping 1")
            assert message.room.ref.kind is RoomKind.PRIVATE
            assert message.room.ref.id == message.sender.ref.id
            assert message.at_me

    @pytest.mark.trio(run=run_virtual)
    async def test_refs_of_people_and_rooms_do_not_change_within_a_session(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            refs: dict[tuple[str, str], set[object]] = {}
            for n in range(3):
                for who, room in (("Ali", "ops"), ("Bo", "ops"), ("Ali", "qqops-test"), ("Ali", "")):
                    message = await bench.hear(who, room, f"ping {n}")
                    refs.setdefault((who, room), set()).add((message.sender.ref, message.room.ref))
                await trio.sleep(400)  # lists are fetched again meanwhile
            assert {place: len(found) for place, found in refs.items() if len(found) != 1} == {}
            assert len(set.union(*refs.values())) == 4
            assert len([seen for seen in bench.witness.sessions if seen.online]) == 1

    @pytest.mark.network_can("lists")
    @pytest.mark.trio(run=run_virtual)
    async def test_the_adapter_knows_rooms_and_members(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "members")
            await bench.until(lambda: bench.outcomes())
            assert {"Ali", "Bo"} <= set(bench.stage.said()[-1][1].split(","))
            assert {"ops", "qqops-test"} <= {room.name for room in bench.stage.adapter.rooms()}

    @pytest.mark.network_can("lists")
    @pytest.mark.trio(run=run_virtual)
    async def test_rooms_and_members_have_the_refs_that_events_have(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            message = await bench.hear("Ali", "ops", "ping 1")
            assert message.room.ref in {room.ref for room in bench.stage.adapter.rooms()}
            members = await bench.stage.adapter.members(message.room.ref)
            assert message.sender.ref in {user.ref for user in members}

    @pytest.mark.network_can("echoes")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_our_own_account_says_sets_nothing_off(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: "ping 2" in bench.handled)
            assert bench.handled == ["ping 2"]

    @pytest.mark.network_can("duplicate")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_duplicate_is_handled_once(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("duplicate")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) >= 2)
            await trio.sleep(5)
            assert bench.handled == ["ping 1", "ping 2"]

    @pytest.mark.network_can("duplicate")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_message_that_is_delivered_again_has_the_same_id(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("duplicate")
            await bench.hear("Ali", "ops", "ping 1")
            await bench.hear("Ali", "ops", "ping 2")
            await trio.sleep(5)
            assert len({message.id for message in bench.witness.messages("ping 1")}) == 1

    @pytest.mark.network_can("keeps")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_is_said_while_nobody_is_connected_is_not_lost_where_it_is_kept(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.drop()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.handled, bench.stage.patience + 60)
            assert bench.handled == ["ping 1"]

    @pytest.mark.network_can("garbage")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_cannot_be_read_is_told(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("garbage")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: any(isinstance(r, BadData) for r in bench.records))

    @pytest.mark.network_can("garbage")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_cannot_be_read_costs_nothing_else(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            states = bench.states()
            bench.stage.trouble("garbage")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: ("ops", "re ping 1") in bench.stage.said())
            assert bench.states() == states, "it cost the session"

    @pytest.mark.trio(run=run_virtual)
    async def test_nothing_more_is_read_while_the_bot_has_no_room(self) -> None:
        async with self.bench(DispatchPolicy(slots=RUNNING, per_plugin=RUNNING, backlog=BACKLOG)) as bench:
            await bench.online()
            bench.gate = trio.Event()
            for n in range(40):
                bench.stage.say("Ali", "ops", f"ping {n}")
                await trio.sleep(1)
            handed_over = [e for e in bench.witness.sessions[-1].events if isinstance(e, Message)]
            assert len(handed_over) <= BACKLOG + RUNNING + ONE_READ
            bench.gate.set()
            await bench.until(lambda: len(bench.handled) == 40)

    @pytest.mark.trio(run=run_virtual)
    async def test_a_bot_without_room_is_no_dead_connection(self) -> None:
        async with self.bench(DispatchPolicy(slots=RUNNING, per_plugin=RUNNING, backlog=BACKLOG)) as bench:
            await bench.online()
            states = bench.states()
            bench.gate = trio.Event()
            for n in range(10):
                bench.stage.say("Ali", "ops", f"ping {n}")
            await trio.sleep(50)  # a handler has 60
            bench.gate.set()
            await bench.until(lambda: len(bench.handled) == 10)
            assert bench.states() == states
