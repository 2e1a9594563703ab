"""The file of a saved login: what is in it works, or counts as none. What fuzzing found stands here."""

import json
import random

import pytest
import trio

from qqops.adapters.webqq.saved import ID_GAP, SavedSession
from qqops.model import AccountRef
from qqops.protocol.webqq import poll
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session

ME = AccountRef("webqq", "main")


def load(folder, change=None):
    """Save a login, change its file, and return what is loaded."""

    async def save():
        session = Session(profile=PROFILES["smartqq"], rng=random.Random(1), number=100200300)
        session.psessionid, session.vfwebqq, session.ptwebqq, session.nick = "8368", "0a1b", "2c3d", "nick"
        session.next_message = 7
        session.cookies.put("qq.com", "skey", "@abc")
        session.cookies.put("ptlogin2.qq.com", "supertoken", "1")
        await SavedSession(ME, folder).save(session)

    trio.run(save)
    file = folder / "webqq-main.session.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | (change or {})))
    return SavedSession(ME, folder).load(PROFILES["smartqq"], 100200300, random.Random(1))


def test_a_login_comes_back_as_it_was(tmp_path):
    session = load(tmp_path)
    assert (session.psessionid, session.vfwebqq, session.ptwebqq, session.nick) == (
        "8368",
        "0a1b",
        "2c3d",
        "nick",
    )
    assert session.next_message == 7 + ID_GAP
    assert session.cookies.header("d1.web2.qq.com") == "skey=@abc"
    assert session.cookies.header("ssl.ptlogin2.qq.com") == "skey=@abc; supertoken=1"


@pytest.mark.parametrize(
    "change",
    [{"clientid": "close"}, {"clientid": "\ud800"}, {"clientid": "9" * 5000}, {"next_message": 1e999}, {"next_message": "7"},
     {"next_message": -1}, {"psessionid": "\ud800"}, {"ptwebqq": "a\r\nX: y"}, {"vfwebqq": "a" * 5000}, {"cookies": [["qq.com", "a"]]}],
    ids=repr,
)  # fmt: skip
def test_what_no_request_could_carry_counts_as_no_login(tmp_path, change):
    assert load(tmp_path, change) is None


@pytest.mark.parametrize("value", ["a\r\nX-Injected: y", "\ud800", "é", "a;b"])
def test_a_cookie_that_no_header_could_carry_is_left_out(tmp_path, value):
    session = load(
        tmp_path, {"cookies": [["qq.com", "skey", value], ["qq.com", "uin", "o1"]], "nick": "\ud800n\n"}
    )
    header = session.cookies.header("d1.web2.qq.com")
    assert header in ("uin=o1", "skey=a; uin=o1")
    assert session.nick == "n"
    poll.request(session, 60.0).headers(header)
