"""Approvals, locks, dry runs and the audit, on a whole bot."""

import re

import attrs
import pytest
import trio

from qqops import AnswerCancelled, AnswerExpired, Approval, Ctx, PersonRef, Plugin, PluginError
from qqops.app import AppPolicy
from qqops.errors import StoreError
from qqops.runtime.approvals import Judges
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.storage.drawers import InMemory
from qqops_essentials import plugin as essentials

#: Alice locks, and everybody reads the audit; who may what is tested elsewhere.
ALL = AppPolicy(
    seed=1,
    access=AccessPolicy(
        roles={"locker": ("memory:test/u-alice",)},
        permissions={"everyone": ("audit.read",), "locker": ("locks.set",)},
    ),
)
SRE = Approval(by="role:sre", count=1, within=300)


def deploys(**more):
    plugin = Plugin("ops")
    plugin.ran = []

    @plugin.command("deploy", effects=True, dry=True, lock="prod", redact=("token",), **more)
    async def deploy(
        ctx: Ctx, service: str, ref: str = "main", *, env: str = "staging", token: str = "", dry: bool = False
    ) -> str:
        plugin.ran.append((ctx.sender.name, service, ref, env, dry))
        return f"exit 0{' dry' if dry else ''}"

    return plugin


def people(bot, room="ops", roles=None):
    roles = roles if roles is not None else {"u-bob": {"sre"}, "u-cy": {"sre"}, "u-alice": {"sre"}}
    bot.app.approvals.judges = Judges(roles_of=lambda ctx: frozenset(roles.get(ctx.sender.id, ())))
    ops = bot.room(room)
    return ops, *(bot.user(name, room=ops) for name in ("alice", "bob", "cy", "dan"))


def entries(bot):
    return [(e["what"], e.get("name"), e.get("command")) for e in bot.app.audit.last(50)]


