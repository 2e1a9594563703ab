"""The gate in a whole bot: what is said, charged, remembered, and never leaked."""

import attrs
import pytest
import trio

from qqops import Ctx, Limit, Message, Next, Plugin, hookimpl
from qqops.app import AppPolicy
from qqops.errors import PluginError, Refuse, StoreError
from qqops.runtime.declared import OPEN
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.runtime.observe import Result
from qqops.runtime.roles import IDENTITY_LASTS
from qqops.runtime.storage.keep import MemoryKeep
from qqops.runtime.verdicts import Stage


def policy(*, allow=(), deny=(), **more):
    return AppPolicy(seed=1, access=AccessPolicy(rules=RulesSettings(allow=allow, deny=deny), **more))


def tools(**guards):
    plugin = Plugin("tools")
    plugin.ran = []

    @plugin.command("use", **guards)
    async def use(ctx: Ctx, env: str = "staging") -> str:
        plugin.ran.append(env)
        return f"used {env}"

    return plugin


async def test_what_nothing_grants_is_refused_and_named(bots):
    plugin = tools(permission="tools.use")
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect("needs the permission tools.use")
        ali = bot.user("ali", room=bot.room("ops"), roles=["owner"])
        await ali.say("/use")
        await ali.expect("used staging")


async def test_arguments_decide_after_conversion(bots):
    plugin = tools(permission="tools.use")
    async with bots.run(plugin, policy=policy(allow=["env=staging"])) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use prod")
        await ali.expect("needs the permission")
        await ali.say("/use staging")
        await ali.expect("used staging")
        await ali.say("/use a b")
        await ali.expect("do not know what to do with")
    assert plugin.ran == ["staging"]


@pytest.mark.parametrize(
    "guards", [{}, {"limit": Limit(running=1)}, {"inline": True}], ids=["plain", "a door", "inline"]
)
async def test_why_names_the_rule_that_allows_by_an_argument(bots, guards):
    """No plugin has a say here; which rule speaks for it is known when the words are converted."""
    plugin = Plugin("tools")

    async def use(env: str) -> str:
        return f"used {env}"

    def use_inline(env: str) -> str:
        return f"used {env}"

    of = use_inline if "inline" in guards else use
    plugin.command("use", permission="tools.use", **guards)(of)
    async with bots.run(plugin, policy=policy(allow=["env=staging"])) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for _ in "ab":
            await ali.say("/use staging")
            await ali.expect("used staging")
        last = bot.app.gate.why.of_id("0002")[0].verdicts
        assert [one.stage for one in last] == [Stage.PERMISSION, Stage.CALL]
        assert "env=staging" in last[0].reason.args["by"]


async def test_one_warning_for_each_window_then_silence(bots):
    async with bots.run(tools(limit=Limit(1, 30))) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect("used")
        await bot.advance(10)
        await ali.say("/use")
        await ali.expect("not more than 1 times in 30 s: again in 20 s")
        await ali.say("/use")
        await ali.room.quiet(1)
        await bot.advance(20)
        await ali.say("/use")
        await ali.expect("used")


@pytest.mark.parametrize(
    ("key", "others"), [("user", 1), ("room", 0), ("account", 0), ("global", 0)], ids=lambda v: str(v)
)
async def test_whose_uses_are_counted(bots, key, others):
    plugin = tools(limit=Limit(1, 30, key=key))
    async with bots.run(plugin) as bot:
        for name in ("ali", "bo"):
            await bot.user(name, room=bot.room("ops")).say("/use")
    assert len(plugin.ran) == 1 + others


async def test_a_wrong_line_costs_no_use(bots):
    async with bots.run(tools(limit=Limit(1, 30))) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use a b c")
        await ali.expect("do not know")
        await ali.say("/use")
        await ali.expect("used")


