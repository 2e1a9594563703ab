"""The exact requests of the calls that manage friends and groups (webqq.md §9.7)."""

import json
import random

import pytest

from qqops.errors import ProtocolError, Refuse
from qqops.protocol.webqq import adding, grouping, manage
from qqops.protocol.webqq.adding import Found
from qqops.protocol.webqq.flow import AskRenewal, Call
from qqops.protocol.webqq.grouping import Card, PublicInfo
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session


@pytest.fixture
def session():
    made = Session(
        profile=PROFILES["webqq2013"], rng=random.Random(1), number=100, vfwebqq="vf", psessionid="ps"
    )
    made.clientid = "12345678"
    return made


FOUND = Found(number=20009, nick="Zoe", allow=1, token="tok")
IDS = {"clientid": "12345678", "psessionid": "ps", "vfwebqq": "vf"}
API = "http://s.web2.qq.com/api/"
CHANNEL = "http://d.web2.qq.com/channel/"


@pytest.mark.parametrize(
    ("make", "url", "r"),
    [
        (
            lambda s: manage.let_friend_add(s, 20009),
            f"{API}allow_added_request2",
            {"account": 20009, "vfwebqq": "vf"},
        ),
        (
            lambda s: manage.accept_friend(s, 20009, "zz"),
            f"{API}allow_and_add2",
            {"account": 20009, "gid": 0, "mname": "zz", "vfwebqq": "vf"},
        ),
        (
            lambda s: manage.move_friend(s, 31, 2),
            f"{API}modify_friend_group",
            {"tuin": 31, "newid": 2, "vfwebqq": "vf"},
        ),
        (
            lambda s: adding.add_openly(s, FOUND, "zz"),
            f"{API}add_no_verify2",
            {"account": 20009, "myallow": 1, "groupid": 0, "mname": "zz", "token": "tok", "vfwebqq": "vf"},
        ),
        (
            lambda s: adding.ask_to_add(s, FOUND, "hi"),
            f"{API}add_need_verify2",
            {"account": 20009, "myallow": 1, "groupid": 0, "msg": "hi", "token": "tok", "vfwebqq": "vf"},
        ),
        (
            lambda s: grouping.write_card(
                s, 62, Card(name="n", phone="1", email="e", remark="r", gender="male")
            ),
            f"{API}update_group_business_card2",
            {
                "gcode": 62,
                "name": "n",
                "phone": "1",
                "email": "e",
                "remark": "r",
                "gender": "male",
                "vfwebqq": "vf",
            },
        ),
        (
            lambda s: grouping.change_members(s, 5, add=[31], remove=[32]),
            f"{CHANNEL}change_discu_mem",
            {"did": 5, "add_mem": [31], "del_mem": [32], **IDS},
        ),
        (
            lambda s: grouping.rename_discussion(s, 5, "plan B"),
            f"{CHANNEL}modify_discu_info",
            {"did": 5, "discu_name": "plan B", **IDS},
        ),
    ],
)
def test_changes(session, make, url, r):
    request = make(session)
    assert (request.method, request.url, request.idempotent) == ("POST", url, False)
    assert json.loads(dict(request.form)["r"]) == r
    assert request.referer == session.profile.referers[request.host]


def test_how_groups_are_heard_is_sent_as_a_whole(session):
    request = grouping.filter_groups(session, {61: 0, 63: 2})
    assert (request.method, request.url) == (
        "POST",
        "http://cgi.web2.qq.com/keycgi/qqweb/uac/messagefilter.do",
    )
    form = dict(request.form)
    assert json.loads(form.pop("itemlist")) == {"groupmask": {"61": "0", "63": "2"}}
    assert form == {"retype": "1", "app": "EQQ", "vfwebqq": "vf"}


@pytest.mark.parametrize(
    ("allow", "name"), [(0, "add_no_verify2"), (1, "add_need_verify2"), (4, "add_need_verify2")]
)
def test_somebody_is_added_in_the_way_they_allow(session, allow, name):
    found = Found(number=20009, nick="Zoe", allow=allow, token="tok")
    assert adding.request(session, found, "hi").name == name