async def test_prod_needs_a_second_person(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, _, dan = people(bot)
        await alice.say("/deploy “my api” --token s3cret")
        text = await ops.expect("needs 1 approval.* from sre, within 5 min")
        assert 'deploy "my api" main --env staging --token ***' in text
        assert "s3cret" not in text
        await alice.say("/approve")
        await ops.expect("someone else must approve")
        await dan.say("/approve")
        await ops.expect("only sre may")
        assert plugin.ran == []
        await bob.say("/approve")
        await ops.expect("exit 0")
        assert plugin.ran == [("alice", "my api", "main", "staging", False)]
        shown = 'deploy "my api" main --env staging --token ***'
        assert [e[0] for e in entries(bot)] == ["request", "approve", "start", "end"]
        assert {e[2] for e in entries(bot)} == {shown}
        assert bot.app.audit.last(2)[0]["approvals"] == ("bob",)
        await bob.say("/approve")
        await ops.expect("no such request")


async def test_a_request_expires_by_itself(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        await alice.say("/deploy api")
        await bot.advance(301)
        await ops.expect("expired without approval: deploy api main")
        await bob.say("/approve")
        await ops.expect("no such request")
        assert plugin.ran == []


async def test_two_different_people_must_approve(bots):
    plugin = deploys(approval=Approval(by="role:sre", count=2))
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, cy, _ = people(bot)
        await alice.say("/deploy api")
        await bob.say("/approve 1")
        await ops.expect("approved, 1 of 2")
        await bob.say("/approve 1")
        await ops.expect("approved this already")
        await cy.say("/approve #1")
        await ops.expect("exit 0")


async def test_two_accounts_of_one_person_are_one_person(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        roles = bot.app.approvals.judges.roles_of
        bot.app.approvals.judges = Judges(same_person=lambda a, b: True, roles_of=roles)
        await alice.say("/deploy api")
        await bob.say("/approve")
        await ops.expect("someone else")
        assert plugin.ran == []


@pytest.mark.parametrize("broken", ["same_person", "roles_of"])
async def test_an_error_in_a_judgement_means_no(bots, broken):
    def fail(*args):
        raise ZeroDivisionError

    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        more = {"roles_of": lambda ctx: frozenset({"sre"}), broken: fail}
        bot.app.approvals.judges = Judges(**more)
        await alice.say("/deploy api")
        await bob.say("/approve")
        await ops.expect("someone else|only sre")
        assert plugin.ran == []


async def test_who_is_not_known_for_certain_cannot_approve(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        bot.network.users["bob"] = attrs.evolve(bot.network.user("bob"), verified=False)
        await alice.say("/deploy api")
        await bob.say("/approve")
        await ops.expect("cannot approve")
        assert plugin.ran == []


@pytest.mark.parametrize("then", ["name:alice", "20001"])
async def test_who_has_asked_as_a_name_does_not_approve_as_a_number(bots, then):
    """The number was learned in between, or with the next login."""
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, *_ = people(bot, roles={"name:alice": {"sre"}, "20001": {"sre"}})
        named, numbered = (PersonRef(bot.network.account, one) for one in ("name:alice", "20001"))
        guessed = numbered if then == "20001" else named
        known = bot.network.user("alice")
        bot.network.users["alice"] = attrs.evolve(known, ref=named, person=guessed, verified=False)
        await alice.say("/deploy api")
        ref = PersonRef(bot.network.account, then)
        bot.network.users["alice"] = attrs.evolve(known, ref=ref, person=numbered)
        await alice.say("/approve")
        await ops.expect("someone else")
        assert plugin.ran == []


async def test_an_approval_is_for_one_command_with_its_arguments_once(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        await alice.say("/deploy api")
        await bob.say("/approve")
        await ops.expect("exit 0")
        await alice.say("/deploy api")
        await ops.expect("needs 1 approval")
        await alice.say("/deploy api")
        await ops.expect("waiting already")
        await alice.say("/deploy web")
        await ops.expect("deploy web main.*\nneeds")
        await bob.say("/approve")
        await ops.expect("which of them. 2, 3")
        await bob.say("/approvals")
        await ops.expect("2. deploy api.*\n3. deploy web")
        await bob.say("/reject 2")
        await ops.expect("rejected: deploy api")
        await alice.say("/reject")
        await ops.expect("rejected: deploy web")
        assert len(plugin.ran) == 1


async def test_one_person_cannot_flood_the_others_with_requests(bots):
    async with bots.run(deploys(approval=SRE), essentials) as bot:
        ops, alice, bob, *_ = people(bot)
        for number in range(11):
            await alice.say(f"/deploy s{number}")
        await ops.expect("10 of your requests wait already")
        await bob.say("/deploy api")
        await ops.expect("deploy api main.*\nneeds 1")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("“x\ny”", "x\\u000ay main"),
        ("a\u202eb", "a\\u202eb main"),
        ("'\"'", "'\"' main"),
        ('""', '"" main'),
        ("-x", '"-x" main'),
    ],
)
async def test_what_is_shown_is_one_line_and_can_be_typed(bots, typed, shown):
    async with bots.run(deploys(approval=SRE), essentials) as bot:
        ops, alice, *_ = people(bot)
        await alice.say(f"/deploy -- {typed}")
        text = await ops.expect("needs 1")
        assert re.match(f"deploy {re.escape(shown)} --env staging", text), text


async def test_approval_only_when_the_arguments_ask_for_it_and_never_on_an_error(bots):
    plugin = deploys(
        approval=Approval(by="role:sre", when=lambda a: {"prod": True, "staging": False}[a["env"]])
    )
    async with bots.run(plugin, essentials) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api")
        await ops.expect("exit 0")
        await alice.say("/deploy api --env prod")
        await ops.expect("needs 1 approval")
        await alice.say("/deploy api --env dev")
        await ops.expect("it cannot be told whether you may do that")
        assert len(plugin.ran) == 1


async def test_a_request_survives_a_restart(bots):
    plugin, keep = deploys(approval=SRE), InMemory()
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        _, alice, *_ = people(bot)
        await alice.say("/deploy api --env prod")
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        ops, _, bob, *_ = people(bot)
        await bob.say("/approve")
        await ops.expect("exit 0")
        assert plugin.ran == [("alice", "api", "main", "prod", False)]
    assert await keep.all("approval") == {}


async def test_what_was_approved_and_not_begun_runs_after_the_restart(bots):
    plugin, keep = deploys(approval=SRE), InMemory()
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        _, alice, bob, *_ = people(bot)
        bot.app.approvals.rerun = lambda message, handler: False  # as if the process died here
        await alice.say("/deploy api")
        await bob.say("/approve")
        assert plugin.ran == []
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        await bot.room("ops").expect("exit 0")
        assert len(plugin.ran) == 1


async def test_a_keep_that_cannot_be_written_means_no(bots):
    class Full(InMemory):
        async def put(self, kind, key, text):
            raise StoreError("the disk is full")

    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials, drawers=Full(), policy=ALL) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api")
        await ops.expect("cannot be recorded now: the disk is full")
        await alice.say("/lock prod x")
        await ops.expect("the disk is full")
        await alice.say("/locks")
        await ops.expect("nothing is locked")


async def test_a_request_that_could_not_be_written_is_not_there_after_a_restart(bots):
    class Full(InMemory):
        """Says that it cannot, and writes it when there is room again, as the store does."""

        async def put(self, kind, key, text):
            await super().put(kind, key, text)
            raise StoreError("the disk is full")

    plugin, keep = deploys(approval=SRE), Full()
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api")
        await ops.expect("cannot be recorded now")
    assert await keep.all("approval") == {}


async def test_a_request_that_is_cut_off_before_it_is_written_is_none(bots):
    """Nobody has heard its number, and nothing would ever let it expire."""

    class Slow(InMemory):
        async def put(self, kind, key, text):
            self._of(kind).save(key, text)
            await trio.sleep(20)

    plugin, keep = deploys(approval=SRE, timeout=5), Slow()
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api")
        await bot.advance(6)
        await ops.expect("took longer")
        assert bot.app.approvals.open() == []
        assert await keep.all("approval") == {}


# -- in the middle of a run ------------------------------------------------------------------------


def dropping():
    plugin = Plugin("db")

    @plugin.command("drop", timeout=5)
    async def drop(ctx: Ctx, table: str) -> str:
        try:
            who = await ctx.approve(f"drop table {table}", by="user:memory:test/u-bob", within=100)
        except AnswerExpired:
            return "kept: expired"
        except AnswerCancelled as exc:
            return f"kept: {exc}"
        return f"dropped, thanks to {who[0]}"

    return plugin


@pytest.mark.parametrize(
    ("then", "answer"),
    [("/approve", "dropped, thanks to bob"), ("/reject", "kept: rejected"), ("", "kept: expired")],
)
async def test_a_run_waits_for_approval_without_a_slot(bots, then, answer):
    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=1, per_plugin=1))
    async with bots.run(dropping(), essentials, policy=policy) as bot:
        ops, alice, bob, *_ = people(bot)
        await alice.say("/drop users")
        await ops.expect(r"drop table users \(drop users\)\nneeds 1")
        await alice.say("/ping")
        await ops.expect("pong")
        await alice.say("/approve")
        await ops.expect("someone else")
        await bot.advance(50)
        if then:
            await bob.say(then)
        else:
            await bot.advance(51)
        await ops.expect(answer)
        assert not bot.app.approvals.open()