@pytest.mark.parametrize("end", ["return", "raise", "refuse", "exit", "deadline", "reload"])
async def test_a_run_is_given_back_however_it_ends(bots, end):
    plugin = Plugin("tools")

    @plugin.command("use", limit=Limit(running=1, key="global"), timeout=5)
    async def use(ctx: Ctx) -> str:
        await trio.sleep(1)
        if end == "raise":
            raise ValueError
        if end == "refuse":
            raise Refuse("no")
        if end == "exit":
            raise SystemExit
        if end == "deadline":
            await trio.sleep_forever()
        return "used"

    async with bots.run(plugin) as bot:
        gate = bot.app.gate
        ali, bo = (bot.user(name, room=bot.room("ops")) for name in ("ali", "bo"))
        await ali.say("/use")
        assert gate.inside == 1
        await bo.say("/use")
        await bo.expect("running already")
        if end == "reload":
            bot.app.registry.drop("tools")
            bot.app.refresh()
        await bot.advance(10)
        assert gate.inside == 0
        assert gate.limits._running == {}
        bot.failures.clear()


async def test_a_run_that_is_cut_by_the_end_of_the_bot_is_given_back(bots):
    plugin = Plugin("tools")

    @plugin.command("use", limit=Limit(running=1))
    async def use(ctx: Ctx) -> None:
        await trio.sleep(50)

    async with bots.run(plugin) as bot:
        await bot.user("ali", room=bot.room("ops")).say("/use")
    assert bot.app.gate.inside == 0
    assert bot.app.gate.limits._running == {}


class Waiting:
    """A stage that waits, lets through, and notes the end."""

    stage = Stage.APPROVAL

    def __init__(self, answer=None):
        self.answer = answer
        self.ends = []

    def concerns(self, handler):
        return handler.plugin == "tools"

    async def before(self, ctx, hit):
        await trio.sleep(3)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def after(self, ctx, hit, result):
        self.ends.append(result)


@pytest.mark.parametrize(
    ("answer", "said", "end"),
    [
        ("not today", "not today", Result.REFUSED),
        (Refuse("not now"), "not now", Result.REFUSED),
        (ValueError("oops"), "cannot be told", Result.FAILED),
    ],
    ids=["answer", "refuse", "error"],
)
async def test_a_stage_that_says_no_undoes_what_went_before(bots, answer, said, end):
    plugin = tools(limit=Limit(running=1))
    async with bots.run(plugin) as bot:
        first, second = Waiting(), Waiting(answer)
        bot.app.gate.add_doors(first, second)
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect(said)
        assert (first.ends, second.ends) == ([end], [])
        assert bot.app.gate.limits._running == {}
    assert plugin.ran == []


async def test_a_stage_that_is_cut_off_keeps_nothing(bots):
    plugin = tools(limit=Limit(running=1), timeout=4)
    async with bots.run(plugin) as bot:
        first, second = Waiting(), Waiting()
        bot.app.gate.add_doors(first, second)
        await bot.user("ali", room=bot.room("ops")).say("/use")
        await bot.advance(5)
        assert first.ends == [Result.CANCELLED]
        assert bot.app.gate.limits._running == {}
        assert isinstance(bot.failures.pop().error, TimeoutError)


@pytest.mark.parametrize("guards", [{}, {"permission": "tools.use"}, {"limit": Limit(5, 5)}], ids=str)
async def test_what_is_forbidden_while_something_waits_does_not_run(bots, guards):
    """A filter or an approval may wait for minutes; who lost the permission meanwhile has lost it."""
    plugin = tools(**guards)

    @plugin.filter()
    async def slow(ctx: Ctx, call: Next) -> None:
        await trio.sleep(5)
        await call()

    async with bots.run(plugin, policy=policy(allow=["permission=*"])) as bot:
        bot.app.gate.add_doors(Waiting())
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await bot.advance(6 if "limit" in guards else 1)
        bot.app.gate.switches.turn(str(ali.room.room.ref), "tools", on=False)
        bot.app.gate.refresh()
        await ali.expect("use is switched off here")
        assert bot.app.gate.inside == 0
    assert plugin.ran == []


async def test_listeners_are_silent_when_they_are_refused(bots):
    plugin = Plugin("tools")

    @plugin.on(Message, permission="tools.hear", limit=Limit(1, 10))
    async def hear(ctx: Ctx) -> str:
        return "heard"

    async with bots.run(plugin, policy=policy(allow=["role=room.admin permission=tools.*"])) as bot:
        ops = bot.room("ops")
        await bot.user("ali", room=ops).say("hello")
        await ops.quiet()
        await bot.user("bo", room=ops, roles=["room.admin"]).say("hello")
        await ops.expect("heard")
        await bot.user("bo", room=ops).say("hello")
        await ops.quiet()


