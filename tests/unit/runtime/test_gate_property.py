"""No path reaches a handler that the gate refuses, and what it allows runs: against a simple oracle of its own."""

import enum

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from qqops import Ctx, Limit, Message, Next, Plugin, Poked
from qqops.app import AppPolicy
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.testing.bots import Bots
from qqops.testing.virtual import run_virtual

PEOPLE = {"ali": True, "bo": True, "eve": False}
ROOMS = {"ops": True, "lab": True, "fake": False, "": True}


class Env(enum.Enum):
    PROD = "prod"
    STAGING = "staging"


#: Handler → permission. All belong to the plugin "one" but "two:b".
NEEDS = {
    "a": "p.a",
    "b": "",
    "c": "q.c",
    "d": "p.d",
    "flag set": "p.flag",
    "quiet": "",
    "loud": "p.l",
    "tick": "",
    "poked": "q.p",
}
OWNERS = {name: "two" if name == "b" else "one" for name in NEEDS}


def plugins(ran, with_filter):
    one, two = Plugin("one"), Plugin("two")

    def note(ctx, name, **arguments):
        who = ctx.event.sender.name if ctx.event is not None else ""
        ran.append((name, who, arguments))

    @one.command("a", aliases=("阿",), permission="p.a")
    async def a(ctx: Ctx, env: Env = Env.STAGING, *, n: int = 1, dry: bool = False) -> None:
        note(ctx, "a", env=env.value, n=str(n), dry=str(dry).lower())

    @two.command("b", inline=True)
    def b(ctx: Ctx, env: Env = Env.STAGING) -> None:
        note(ctx, "b", env=env.value)

    @one.command("c", permission="q.c")
    def c(ctx: Ctx) -> None:  # in a thread
        note(ctx, "c")

    @one.command("d", permission="p.d", inline=True, limit=Limit(1000, 10, running=5))
    def d(ctx: Ctx, env: Env = Env.STAGING) -> None:
        note(ctx, "d", env=env.value)

    @one.group("flag").command("set", permission="p.flag")
    async def flag(ctx: Ctx, n: int) -> None:
        note(ctx, "flag set", n=str(n))

    @one.on(Message, keyword="hm", inline=True)
    def quiet(ctx: Ctx) -> None:
        note(ctx, "quiet")

    @one.on(Message, regex=r"(?P<env>prod|staging)", permission="p.l")
    async def loud(ctx: Ctx, env: str) -> None:
        note(ctx, "loud", env=env)

    @one.job(every=5)
    async def tick(ctx: Ctx) -> None:
        note(ctx, "tick")

    @one.on(Poked, permission="q.p")
    async def poked(ctx: Ctx) -> None:
        note(ctx, "poked")

    if with_filter:

        @two.filter()
        async def passes(ctx: Ctx, call: Next) -> None:
            await call()

    return one, two


#: What is said, and which handlers want it with which arguments.
LINES = {
    "/a": {"a": {"env": "staging", "n": "1", "dry": "false"}},
    "/阿 prod --n 3 --dry": {"a": {"env": "prod", "n": "3", "dry": "true"}, "loud": {"env": "prod"}},
    "/A PROD": {"a": {"env": "prod", "n": "1", "dry": "false"}},
    "/b": {"b": {"env": "staging"}},
    "／b prod": {"b": {"env": "prod"}, "loud": {"env": "prod"}},
    "/c": {"c": {}},
    "/d staging": {"d": {"env": "staging"}, "loud": {"env": "staging"}},
    "/flag set 3": {"flag set": {"n": "3"}},
    "hm, prod": {"quiet": {}, "loud": {"env": "prod"}},
    "nothing": {},
    "poke": {"poked": {}},
}


def address(name):
    return f"memory:test/u-{name}"


def place(room, person):
    return f"memory:test/group:g-{room}" if room else f"memory:test/private:u-{person}"


SCOPES = {
    "network": st.sampled_from(["memory", "other"]),
    "account": st.sampled_from(["test", "memory:test", "memory:other"]),
    "room": st.sampled_from([*(place(r, "") for r in ROOMS if r), place("", "ali")]),
    "user": st.sampled_from([address(p) for p in PEOPLE]),
    "role": st.sampled_from(["dev", "sre", "everyone", "room.admin", "owner", "system"]),
    "plugin": st.sampled_from(["one", "two"]),
    "command": st.sampled_from(["a", "b", "c", "d", "flag", "tick", "one:a", "two:a", "loud", "poked"]),
    "permission": st.sampled_from(["*", "p.*", "p.a", "q.c", "q.*", "p.flag", "p"]),
    "env": st.sampled_from(["prod", "staging"]),
    "n": st.sampled_from(["1", "3"]),
    "dry": st.sampled_from(["true", "false"]),
}
RULES = st.lists(
    st.sampled_from(sorted(SCOPES)).flatmap(
        lambda first: st.fixed_dictionaries(
            {first: SCOPES[first]}, optional={k: v for k, v in SCOPES.items() if k != first and k in OFTEN}
        )
    ),
    max_size=5,
)
OFTEN = {"role", "permission", "command", "env"}