async def test_a_shutdown_ends_the_wait(bots):
    async with bots.run(dropping(), essentials) as bot:
        _, alice, *_ = people(bot)
        await alice.say("/drop users")
        began = trio.current_time()
    assert trio.current_time() - began < 1
    assert "kept: I am being stopped" in bot.transcript[-1]


# -- locks and dry runs ----------------------------------------------------------------------------


async def test_a_lock_keeps_commands_out_and_says_who_and_why(bots):
    plugin, keep = deploys(), InMemory()
    async with bots.run(plugin, essentials, drawers=keep, policy=ALL) as bot:
        ops, alice, bob, *_ = people(bot)
        await alice.say('/lock prod "release freeze"')
        await ops.expect("prod is locked now")
        await bob.say("/deploy api")
        await ops.expect("prod is locked by alice since 2026-01-05 08:00 UTC: release freeze")
        await alice.say("/lock prod mine")
        await ops.expect("locked already, by alice")
        await bob.say("/unlock prod")
        await ops.expect("only they")
        await bob.say("/deploy api --dry")
        await ops.expect("exit 0 dry")
    async with bots.run(plugin, essentials, drawers=keep, policy=ALL) as bot:
        ops, alice, bob, *_ = people(bot)
        await bob.say("/deploy api")
        await ops.expect("locked by alice")
        await alice.say("/unlock prod")
        await ops.expect("open again")
        await bob.say("/deploy api")
        await ops.expect("exit 0$")
        assert [e[0] for e in entries(bot)] == ["refused", "unlock", "start", "end"]


async def test_locks_that_cannot_be_read_count_as_held(bots):
    class Broken(InMemory):
        well = False

        async def all(self, kind):
            if not self.well:
                raise StoreError("it is corrupt")
            return await super().all(kind)

    plugin = deploys()
    keep = Broken()
    async with bots.run(plugin, essentials, drawers=keep) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api")
        await ops.expect("the locks are not known")
        await alice.say("/ping")
        await ops.expect("pong")
        assert plugin.ran == []
        keep.well = True
        await alice.say("/deploy api")
        await ops.expect("exit 0")


async def test_a_dry_run_needs_no_approval_and_is_marked(bots):
    plugin = deploys(approval=SRE)
    async with bots.run(plugin, essentials, policy=ALL) as bot:
        ops, alice, *_ = people(bot)
        await alice.say("/deploy api --dry")
        await ops.expect("exit 0 dry")
        assert [e.get("dry") for e in bot.app.audit.last(2)] == [True, True]
        await alice.say("/audit")
        await ops.expect(r"start alice: deploy api main --env staging --token \*\*\* --dry \(dry\)")


@pytest.mark.parametrize(
    ("more", "message"), [({"dry": True}, "dry: bool = False"), ({"redact": ("nothing",)}, "does not have")]
)
async def test_declarations_that_mean_nothing_are_load_errors(bots, more, message):
    plugin = Plugin("p")

    @plugin.command("x", **more)
    async def x(a: int = 1) -> None: ...

    with pytest.raises(PluginError, match=message) as caught:
        async with bots.run(plugin):
            pass
    assert "test_approvals.py:" in caught.value.where
