"""What the gate costs: ``python tests/bench/gate.py [ROUNDS]``.

Prints CPU µs per decision, the least of the rounds: `Gate.admit` for a handler without and with a permission, by a person
whom the rules are about and by one whom they are not, with 0, 10 and 100 rules; and `Gate.check` with a rule about an
argument. The rules name people, roles, rooms, commands and permissions in turn, as those of a real bot would.
"""

import datetime
import functools
import sys
import time

from qqops.model import AccountRef, Message, PersonRef, Room, RoomKind, RoomRef, Text, User
from qqops.runtime.context import Context
from qqops.runtime.declared import OPEN, Guards, Limit
from qqops.runtime.gate import Gate
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler, Hit, Line, Mode
from qqops.texts import load

COUNT = 20_000
ACCOUNT = AccountRef("bench", "main")
KINDS = (
    "user=bench:main/{i} permission=deploy.*",
    "role=role{i} permission=deploy.run",
    "room=bench:main/group:{i}",
    "role=role{i} command=other{i}",
    "role=role{i} permission=other.*",
)


def context(person: str) -> Context:
    room = Room(ref=RoomRef(ACCOUNT, RoomKind.GROUP, "ops"), name="ops")
    sender = User(ref=PersonRef(ACCOUNT, person), name=person, role="member")
    now = datetime.datetime.now(datetime.UTC)
    message = Message(id="1", room=room, sender=sender, segments=(Text("/deploy"),), at=now)
    return Context(id="1", plugin="ops", event=message, language="en", catalogue=load(), now=now)


def handler(guards: Guards = OPEN) -> Hit:
    made = Handler(
        plugin="ops", name="deploy", where="", mode=Mode.ASYNC, prepare=lambda c, s: called, guards=guards
    )
    return Hit(made, Line("/deploy prod", 7))


def deploy(env: str) -> None: ...


called = functools.partial(deploy, "prod")
ALI, BO = context("ali"), context("bo")


def gate(count: int, *more: str) -> Gate:
    texts = [KINDS[i % len(KINDS)].format(i=i) for i in range(count)]
    policy = AccessPolicy(
        roles={"sre": ["bench:main/ali"]},
        permissions={"sre": ["deploy.*"]},
        rules=RulesSettings(allow=tuple(texts[::2]), deny=(*texts[1::2], *more)),
    )
    return Gate(policy)


def cost(rounds: int, call) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(COUNT):
            call()
            # Each decision is one of a run that has just begun.
            object.__setattr__(ALI, "verdicts", ())
            object.__setattr__(BO, "verdicts", ())
        best = min(best, time.process_time() - began)
    return best / COUNT * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    ali, bo, opened = ALI, BO, handler()
    needs = handler(Guards(permission="deploy.run"))
    print(f"CPU µs per decision, least of {rounds} rounds of {COUNT}")
    for count in (0, 10, 100):
        made = gate(count)
        print(
            f"{count:4} rules: no permission needed {cost(rounds, functools.partial(made.admit, ali, opened)):6.2f}"
            f"   allowed by a role {cost(rounds, functools.partial(made.admit, ali, needs)):6.2f}"
            f"   refused {cost(rounds, functools.partial(made.admit, bo, needs)):6.2f}"
        )
    made = gate(100, "command=deploy env=staging")
    print(
        f" 100 rules, one about an argument: check {cost(rounds, functools.partial(made.check, ali, needs, called)):6.2f}"
    )
    why = gate(0).why
    print(
        f"a reason remembered {cost(rounds, functools.partial(why.note, ali, opened.handler, Result.DONE)):6.2f}"
    )
    limits, limit = gate(0).limits, (Limit(10**9, 60),)
    print(
        f"one limit charged {cost(rounds, functools.partial(limits.charge, limit, ('limit/x',), 1.0)):6.2f}"
    )


main()