async def test_handlers_ask_for_themselves(bots):
    plugin = Plugin("tools")

    @plugin.command("ask")
    async def ask(ctx: Ctx, permission: str) -> str:
        return f"{ctx.may(permission)} {sorted(ctx.roles)}"

    rules = {
        "allow": ["role=sre permission=deploy.*", "role=sre permission=x env=prod"],
        "deny": ["permission=deploy.db"],
    }
    async with bots.run(plugin, policy=policy(**rules)) as bot:
        ops = bot.room("ops")
        for name, permission, answer in (
            ("ali", "deploy.run", r"True \['everyone', 'sre'\]"),
            ("ali", "deploy.db", "False"),
            ("ali", "x", "False"),
            ("bo", "deploy.run", r"False \['everyone'\]"),
        ):
            user = bot.user(name, room=ops, roles=["sre"] if name == "ali" else [])
            await user.say(f"/ask {permission}")
            await user.expect(answer)


class Opinions:
    """A plugin that knows people and has opinions."""

    def __init__(self, answer=None, roles=(), error=False):
        self.answer, self.roles, self.error, self.requests = answer, roles, error, []

    @hookimpl
    def qqops_identity(self, user):
        if self.error == "identity":
            raise RuntimeError("the directory is down")
        return self.roles

    @hookimpl
    def qqops_permission(self, request):
        self.requests.append(request)
        if self.error == "permission":
            raise RuntimeError("no idea")
        return self.answer


@pytest.mark.parametrize(
    ("opinions", "deny", "answer"),
    [
        (Opinions(), [], "needs the permission"),
        (Opinions(True), [], "used"),
        (Opinions(True), ["role=everyone"], "may not do that here"),
        (Opinions(True), ["env=staging"], "may not do that here"),
        (Opinions(roles=["sre"]), [], "used"),
        (Opinions(False, roles=["sre"]), [], "may not do that here"),
        (Opinions("yes"), [], "cannot be told"),
        (Opinions(True, error="permission"), [], "cannot be told"),
        (Opinions(True, error="identity"), [], "cannot be told"),
        (Opinions(True, roles=["owner"]), [], "cannot be told"),
    ],
)
async def test_plugins_know_people_and_have_a_say(bots, opinions, deny, answer):
    from qqops.plugin.host import Candidate

    plugin = tools(permission="tools.use")
    async with bots.run(plugin, policy=policy(allow=["role=sre permission=*"], deny=deny)) as bot:
        bot.app.host.load(Candidate(name="opinions", load=lambda: opinions_module(opinions)))
        bot.app.refresh()
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect(answer)
    assert all(dict(one.arguments)["env"] == "staging" for one in opinions.requests)


@pytest.mark.parametrize("answers", [(True, False), (False, True), (None, False)])
async def test_one_plugins_no_outweighs_the_others_yes(bots, answers):
    from qqops.plugin.host import Candidate

    async with bots.run(tools(permission="tools.use")) as bot:
        for i, answer in enumerate(answers):
            made = opinions_module(Opinions(answer))
            bot.app.host.load(Candidate(name=f"opinions{i}", load=lambda made=made: made))
        bot.app.refresh()
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect("may not do that here")


async def test_inline_handlers_on_the_spot_are_behind_the_gate_as_well(bots):
    plugin = Plugin("tools")
    ran = []

    @plugin.command("use", inline=True)
    def use(env: str) -> None:
        ran.append(env)

    async with bots.run(plugin, policy=policy(deny=["env=prod"])) as bot:
        for line in ("/use prod", "/use staging", "/use a b"):
            message = bot.network.say("ali", bot.room("ops").room, line)
            bot.network._waiting.clear()
            bot.app.dispatcher.route(message)
        assert ran == ["staging"], "at once, and only what is allowed"
        await bot.room("ops").expect("may not do that here")


async def test_plugins_are_asked_once_with_the_arguments(bots):
    from qqops.plugin.host import Candidate

    for guards in ({}, {"permission": "tools.use"}):
        opinions = Opinions(True)
        async with bots.run(tools(**guards)) as bot:
            bot.app.host.load(Candidate(name="opinions", load=lambda made=opinions: opinions_module(made)))
            bot.app.refresh()
            ali = bot.user("ali", room=bot.room("ops"))
            await ali.say("/use prod")
            await ali.expect("used prod")
        (request,) = opinions.requests
        assert (request.command, request.arguments["env"]) == ("use", "prod")


