"""Lists that are too long to be true are cut, and it is counted."""

import json
import random

import pytest

from qqops.protocol.webqq import lists
from qqops.protocol.webqq.flow import Call
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import MOST_ROWS, rows


def fetched(flow, result):
    step = flow.send(None)
    assert isinstance(step, Call)
    body = json.dumps({"retcode": 0, "result": result}).encode()
    with pytest.raises(StopIteration) as end:
        flow.send(Response(status=200, body=body))
    return end.value.value


@pytest.fixture
def session():
    return Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)


MANY = 50_000


def test_friends(session):
    people = [{"uin": n + 1, "nick": "x"} for n in range(MANY)]
    found = fetched(lists.friends(session), {"friends": people, "info": people, "marknames": people})
    assert len(found) == lists.MOST_FRIENDS
    assert session.cut == dict.fromkeys(("info", "friends", "marknames"), MANY - lists.MOST_FRIENDS)


def test_groups_and_discussion_groups(session):
    groups = [{"gid": n + 1, "did": n + 1, "code": n, "name": "x"} for n in range(MANY)]
    assert len(fetched(lists.groups(session), {"gnamelist": groups})) == lists.MOST_GROUPS
    assert len(fetched(lists.discussions(session), {"dnamelist": groups})) == lists.MOST_GROUPS
    assert set(session.cut) == {"gnamelist", "dnamelist"}


def test_members(session):
    people = [{"uin": n + 1, "muin": n + 1, "mem_uin": n + 1, "ruin": n} for n in range(MANY)]
    group = lists.Group(61, 62, "ops")
    result = {"minfo": people, "cards": people, "ginfo": {"members": people}}
    assert len(fetched(lists.group_members(session, group), result)) == lists.MOST_MEMBERS
    members, numbers = fetched(
        lists.discussion_members(session, 5), {"mem_info": people, "info": {"mem_list": people}}
    )
    assert max(len(members), len(numbers)) <= lists.MOST_MEMBERS
    assert set(session.cut) == {"minfo", "cards", "members", "mem_info", "mem_list"}


def test_no_list_is_without_end():
    assert len(rows([{}] * (MOST_ROWS + 1), "x")) == MOST_ROWS


def test_lists_as_long_as_real_ones_are_whole(session):
    people = [{"uin": n + 1, "nick": "x"} for n in range(3000)]
    assert len(fetched(lists.friends(session), {"friends": people, "info": people})) == 3000
    assert session.cut == {}
