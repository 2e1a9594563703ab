"""The parts of the gate, each by itself: roles, rules, limits, switches, the owner's code, reasons."""

import enum
import functools

import pytest

from qqops.errors import ConfigError
from qqops.model import AccountRef, MemberRole, PersonRef, RoomKind, User
from qqops.runtime.arguments import arguments_of, canonical, texts_of
from qqops.runtime.declared import Limit
from qqops.runtime.granted import AccessPolicy, RulesSettings, rules_of
from qqops.runtime.limits import SWEEP, Limits, Spent
from qqops.runtime.owner import LASTS, TRIES, TRIES_A_MINUTE, Claim
from qqops.runtime.roles import IDENTITY_LASTS, NOBODY, Roles, Standing
from qqops.runtime.rules import Effect, Ruling, Tables, Who, covers, make_rule
from qqops.runtime.storage.keep import MemoryKeep
from qqops.runtime.switches import Switches

ACCOUNT = AccountRef("net", "main")
ALI = "net:main/ali"


class Env(enum.Enum):
    PROD = "prod"


def who(user=ALI, room="net:main/group:ops", proven=True, room_proven=True):
    return Who("net", "net:main", "main", room, user, proven, room_proven)


def standing(*roles):
    return Standing(frozenset(roles), frozenset(roles))


def decide(rules, *, permission="deploy.run", name="deploy", person=None, roles=(), arguments=None):
    made = [make_rule(f"r{i}", Effect(text.split()[0]), text.split()[1:]) for i, text in enumerate(rules)]
    plan = Tables(made).plan("ops", name, permission)
    return plan.decide(person or who(), standing("everyone", *roles), arguments).answer


@pytest.mark.parametrize(
    ("value", "text"),
    [(Env.PROD, "prod"), (True, "true"), (False, "false"), (3, "3"), (1.5, "1.5"), (None, ""), ("Ab", "Ab")],
)
def test_values_have_one_way_to_be_written(value, text):
    assert canonical(value) == text
    assert list(texts_of((value, value))) == [text, text]


def test_arguments_are_found_whatever_the_function_is():
    def plain(a, b=1, *more, c=2): ...

    @functools.wraps(plain)
    def wrapped(*args, **kwargs): ...

    class Bound:
        def method(self, a, *, c=2): ...

    for function in (plain, wrapped):
        assert arguments_of(functools.partial(function, 1, c=3)) == {"a": 1, "c": 3}
        assert arguments_of(functools.partial(function, 1, 2, 3, 4)) == {"a": 1, "b": 2, "more": (3, 4)}
    assert arguments_of(functools.partial(Bound().method, 1, c=3)) == {"a": 1, "c": 3}
    with pytest.raises(TypeError):
        arguments_of(functools.partial(lambda a: a, 1, 2))


def test_what_is_no_partial_has_no_known_arguments():
    with pytest.raises(TypeError):
        arguments_of(lambda: None)


@pytest.mark.parametrize(
    ("pattern", "permission", "fits"),
    [
        ("*", "a.b", True), ("*", "", False), ("a.*", "a.b", True), ("a.*", "a.b.c", True), ("a.*", "a", False),
        ("a.*", "ab.c", False), ("a.b", "a.b", True), ("a.b", "a.bc", False),
    ],
)  # fmt: skip
def test_wildcards_cover_what_is_below(pattern, permission, fits):
    assert covers(pattern, permission) is fits


