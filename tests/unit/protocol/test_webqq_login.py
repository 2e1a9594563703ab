"""The password login, answer by answer."""

import random

import pytest

from qqops.errors import FatalError, TransientError
from qqops.protocol.webqq.ciphers import password_tea_fits
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.flow import AskCaptcha, Call
from qqops.protocol.webqq.hashes import password_md5
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.login import login, quick_login
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session

NUMBER = 1685359365
SALT = r"\x00\x00\x00\x00\x64\x74\x8b\x05"
CHECKS = {
    "old": f"ptui_checkVC('0','!PTH','{SALT}');",
    "between": f"ptui_checkVC('0','!PTH','{SALT}','abc','0');",
    "random salt": f"ptui_checkVC('0','!PTH','{SALT}','abc','2');",
    "captcha": f"ptui_checkVC('1','cap','{SALT}','','0');",
}
WRONG = "ptuiCB('3','0','','0','您输入的帐号或密码不正确，请重新输入。', '');"
CAPTCHA = "ptuiCB('4','0','','0','您输入的验证码不正确，请重新输入。', '');"
EXPIRED = "ptuiCB('4','2','','0','页面过期', '');"
WELCOME = "ptuiCB('0','0','http://ptlogin4.web2.qq.com/check_sig?x=1','0','登录成功！', 'bot');"
LOGIN2 = f'{{"retcode":0,"result":{{"uin":{NUMBER},"vfwebqq":"v","psessionid":"p"}}}}'


def run(session, *script):
    """Drive a login with *script*, (call, answer) in order; return the queries of the calls of `login`."""
    queries, steps = [], list(script)
    flow = login(session, "secret123")
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration:
            assert steps == []
            return queries
        if isinstance(step, AskCaptcha):
            answer = "ABCD"
            continue
        assert isinstance(step, Call)
        name, body = steps.pop(0)
        assert step.request.name == name
        if name == "login":
            queries.append(dict(step.request.query))
        answer = Response(status=200, body=body.encode())


def make(**more):
    return Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=NUMBER, **more)


def cipher(query):
    code = query["verifycode"]
    if query["p"] == password_md5("secret123", NUMBER.to_bytes(8, "big"), code):
        return "md5"
    return "tea" if password_tea_fits(query["p"], "secret123", NUMBER.to_bytes(8, "big"), code) else "?"


PAGE = ("login_page", 'g_login_sig=encodeURIComponent("sig")')
END = [("login", WELCOME), ("check_sig", ""), ("login2", LOGIN2)]


@pytest.mark.parametrize(
    ("check", "option", "found", "used"),
    [
        ("old", "auto", "", "md5"),
        ("old", "auto", "tea", "md5"),
        ("random salt", "auto", "", "tea"),
        ("random salt", "auto", "md5", "tea"),
        ("between", "auto", "", "md5"),
        ("between", "auto", "tea", "tea"),
        ("between", "tea", "md5", "tea"),
        ("random salt", "md5", "", "md5"),
    ],
)
def test_the_cipher_is_decided_by_what_check_tells(check, option, found, used):
    session = make(cipher=option, cipher_found=found)
    queries = run(session, PAGE, ("check", CHECKS[check]), *END)
    assert [cipher(query) for query in queries] == [used]
    assert session.cipher_found == used


def test_the_other_cipher_is_tried_once_where_it_is_not_clear():
    session = make()
    between = ("check", CHECKS["between"])
    queries = run(
        session, PAGE, between, ("login", WRONG), ("check", CHECKS["captcha"]), ("getimage", "x"), *END
    )
    assert [cipher(query) for query in queries] == ["md5", "tea"]
    assert (session.cipher_found, session.cipher_spent) == ("tea", False)


def test_a_wrong_password_is_tried_twice_at_most_and_then_once():
    session = make()
    between = ("check", CHECKS["between"])
    with pytest.raises(FatalError):
        run(session, PAGE, between, ("login", WRONG), between, ("login", WRONG))
    assert session.cipher_spent
    again = make(cipher_found=session.cipher_found, cipher_spent=session.cipher_spent)
    with pytest.raises(FatalError):
        run(again, PAGE, between, ("login", WRONG))


@pytest.mark.parametrize(("check", "option"), [("old", "auto"), ("random salt", "auto"), ("between", "md5")])
def test_a_wrong_password_is_tried_once_where_the_cipher_is_certain(check, option):
    with pytest.raises(FatalError):
        run(make(cipher=option), PAGE, ("check", CHECKS[check]), ("login", WRONG))


def test_an_expired_page_is_fetched_anew():
    sig = ("login_page", 'g_login_sig=encodeURIComponent("new")')
    check = ("check", CHECKS["old"])
    queries = run(make(), PAGE, check, ("login", EXPIRED), sig, check, *END)
    assert [query["login_sig"] for query in queries] == ["sig", "new"]


def test_a_wrong_captcha_keeps_the_page_and_pages_that_expire_for_ever_end():
    check = ("check", CHECKS["old"])
    queries = run(make(), PAGE, check, ("login", CAPTCHA), check, *END)
    assert [query["login_sig"] for query in queries] == ["sig", "sig"]
    with pytest.raises(TransientError, match="expired"):
        run(make(), PAGE, *[check, ("login", EXPIRED), PAGE] * 5)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (502, "", TransientError), (403, "", TransientError), (200, "<html>", TransientError), (404, "", SessionGone),
        (200, "ptui_auth_CB('1','');", None), (200, "ptui_auth_CB('3','http://x.qq.com/');", None),
    ],
)  # fmt: skip
def test_only_the_service_itself_says_that_the_cookies_do_not_count(status, body, error):
    session = Session(profile=PROFILES["smartqq"], rng=random.Random(1))
    session.cookies.put("qq.com", "supertoken", "5")
    flow = quick_login(session)
    flow.send(None)
    response = Response(status=status, body=body.encode())
    if error is None:
        with pytest.raises(StopIteration) as end:
            flow.send(response)
        assert end.value.value is False
    else:
        with pytest.raises(error) as found:
            flow.send(response)
        assert isinstance(found.value, SessionGone) is (error is SessionGone)