def test_nobody_is_bothered_who_does_not_want_to_be_added(session):
    with pytest.raises(Refuse, match="lets nobody"):
        adding.request(session, Found(number=20009, nick="Zoe", allow=2, token="tok"), "hi")


def answer(retcode=0, result=None):
    return Response(status=200, body=json.dumps({"retcode": retcode, "result": result}).encode())


PICTURE = Response(status=200, body=b"picture")


def drive(flow, *answers):
    """Feed *answers* to *flow*; return (requests, what it ended with)."""
    requests, left, last = [], list(answers), None
    while True:
        try:
            step = flow.send(last)
        except StopIteration as stop:
            assert left == []
            return requests, stop.value
        if isinstance(step, Call):
            requests.append(step.request)
        last = None if isinstance(step, AskRenewal) else left.pop(0)


def test_a_search_goes_through_a_captcha_and_brings_the_token(session):
    session.cookies.put("qq.com", "verifysession", "vs")
    result = {"account": 20009, "uin": 31, "nick": "Zoe\n", "allow": 3, "token": "tok"}
    requests, found = drive(adding.search(session, 20009), PICTURE, " abcd ", answer(0, result))
    assert found == Found(number=20009, nick="Zoe", allow=3, token="tok")
    assert [request.name for request in requests] == ["getimage", "search_qq_by_uin2"]
    query = dict(requests[1].query)
    assert query.pop("t")
    assert query == {"tuin": "20009", "verifysession": "vs", "code": "abcd", "vfwebqq": "vf"}
    assert (requests[1].method, requests[1].host, requests[1].path) == (
        "GET",
        "s.web2.qq.com",
        "/api/search_qq_by_uin2",
    )
    assert "tok" not in repr(found)


def test_a_wrong_captcha_is_asked_for_once_more_and_a_late_one_renewed(session):
    good = answer(0, {"nick": "Zoe", "token": "t"})
    requests, found = drive(
        adding.search(session, 20009), PICTURE, "x", answer(100001), PICTURE, "abcd", good
    )
    assert (len(requests), found.number, found.allow) == (4, 20009, 1)
    requests, _ = drive(adding.search(session, 20009), PICTURE, None, PICTURE, "abcd", good)
    assert [request.name for request in requests] == ["getimage", "getimage", "search_qq_by_uin2"]
    with pytest.raises(ProtocolError):
        drive(adding.search(session, 1), PICTURE, "x", answer(100001), PICTURE, "y", answer(100001))


def test_the_card_is_read_before_it_is_written(session):
    result = {"name": "n", "phone": 10086, "email": None, "remark": "r", "gender": "male", "more": 1}
    requests, card = drive(grouping.card(session, 62), answer(0, result))
    assert card == Card(name="n", phone="10086", email="", remark="r", gender="male")
    assert json.loads(dict(requests[0].form)["r"]) == {"gcode": 62, "vfwebqq": "vf"}
    assert requests[0].name == "get_group_business_card2"


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_a_group_tells_everybody(session, wrapped):
    info = {"name": "ops", "member_cnt": 3, "maxmember": 500}
    requests, found = drive(
        grouping.public_info(session, 62), answer(0, {"ginfo": info} if wrapped else info)
    )
    assert found == PublicInfo(name="ops", members=3, most_members=500)
    query = dict(requests[0].query)
    assert (requests[0].method, query["gcode"], query["vfwebqq"]) == ("GET", "62", "vf")


def test_a_discussion_group_is_made(session):
    requests, did = drive(grouping.create_discussion(session, "talk", [31, 32]), answer(0, {"did": "7"}))
    assert did == 7
    assert json.loads(dict(requests[0].form)["r"]) == {"discu_name": "talk", "mem_list": [31, 32], **IDS}
    assert (requests[0].url, requests[0].idempotent) == (f"{CHANNEL}create_discu", False)


@pytest.mark.parametrize("accept", [True, False])
def test_an_offline_file_is_answered(session, accept):
    request = manage.answer_offline_file(session, 31, "a.txt", 5, accept=accept)
    query = dict(request.query)
    assert request.path == "/channel/notify_offfile2"
    assert [query[key] for key in ("to", "file_name", "file_size", "action")] == [
        "31",
        "a.txt",
        "5",
        "1" if accept else "2",
    ]
