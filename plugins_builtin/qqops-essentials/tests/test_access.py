"""Roles, rules, switches and reasons, as people use them in the chat."""

import pytest

from qqops import At, Ctx, Message, MessageRef, Plugin, Text
from qqops.app import AppPolicy
from qqops.runtime.access import Access
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.observe import Handled
from qqops_essentials import plugin

OWNER = "memory:test/u-boss"


def owned(**more):
    return AppPolicy(seed=1, access=AccessPolicy(owners=(OWNER,)), **more)


def deploy_plugin():
    made = Plugin("ops")

    @made.command("deploy", aliases=("部署",), permission="deploy.run")
    async def deploy(ctx: Ctx, env: str = "staging") -> str:
        return f"deployed {env}"

    @made.on(Message, keyword="hm")
    async def hm(ctx: Ctx) -> str:
        return "heard hm"

    @made.job(every=60)
    async def nightly(ctx: Ctx) -> None: ...

    return made


async def talk(user, *exchange):
    """Say the lines; after each comes what is expected."""
    for line, answer in zip(exchange[::2], exchange[1::2], strict=True):
        await user.say(line)
        await user.expect(answer)


async def test_nobody_changes_anything_without_permission(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        eve = bot.user("eve", room=bot.room("ops"))
        await talk(
            eve,
            "/role grant owner me", "needs the permission access.roles",
            "/rule add allow permission=*", "needs the permission access.rules",
            "/plugin list", "needs the permission access.switches",
            "/command off ping", "needs the permission access.switches",
        )  # fmt: skip


async def test_roles_are_given_and_taken(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        ops = bot.room("ops")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(
            boss, "/rule add allow role=sre permission=deploy.*", "r1: allow role=sre permission=deploy"
        )
        await talk(ali, "/deploy", "needs the permission deploy.run")
        await talk(boss, "/role grant sre u-ali", "memory:test/u-ali has the role sre now")
        await talk(boss, "/role grant sre memory:test/u-ali", "already")
        await talk(ali, "/deploy", "deployed staging", "/部署 prod", "deployed prod")
        await talk(
            boss, "/role list", "owner: memory:test/u-boss\nsre: memory:test/u-ali\nyou: everyone, owner"
        )
        await talk(boss, "/role revoke sre u-ali", "does not have")
        await talk(ali, "/deploy", "needs the permission deploy.run")
        await talk(boss, "/role revoke sre u-ali", "was not given")
        await talk(boss, "/role revoke owner me", "by the settings")
        await talk(boss, "/role grant room.admin me", "is not given to people")
        await talk(
            boss, "/rule history", r"role sre memory:test/u-ali: granted → -\n.*: - → granted\n.*rule r1"
        )


async def test_a_mention_names_a_person_and_a_mere_name_does_not(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        ops = bot.room("ops")
        boss = bot.user("boss", room=ops)
        ali = bot.network.user("ali")
        await talk(boss, "/role grant sre @ali", "I do not know who '@ali' is")
        bot.network.say("boss", ops.room, [Text("/role grant sre "), At(ali.ref, "ali")])
        await boss.expect("memory:test/u-ali has the role sre now")


async def test_only_owners_make_owners(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        ops = bot.room("ops")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(boss, "/rule add allow user=u-ali permission=access.*", "from now on")
        await talk(
            ali,
            "/role grant owner me", "only an owner makes",
            "/rule add deny user=u-boss command=rule", "only an owner may deny",
            "/rule add deny role=everyone", "only an owner may deny",
            "/rule add deny room=here", "only an owner may deny",
            "/rule add deny user=u-eve", "from now on: r2: deny user=memory:test/u-eve",
        )  # fmt: skip
        await talk(
            boss, "/role grant owner u-ali", "has the role owner", "/role revoke owner u-ali", "not have"
        )


async def test_a_rule_that_would_lock_out_its_author_is_refused(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss", room=bot.room("ops"))
        for rule in ("user=me", "permission=*", 'role=owner "command=rule remove"', "plugin=essentials"):
            await talk(boss, f"/rule add deny {rule}", "could not remove it again")
        await talk(boss, "/rule list", "there are no rules")


async def test_rules_about_what_there_is_not_are_refused(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        boss = bot.user("boss", room=bot.room("ops"))
        await talk(
            boss,
            "/rule add deny command=deplyo", "no command 'deplyo'",
            "/rule add deny command=部署", "another name of 'deploy'",
            "/rule add deny plugin=opps", "no plugin",
            "/rule add maybe role=x", "allow or deny",
            "/rule add deny", "must say",
            "/rule add deny room=nowhere", "not an address",
            "/rule remove r9", "no rule 'r9'",
        )  # fmt: skip


async def test_rules_decide_by_arguments_and_can_be_removed(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        boss = bot.user("boss", room=bot.room("ops"))
        await talk(
            boss,
            "/rule add deny command=deploy env=prod room=here", "deny room=memory:test/group:g-ops command=deploy env=prod",
            "/deploy prod", "may not do that here",
            "/why", "“/deploy prod”\nops:deploy #.*: refused – the rule r1: deny room=.* env=prod",
            "/deploy", "deployed staging",
            "/rule remove r1", "the rule r1 is gone",
            "/deploy prod", "deployed prod",
            "/rule add deny command=deploy env=x", "r2: ",
        )  # fmt: skip


async def test_switches_by_room(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(boss, "/plugin off ops", "ops is off here", "/plugin list", "essentials: on\nops: off")
        await ali.say("hm")
        await ops.quiet(1)
        await talk(boss, "/deploy", "deploy is switched off here", "/why", "the switch: deploy is off")
        await bot.user("boss", room=lab).say("hm")
        await lab.expect("heard hm")
        await talk(boss, "/plugin on ops", "is on here", "/command off 部署", "is off here")
        await talk(boss, "/deploy", "switched off", "/plugin list", "ops: on\nops:deploy: off")
        await talk(boss, "/command on deploy", "is on here", "/deploy", "deployed")
        await talk(boss, "/plugin off nothing", "no plugin", "/command off nothing", "no command 'nothing'")


async def test_the_way_back_is_never_switched_off(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss", room=bot.room("ops"))
        await talk(
            boss,
            "/plugin off essentials", "switch it on again",
            "/command off plugin on", "needed to switch",
            "/command off rule remove", "needed to switch",
            "/command off ping", "is off here",
        )  # fmt: skip


async def test_what_was_changed_in_the_chat_outlives_the_bot(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        boss = bot.user("boss", room=bot.room("ops"))
        await talk(
            boss,
            "/role grant sre u-ali", "has the role",
            "/rule add allow role=sre permission=deploy.*", "r1",
            "/rule add deny env=prod", "r2",
            "/rule remove r2", "gone",
            "/command off ping", "off",
        )  # fmt: skip
        kept = bot.app.access._keep
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        bot.app.access._keep = kept
        await bot.app.access.load()
        ops = bot.room("ops")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(ali, "/deploy prod", "deployed prod", "/ping", "ping is switched off here")
        await talk(
            boss,
            "/rule list",
            "^r1: allow role=sre permission=deploy",
            "/rule history",
            "switch .*ping: on → off",
        )
        await talk(boss, "/rule add deny env=prod", "r3: deny env=prod")


async def test_why(bots):
    made = deploy_plugin()

    @made.filter()
    async def closed(ctx, call) -> None:
        if ctx.room.name != "lab":
            await call()

    async with bots.run(plugin, made, policy=owned()) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        await talk(ali, "/why", "I remember no decision")
        await ali.say("/deplyo now")
        await talk(ali, "/why", "“/deplyo now”\nnothing matched: the word 'deplyo' is not a command")
        await talk(
            ali, "/deploy", "needs", "/why", "refused – no rule allows deploy.run\nswitch ✓ → permission ✗$"
        )
        await talk(
            ali, "/ping", "pong", "/why",
            r"essentials:ping #(\w+): it ran\n"
            r"switch ✓ → permission ✓ → filters ✓ \(ops:closed\) → arguments ✓ → limits ✓ → lock ✓ → approval ✓"
            " → audit ✓ → call ✓$",
        )  # fmt: skip
        (pinged,) = [one.id for one in bot.records if isinstance(one, Handled) and one.handler == "ping"]
        await talk(ali, f"/why #{pinged}", f"essentials:ping #{pinged}: it ran")
        message = bot.network.say("ali", ops.room, "/deploy")
        await ali.expect("needs")
        await ask_about(bot, "bo", ops, message.ref)
        await bo.expect("permission access.why")
        await ask_about(bot, "boss", ops, message.ref)
        await bo.expect("no rule allows deploy.run")
        await bot.user("ali", room=lab).say("/ping")
        lab_row = bot.app.gate.why.of_person(lab.room.ref, bot.network.user("ali").ref)
        assert [one.reason.args["name"] for one in lab_row] == ["ops:closed"]


async def ask_about(bot, name, room, ref: MessageRef):
    """Let *name* quote a message and ask why."""
    import attrs

    asked = bot.network.say(name, room.room, "/why")
    bot.network._waiting.pop()
    bot.network._waiting.append(attrs.evolve(asked, reply_to=ref))
    await bot.settle()


async def test_why_of_jobs_is_for_those_who_may(bots):
    async with bots.run(plugin, deploy_plugin(), policy=owned()) as bot:
        ops = bot.room("ops")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(boss, "/rule add deny role=system plugin=ops", "from now on")
        await bot.advance(61)
        await talk(boss, "/why nightly", "ops:nightly #.*: refused – the rule r1")
        await talk(ali, "/why nightly", "permission access.why")


async def test_the_first_owner_types_the_code_of_the_log(bots):
    async with bots.run(plugin) as bot:
        access: Access = bot.app.access
        code = access.offer_ownership()
        ali = bot.user("ali")
        await talk(ali, "/owner WRONG", "^no: ", f"/owner {code}", "welcome, ali", "/rule list", "no rules")
        await talk(bot.user("eve"), f"/owner {code}", "^no: ")
        assert access.offer_ownership() == ""


@pytest.mark.parametrize("verified", [True, False])
async def test_a_code_that_others_can_read_is_void(bots, verified):
    import attrs

    async with bots.run(plugin) as bot:
        code = bot.app.access.offer_ownership()
        if verified:
            await talk(bot.user("ali", room=bot.room("ops")), f"/owner {code}", "^no: ")
        else:
            bot.network.users["ali"] = attrs.evolve(bot.network.user("ali"), verified=False)
            await talk(bot.user("ali"), f"/owner {code}", "^no: ")
        await talk(bot.user("bo"), f"/owner {code}", "^no: ")


async def test_in_chinese(bots):
    from qqops.runtime.rooms import RoomSettings

    async with bots.run(plugin, deploy_plugin(), policy=owned(rooms=RoomSettings(default="zh"))) as bot:
        ops = bot.room("ops")
        boss, ali = bot.user("boss", room=ops), bot.user("ali", room=ops)
        await talk(boss, "/role grant sre u-ali", "现在拥有角色 sre")
        await talk(ali, "/deploy", "需要权限 deploy.run", "/为什么", "被拒绝 – 没有规则允许")