@attrs.frozen
class World:
    allow: list[dict[str, str]]
    deny: list[dict[str, str]]
    roles: dict[str, list[str]]
    admins: frozenset[str]
    off: dict[str, list[str]]
    with_filter: bool
    said: list[tuple[str, str, str]]


WORLDS = st.builds(
    World,
    allow=RULES,
    deny=RULES,
    roles=st.dictionaries(
        st.sampled_from(["dev", "sre", "owner"]),
        st.lists(st.sampled_from(list(PEOPLE)), unique=True),
        max_size=2,
    ),
    admins=st.frozensets(st.sampled_from(list(PEOPLE))),
    off=st.dictionaries(
        st.sampled_from(list(ROOMS)),
        st.lists(st.sampled_from(["one", "two", "one:a", "two:b", "one:loud", "one:poked"]), unique=True),
        max_size=2,
    ),
    with_filter=st.booleans(),
    said=st.lists(
        st.tuples(st.sampled_from(list(PEOPLE)), st.sampled_from(list(ROOMS)), st.sampled_from(list(LINES))),
        min_size=1,
        max_size=6,
    ),
)


# -- the oracle: as plain as it can be, and knowing nothing of the gate ------------------------------


def may(world, person, room, name, arguments):
    """Whether *person* ("" for the bot itself) may run the handler *name* in *room*."""
    plugin, permission = OWNERS[name], NEEDS[name]
    if person:
        off = world.off.get(room, []) if room or person == "ali" else []
        if plugin in off or f"{plugin}:{name}" in off:
            return False
        claimed = {"everyone"} | {role for role, people in world.roles.items() if person in people}
        if room and person in world.admins:
            claimed.add("room.admin")
        proven = claimed if PEOPLE[person] else {"everyone"}
    else:
        claimed = proven = {"system"}

    def fits(rule, roles, proof):
        for key, value in rule.items():
            if key == "network":
                ok = bool(person) and value == "memory"
            elif key == "account":
                ok = bool(person) and value in ("test", "memory:test")
            elif key == "room":
                ok = bool(person) and value == place(room, person) and (ROOMS[room] or not proof)
            elif key == "user":
                ok = bool(person) and value == address(person) and (PEOPLE[person] or not proof)
            elif key == "role":
                ok = value in roles
            elif key == "plugin":
                ok = value == plugin
            elif key == "command":
                ok = value in (name, f"{plugin}:{name}", name.split()[0])
            elif key == "permission":
                if value.endswith("*"):
                    ok = permission.startswith(value[:-1]) and permission != ""
                else:
                    ok = permission == value
            else:
                ok = arguments.get(key) == value
            if not ok:
                return False
        return True

    if any(fits(rule, claimed, False) for rule in world.deny):
        return False
    return not permission or "owner" in proven or any(fits(rule, proven, True) for rule in world.allow)


# -- the bot -----------------------------------------------------------------------------------------


def texts(rules):
    return tuple(" ".join(f"{k}={v}" for k, v in rule.items()) for rule in rules)


async def play(world):
    """Say everything in a bot; return what ran, message by message, and the job at the end."""
    ran, found = [], []
    policy = AppPolicy(
        seed=1,
        dispatch=DispatchPolicy(per_plugin=8),
        access=AccessPolicy(
            roles={role: [address(p) for p in people] for role, people in world.roles.items()},
            rules=RulesSettings(allow=texts(world.allow), deny=texts(world.deny)),
        ),
    )
    async with Bots().run(*plugins(ran, world.with_filter), policy=policy) as bot:
        network = bot.network
        for room, names in world.off.items():
            for name in names:
                bot.app.gate.switches.turn(place(room, "ali"), name, on=False)
        bot.app.gate.refresh()
        for name, verified in PEOPLE.items():
            user = attrs.evolve(network.user(name), verified=verified)
            network.users[name] = attrs.evolve(user, role="admin") if name in world.admins else user
        for room, verified in ROOMS.items():
            if room:
                network.rooms[room] = attrs.evolve(network.group(room), verified=verified)
        for person, room, text in world.said:
            where = network.group(room) if room else network.private(person)
            if text == "poke":
                bot.app.dispatcher.route(
                    Poked(room=where, sender=network.user(person), at=bot.app.clock.now())
                )
                await bot.settle()
            else:
                await bot.user(person, room=bot.room(room) if room else None).say(text)
            while bot.app.dispatcher.busy:  # a thread may still be at it
                await trio.sleep(0.01)
            found.append(sorted(ran, key=str))
            ran.clear()
        await bot.advance(6)
        found.append(sorted(ran, key=str))
        assert bot.app.gate.inside == 0
        assert bot.app.gate.limits._running == {}
    return found


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(WORLDS)
def test_what_runs_is_what_the_oracle_allows(world):
    expected = [
        sorted(
            [(n, person, args) for n, args in LINES[text].items() if may(world, person, room, n, args)],
            key=str,
        )
        for person, room, text in world.said
    ]
    expected.append([("tick", "", {})] if may(world, "", "", "tick", {}) else [])
    assert run_virtual(play, world) == expected