async def test_what_nothing_guards_is_open_itself(bots):
    plugin = tools()
    async with bots.run(plugin) as bot:
        assert bot.app.registry.commands[0].handler.guards is OPEN


def opinions_module(opinions):
    plugin = Plugin("opinions")
    plugin.qqops_identity = opinions.qqops_identity
    plugin.qqops_permission = opinions.qqops_permission
    return plugin


async def test_who_is_somebody_else_for_a_plugin_by_the_time_a_filter_goes_on_does_not_run(bots):
    plugin, opinions, directory = (
        tools(permission="tools.use", timeout=300), Opinions(roles=["sre"]), Plugin("directory"),
    )  # fmt: skip
    directory.qqops_identity = opinions.qqops_identity

    @plugin.filter()
    async def slow(ctx: Ctx, call: Next) -> None:
        await trio.sleep(IDENTITY_LASTS + 1)
        await call()

    async with bots.run(plugin, directory, policy=policy(allow=["role=sre permission=*"])) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        opinions.roles = []
        await bot.advance(IDENTITY_LASTS + 2)
        await ali.expect("you may not do that")
    assert plugin.ran == []


async def test_a_hook_that_waits_is_refused_at_load(bots):
    plugin = Plugin("waits")

    async def qqops_permission(request):
        return True

    plugin.qqops_permission = hookimpl(qqops_permission)
    with pytest.raises(PluginError, match="must be a plain function"):
        async with bots.run(plugin):
            pass


async def test_an_error_in_a_rule_means_no(bots, monkeypatch):
    plugin = tools()
    async with bots.run(plugin, policy=policy(deny=["role=nobody"])) as bot:
        # Only now: the bot itself must come up.
        monkeypatch.setattr("qqops.runtime.rules._fits", None)
        ali = bot.user("ali", room=bot.room("ops"))
        bot.app.gate.fixed = [attrs.evolve(bot.app.gate.fixed[0], role="everyone")]
        bot.app.gate.refresh()
        await ali.say("/use")
        await ali.expect("cannot be told")
    assert plugin.ran == []


class FailingKeep(MemoryKeep):
    """A store that cannot be read for a while."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    def load(self):
        if self.failures:
            self.failures -= 1
            raise StoreError("disk")
        return super().load()


async def test_nobody_gets_in_before_the_rules_are_known(bots):
    plugin = tools()
    async with bots.run(plugin) as bot:
        bot.app.gate.loaded = False
        bot.app.gate.refresh()
        bot.app.access._keep = FailingKeep(2)
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/use")
        await ali.expect("not ready yet")
        await bot.app.access.load()
        await ali.say("/use")
        await ali.expect("used")


@pytest.mark.parametrize("key", ["rule/r1", "role/sre/memory:test/u-ali", "switch/memory:test/group:g-ops"])
async def test_what_cannot_be_read_lets_only_owners_in(bots, key):
    plugin = tools()
    async with bots.run(plugin) as bot:
        bot.app.access._keep.save(key, 7)
        await bot.app.access.load()
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("/use")
        await ali.expect("not ready yet")
        bo = bot.user("bo", room=ops, roles=["owner"])
        await bo.say("/use")
        await bo.expect("used")


async def test_reasons_are_bounded_and_chatter_leaves_none(bots):
    from qqops.runtime.why import LAST

    plugin = tools()
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("just talking")
        assert bot.app.gate.why._rows == {}
        for _ in range(LAST + 5):
            await ali.say("/nothing")
        (rows,) = bot.app.gate.why._rows.values()
        assert len(rows) == LAST


async def test_a_bot_without_an_owner_says_how_to_become_one(bots):
    from structlog.testing import capture_logs

    with capture_logs() as logs:
        async with bots.run(tools(), policy=AppPolicy(seed=1, claim_owner=True)):
            pass
        async with bots.run(
            tools(), policy=AppPolicy(claim_owner=True, access=AccessPolicy(owners=["n:a/1"]))
        ):
            pass
    (said,) = [line["command"] for line in logs if "no owner" in line["event"]]
    assert said.startswith("/owner ")