@pytest.mark.parametrize(
    ("rules", "more", "answer"),
    [
        ([], {}, Ruling.NO),
        ([], {"permission": ""}, Ruling.YES),
        ([], {"roles": ["owner"]}, Ruling.YES),
        (["deny role=owner"], {"roles": ["owner"]}, Ruling.NO),
        (["allow permission=deploy.*"], {}, Ruling.YES),
        (["allow role=sre permission=*"], {}, Ruling.NO),
        (["allow role=sre permission=*"], {"roles": ["sre"]}, Ruling.YES),
        (["allow permission=*", "deny command=deploy"], {}, Ruling.NO),
        (["allow permission=*", "deny command=flag"], {"name": "flag set"}, Ruling.NO),
        (["allow permission=*", "deny command=flag"], {"name": "flags"}, Ruling.YES),
        (["allow permission=*", "deny command=other:deploy"], {}, Ruling.YES),
        (["allow permission=*", "deny command=ops:deploy"], {}, Ruling.NO),
        (["allow command=deploy"], {}, Ruling.YES),
        (["deny permission=*"], {"permission": ""}, Ruling.YES),
        (["deny network=net"], {"permission": ""}, Ruling.NO),
        (["deny account=main"], {"permission": ""}, Ruling.NO),
        (["deny account=net:other"], {"permission": ""}, Ruling.YES),
        ([f"allow user={ALI}"], {}, Ruling.YES),
        ([f"allow user={ALI}"], {"person": who(proven=False)}, Ruling.NO),
        ([f"deny user={ALI}", "allow permission=*"], {"person": who(proven=False)}, Ruling.NO),
        (["allow room=net:main/group:ops"], {"person": who(room_proven=False)}, Ruling.NO),
        (["deny room=net:main/group:ops"], {"person": who(room_proven=False), "permission": ""}, Ruling.NO),
        (["allow env=prod"], {}, Ruling.PERHAPS),
        (["allow env=prod"], {"arguments": {"env": Env.PROD}}, Ruling.YES),
        (["allow env=prod"], {"arguments": {}}, Ruling.NO),
        (["allow names=a"], {"arguments": {"names": ("a", "b")}}, Ruling.NO),
        (["allow names=a"], {"arguments": {"names": ("a", "a")}}, Ruling.YES),
        (["allow names=a"], {"arguments": {"names": ()}}, Ruling.NO),
        (["deny env=PROD", "allow permission=*"], {"arguments": {"env": Env.PROD}}, Ruling.NO),
        (["deny env=prod", "allow permission=*"], {}, Ruling.PERHAPS),
        (["deny names=a", "allow permission=*"], {"arguments": {"names": ("b", "a")}}, Ruling.NO),
        (["deny dry=false", "allow permission=*"], {"arguments": {"dry": True}}, Ruling.YES),
    ],
)  # fmt: skip
def test_rules(rules, more, answer):
    assert decide(rules, **more) is answer


def test_a_rule_reads_as_it_was_written():
    parts = ["role=dev", "command=flag set", "arg.user=me", "env=prod"]
    rule = make_rule("r1", Effect.DENY, parts)
    assert str(rule) == 'deny role=dev "command=flag set" arg.user=me env=prod'
    assert rule.arguments == (("user", "me"), ("env", "prod"))


@pytest.mark.parametrize(
    "parts",
    [[], ["x"], ["role="], ["=x"], ["role=a", "role=b"], ["permission=a.*.b"], ["user=ali"], ["room=ops"]],
)
def test_wrong_rules_are_refused(parts):
    with pytest.raises(ConfigError):
        make_rule("r1", Effect.ALLOW, parts)


def test_the_settings_become_rules():
    policy = AccessPolicy(
        permissions={"sre": ["deploy.*"]}, rules=RulesSettings(deny=('"command=flag set" env=prod',))
    )
    assert [str(rule) for rule in rules_of(policy)] == [
        "allow role=sre permission=deploy.*",
        'deny "command=flag set" env=prod',
    ]


def person(name="ali", **more):
    return User(ref=PersonRef(ACCOUNT, name), name=name, **more)


def test_roles_come_from_settings_and_the_group():
    roles = Roles({"sre": [ALI]}, lambda: 0.0)
    assert roles.of(person(), ALI, None).proven == {"everyone", "sre"}
    admin = person(role=MemberRole.ADMIN)
    assert roles.of(admin, ALI, RoomKind.GROUP).proven == {"everyone", "sre", "room.admin"}
    assert roles.of(admin, ALI, RoomKind.PRIVATE).proven == {"everyone", "sre"}


def test_whoever_is_not_verified_has_roles_only_against_them():
    roles = Roles({"sre": [ALI]}, lambda: 0.0)
    found = roles.of(person(verified=False, role=MemberRole.OWNER), ALI, RoomKind.GROUP)
    assert found.proven == NOBODY.proven
    assert found.claimed == {"everyone", "sre", "room.owner"}


def test_a_plugins_answer_about_a_person_is_remembered_for_a_while():
    now, asked = [0.0], []
    roles = Roles({}, lambda: now[0])
    roles.identify = lambda user: asked.append(user) or ["sre"]
    for now[0] in (0.0, IDENTITY_LASTS - 1, IDENTITY_LASTS):
        assert "sre" in roles.of(person(), ALI, None).proven
    assert len(asked) == 2


