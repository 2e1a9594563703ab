"""What the gate keeps ready never outlives what it was made of: a gate that has just been made decides the same."""

import random

import pytest

from qqops import Ctx, Plugin
from qqops.runtime.gate import Gate
from qqops.runtime.registry import Hit
from qqops.runtime.roles import Grant
from qqops.runtime.rules import Effect, make_rule
from qqops.texts import Say

PEOPLE, ROOMS, ROLES = ("ali", "bo"), ("ops", "lab"), ("dev", "owner")
PARTS = (
    ["role=dev"], ["user=memory:test/u-bo"], ["room=memory:test/group:g-ops"], ["permission=p.*"], ["plugin=tools"],
    ["command=use", "role=dev"], ["env=prod"],
)  # fmt: skip


def tools():
    plugin = Plugin("tools")

    @plugin.command("use", permission="p.use")
    async def use(ctx: Ctx, env: str = "prod") -> None: ...

    @plugin.command("open")
    async def open_(ctx: Ctx) -> None: ...

    return plugin


def fresh(gate, clock):
    """Return a gate that knows the same and has kept nothing."""
    other = Gate(clock=clock)
    other.rules, other.vetoes, other.broken, other.loaded = gate.rules, gate.vetoes, gate.broken, gate.loaded
    other.switches, other.halted = gate.switches, gate.halted
    other.roles.grants, other.roles.identify = gate.roles.grants, gate.roles.identify
    other.refresh()
    return other


class Changes:
    """Everything that may change, at random."""

    def __init__(self, gate, handlers, dice):
        self.gate, self.handlers, self.dice = gate, handlers, dice

    def change(self):
        acts = (self.grant, self.rule, self.switch, self.halt, self.identity, self.veto, self.broken)
        act = self.dice.choice(acts)
        act()
        if act != self.halt:
            self.gate.refresh()

    def grant(self):
        key = self.dice.choice(ROLES), f"memory:test/u-{self.dice.choice(PEOPLE)}"
        if self.gate.roles.grants.pop(key, None) is None:
            self.gate.roles.grants[key] = Grant(*key, "me", "now")

    def rule(self):
        id_ = f"r{self.dice.randrange(3)}"
        if self.gate.rules.pop(id_, None) is None:
            self.gate.rules[id_] = make_rule(id_, self.dice.choice(list(Effect)), self.dice.choice(PARTS))

    def switch(self):
        room = f"memory:test/group:g-{self.dice.choice(ROOMS)}"
        self.gate.switches.turn(room, self.dice.choice(("tools", "tools:use")), self.dice.random() < 0.5)

    def halt(self):
        """The gate hears of it by itself."""
        handler = self.dice.choice(self.handlers)
        if handler.key in self.gate.halted:
            self.gate.halted.lift(handler.key)
        else:
            self.gate.halted.halt(handler, Say("why.closed"))

    def identity(self):
        known = self.dice.choice(
            (None, lambda user: ["dev"] if user.name == "ali" else [], lambda user: ["sre"])
        )
        self.gate.roles.identify = known

    def veto(self):
        answer = self.dice.choice((None, True, False))
        self.gate.vetoes = self.dice.choice(((), (("other", lambda request: answer),)))

    def broken(self):
        self.gate.broken = self.dice.choice((set(), set(), {"rule/r9"}))


@pytest.mark.parametrize("seed", range(20))
async def test_a_gate_that_has_kept_something_decides_as_one_that_has_not(bots, seed):
    dice = random.Random(seed)
    async with bots.run(tools()) as bot:
        gate, dispatcher = bot.app.gate, bot.app.dispatcher
        handlers = [one.handler for one in bot.app.registry.commands if one.handler.plugin == "tools"]
        said = [bot.network.say(person, bot.room(room).room, "hm") for person in PEOPLE for room in ROOMS]
        changes = Changes(gate, handlers, dice)
        for _ in range(60):
            changes.change()
            other = fresh(gate, bot.clock)
            for message in said * 2:
                for handler in handlers:
                    hit = Hit(handler)
                    first, second = (
                        dispatcher.execution.context(dispatcher._ticket(hit, message, message.account))
                        for _ in "ab"
                    )
                    assert gate.admit(first, hit) == other.admit(second, hit)
                    assert first.verdicts == second.verdicts
                    assert gate.roles_of(first) == other.roles_of(second)
                    assert gate.may(first, "p.use") == other.may(second, "p.use")
                    assert gate.may_run(first, handler) == other.may_run(second, handler)
