"""Lists that are too long to be true are cut, and it is counted; a number is what the service tells, or not known yet."""

import json
import random

import pytest

from qqops.errors import ProtocolError, TransientError
from qqops.protocol.webqq import lists
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.flow import Call
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import MAX_ROWS, rows


def fetched(flow, result, *, retcode=0, status=200):
    step = flow.send(None)
    assert isinstance(step, Call)
    body = json.dumps({"retcode": retcode, "result": result}).encode()
    with pytest.raises(StopIteration) as end:
        flow.send(Response(status=status, body=body))
    return end.value.value


@pytest.fixture
def session():
    return Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)


MANY = 50_000


def test_friends(session):
    people = [{"uin": n + 1, "nick": "x"} for n in range(MANY)]
    found = fetched(lists.friends(session), {"friends": people, "info": people, "marknames": people})
    assert len(found) == lists.MAX_FRIENDS
    assert session.cut == dict.fromkeys(("info", "friends", "marknames"), MANY - lists.MAX_FRIENDS)


def test_groups_and_discussion_groups(session):
    groups = [{"gid": n + 1, "did": n + 1, "code": n, "name": "x"} for n in range(MANY)]
    assert len(fetched(lists.groups(session), {"gnamelist": groups})) == lists.MAX_GROUPS
    assert len(fetched(lists.discussions(session), {"dnamelist": groups})) == lists.MAX_GROUPS
    assert set(session.cut) == {"gnamelist", "dnamelist"}


def test_members(session):
    people = [{"uin": n + 1, "muin": n + 1, "mem_uin": n + 1, "ruin": n} for n in range(MANY)]
    group = lists.Group(61, 62, "ops")
    result = {"minfo": people, "cards": people, "ginfo": {"members": people}}
    assert len(fetched(lists.group_members(session, group), result)) == lists.MAX_MEMBERS
    members, numbers = fetched(
        lists.discussion_members(session, 5), {"mem_info": people, "info": {"mem_list": people}}
    )
    assert max(len(members), len(numbers)) <= lists.MAX_MEMBERS
    assert set(session.cut) == {"minfo", "cards", "members", "mem_info", "mem_list"}


def test_no_list_is_without_end():
    assert len(rows([{}] * (MAX_ROWS + 1), "x")) == MAX_ROWS


def test_lists_as_long_as_real_ones_are_whole(session):
    people = [{"uin": n + 1, "nick": "x"} for n in range(3000)]
    assert len(fetched(lists.friends(session), {"friends": people, "info": people})) == 3000
    assert session.cut == {}


@pytest.mark.parametrize(
    ("result", "retcode", "number"),
    [
        ({"account": 20001}, 0, 20001),
        ({"account": 0}, 0, 0),
        ({"account": "?"}, 0, 0),
        (None, 0, 0),
        (None, 100000, 0),  # the service does not tell, then and for ever (§9.6)
    ],
)
def test_a_number_is_what_the_service_tells(session, result, retcode, number):
    assert fetched(lists.real_number(session, 5, group=False), result, retcode=retcode) == number


@pytest.mark.parametrize(
    ("status", "retcode", "error"),
    [
        (502, 0, TransientError),
        (404, 100000, TransientError),
        (200, 103, TransientError),
        (200, 99999, TransientError),
        (200, 100001, ProtocolError),
    ],
)
def test_what_says_nothing_about_a_number_is_not_taken_for_none(session, status, retcode, error):
    with pytest.raises(error) as raised:
        fetched(
            lists.real_number(session, 5, group=False), {"account": 20001}, retcode=retcode, status=status
        )
    assert not isinstance(raised.value, SessionGone)