@pytest.mark.parametrize("role", ["owner", "room.admin", "system", "not a role"])
def test_no_plugin_gives_roles_that_are_not_its_to_give(role):
    roles = Roles({}, lambda: 0.0)
    roles.identify = lambda user: [role]
    with pytest.raises(ConfigError):
        roles.of(person(), ALI, None)


def test_windows_begin_with_the_first_use_and_warn_once():
    limits, limit = Limits(MemoryKeep()), (Limit(2, 10),)
    assert limits.charge(limit, ["k"], 100.0) == []
    assert limits.charge(limit, ["k"], 105.0) == []
    assert limits.charge(limit, ["k"], 106.0) == Spent(limit[0], 4.0, True)
    assert limits.charge(limit, ["k"], 107.0) == Spent(limit[0], 3.0, False)
    assert limits.charge(limit, ["other"], 107.0) == []
    assert limits.charge(limit, ["k"], 110.0) == []


def test_windows_outlive_the_process():
    keep, limit = MemoryKeep(), (Limit(1, 10),)
    Limits(keep).charge(limit, ["limit/k"], 100.0)
    later = Limits(keep)
    later.load(keep.load())
    assert later.charge(limit, ["limit/k"], 105.0) == Spent(limit[0], 5.0, True)


def test_a_clock_that_was_set_back_closes_no_window_for_long():
    limits, limit = Limits(MemoryKeep()), (Limit(1, 10),)
    limits.charge(limit, ["k"], 1_000_000.0)
    assert limits.charge(limit, ["k"], 1_000_005.0) == Spent(limit[0], 5.0, True)
    assert limits.charge(limit, ["k"], 100.0) == Spent(limit[0], 10.0, False)
    assert limits.charge(limit, ["k"], 105.0) == Spent(limit[0], 5.0, False)
    assert limits.charge(limit, ["k"], 110.0) == []


def test_all_limits_are_charged_or_none():
    limits = Limits(MemoryKeep())
    both = (Limit(5, 10), Limit(running=1))
    assert limits.charge(both, ["a", "b"], 0.0) == ["b"]
    for _ in range(10):
        assert isinstance(limits.charge(both, ["a", "b"], 1.0), Spent)
    limits.release(["b"])
    assert limits.charge(both, ["a", "b"], 1.0) == ["b"]
    assert limits.running("b") == 1


def test_windows_that_are_over_are_forgotten():
    keep = MemoryKeep()
    limits, limit = Limits(keep), (Limit(1, 10),)
    for i in range(SWEEP + 1):
        limits.charge(limit, [f"k{i}"], i * 20.0)
    assert list(keep.load()) == [f"k{SWEEP}"]


def test_switches():
    switches = Switches()
    assert switches.turn("here", "ops", on=False)
    assert not switches.turn("here", "ops", on=False)
    assert switches.is_off("here", "ops", "ops:deploy")
    assert not switches.is_off("there", "ops", "ops:deploy")
    switches.turn("there", "ops:deploy", on=False)
    assert switches.is_off("there", "ops", "ops:deploy")
    assert not switches.is_off("there", "ops", "ops:other")
    assert switches.turn("here", "ops", on=True)
    assert switches.turn("there", "ops:deploy", on=True)
    assert not switches


def test_the_owners_code_is_good_for_one_use():
    claim = Claim()
    code = claim.open(0.0)
    assert not claim.take("", 1.0)
    assert claim.take(f" {code.lower()} ", 1.0)
    assert not claim.take(code, 1.0)
    assert not Claim().take("", 0.0)


def test_the_owners_code_expires():
    claim = Claim()
    assert not claim.take(claim.open(0.0), LASTS)


def test_guessing_the_owners_code_is_slow_and_ends():
    claim = Claim()
    code = claim.open(0.0)
    for _ in range(TRIES_A_MINUTE):
        assert not claim.take("WRONG", 1.0)
    assert not claim.take(code, 2.0), "nobody is listened to for the rest of the minute"
    assert claim.take(code, 61.0)
    code = claim.open(0.0)
    for i in range(TRIES):
        claim.take("错", 100.0 * i)
    assert claim.code == ""
