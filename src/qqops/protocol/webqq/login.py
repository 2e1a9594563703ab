"""Logging in, by password and by QR code. Source: webqq.md §4, §5.

Flows in the sense of `flow`. They end with a usable `Session` or raise: `TransientError` (again, later),
`NeedsHuman`, `FatalError`.
"""

from __future__ import annotations

import os
import re

import attrs

from qqops.errors import FatalError, NeedsHuman, ProtocolError, TransientError
from qqops.protocol.webqq.ciphers import password_tea
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.errors import WebQQProtocolError, excerpt
from qqops.protocol.webqq.flow import AskCaptcha, AskRenewal, Flow, Pause, ShowQR, call
from qqops.protocol.webqq.hashes import hash33, password_md5, time33
from qqops.protocol.webqq.http import Response, get
from qqops.protocol.webqq.opening import check_sig, getvfwebqq, login2
from qqops.protocol.webqq.profile import Login
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import (
    js_bytes,
    js_call,
    js_unescape,
    printable,
    text_of,
)

_LOGIN_SIG = re.compile(r'g_login_sig=encodeURIComponent\("([^"]*)"\)')

#: How often a captcha is asked for before the login starts over.
CAPTCHA_TRIES = 5
#: Seconds after which a captcha is stale (§4.2, §12.3).
CAPTCHA_LIFETIME = 15 * 60.0
#: Seconds to stay away after "too many logins from this IP" (§4.4, status 8).
TOO_MANY_LOGINS = 2 * 3600.0


def login(session: Session, password: str) -> Flow[None]:
    """Log in as the profile of *session* does it."""
    if session.profile.login is Login.PASSWORD:
        yield from login_password(session, password)
    else:
        yield from login_qr(session)


def login_password(session: Session, password: str) -> Flow[None]:
    """Log in with number and password, and a captcha if the service wants one (§4)."""
    login_sig = yield from _login_sig(session)
    tries = 0
    while tries < CAPTCHA_TRIES:
        checked = yield from _check(session, login_sig)
        if checked is None:
            yield AskRenewal()
            continue
        tries += 1
        cipher, certain = _cipher(session, checked)
        args = yield from _ptlogin(session, password, checked, login_sig, cipher)
        if args[0] == "0":
            session.cipher_found, session.cipher_spent = cipher, False
            yield from check_sig(session, args)
            yield from login2(session)
            return
        if args[0] == "3" and not certain and not session.cipher_spent:
            # Maybe it was the cipher. One try with the other one; more would lock the account.
            session.cipher_found, session.cipher_spent = ("md5" if cipher == "tea" else "tea"), True
            continue
        if args[:2] == ["4", "2"]:
            # The login page has expired (§4.4): its signature is worth nothing any more.
            login_sig = yield from _login_sig(session)
            continue
        if args[0] != "4":  # 4: wrong captcha, the password was not even looked at
            _refused(args)
    # Somebody is there, or nobody was needed: it is tried again, later.
    raise TransientError(f"the captcha was wrong, or the page had expired, {CAPTCHA_TRIES} times")


def _login_sig(session: Session) -> Flow[str]:
    """Fetch the login page and return what it is known by (§4.1); empty works, too."""
    page = yield from call(get("login_page", session.profile.login_page, {}, scheme="https"))
    found = _LOGIN_SIG.search(text_of(page))
    return found[1] if found else ""


@attrs.frozen(kw_only=True)
class _Checked:
    """What `check` said.

    Attributes:
        code: What to log in with: ready-made, or typed by a person.
        captcha: Whether it was typed.
        verifysession: Goes with the code in the logins of 2015.
        rand_salt: 2 when the salt is random.
        modern: Whether `check` answered as from 2014 on (§4.2).
    """

    code: str
    salt: bytes
    captcha: bool
    verifysession: str = ""
    rand_salt: str = "0"
    modern: bool = False


def _check(session: Session, login_sig: str) -> Flow[_Checked | None]:
    """Ask whether a captcha is wanted; return the code to log in with, and the salt (§4.2, §4.3).

    None when the person's answer came after the picture had gone stale.
    """
    profile = session.profile
    query = {
        "uin": session.number, "appid": profile.appid, "js_ver": profile.js_ver, "js_type": 0,
        "login_sig": login_sig, "u1": profile.u1.partition("?")[0], "r": session.rng.random(),
        "regmaster": "", "pt_tea": 1, "pt_vcode": 1,
    }  # fmt: skip
    response = yield from call(
        get("check", "https://ssl.ptlogin2.qq.com/check", query, referer=profile.login_page)
    )
    args = js_call(response, "ptui_checkVC")
    if len(args) < 3:
        raise WebQQProtocolError("check: too few arguments", payload=response.body)
    checked = _Checked(
        code=args[1],
        salt=js_bytes(args[2]),
        captcha=False,
        verifysession=args[3] if len(args) > 3 else "",
        rand_salt=args[4] if len(args) > 4 else "0",
        modern=len(args) > 4,
    )
    if args[0] == "0":
        return checked
    picture = yield from call(
        get(
            "getimage",
            "https://ssl.captcha.qq.com/getimage",
            {"aid": profile.appid, "r": session.rng.random(), "uin": session.number, "cap_cd": args[1]},
            referer=profile.login_page,
        )
    )
    if picture.status != 200 or not picture.body:
        raise TransientError(f"the captcha picture did not come (HTTP {picture.status})")
    answer = yield AskCaptcha(picture.body, CAPTCHA_LIFETIME)
    assert isinstance(answer, str | None)
    if answer is None:
        return None
    verifysession = session.cookies.get("verifysession")
    return attrs.evolve(checked, code=printable(answer).strip(), captcha=True, verifysession=verifysession)


def _cipher(session: Session, checked: _Checked) -> tuple[str, bool]:
    """Return how to send the password, ``md5`` or ``tea``, and whether that is certain (§1, §4.2, §7).

    Three arguments of `check` mean the old cipher, a random salt means the new one. In between, from 2014 on, the
    answers are alike and the cipher changed in March 2015: what worked last, else the one that this generation had
    for most of its life.
    """
    if session.cipher != "auto":
        return session.cipher, True
    if not checked.modern:
        return "md5", True
    if checked.rand_salt == "2":
        return "tea", True
    return session.cipher_found or "md5", False


def _ptlogin(
    session: Session, password: str, checked: _Checked, login_sig: str, cipher: str
) -> Flow[list[str]]:
    """Send the password; return the arguments of ptuiCB (§4.4)."""
    profile, code = session.profile, checked.code
    tea = cipher == "tea"
    if tea:
        p = password_tea(password, checked.salt, code, os.urandom)
    else:
        p = password_md5(password, checked.salt, code)
    query = {
        "u": session.number, "p": p, "verifycode": code, "webqq_type": 10,
        "remember_uin": 1, "login2qq": 1, "aid": profile.appid, "u1": profile.u1, "h": 1, "ptredirect": 0,
        "ptlang": 2052, "daid": profile.daid, "from_ui": 1, "pttype": 1, "dumy": "", "fp": "loginerroralert",
        "action": f"4-5-{session.rng.randrange(4000, 30000)}", "mibao_css": "m_webqq", "t": 1, "g": 1,
        "js_type": 0, "js_ver": profile.js_ver, "login_sig": login_sig,
    }  # fmt: skip
    if tea:
        query |= {
            "pt_uistyle": 5, "pt_vcode_v1": int(checked.captcha), "pt_verifysession_v1": checked.verifysession,
            "pt_randsalt": checked.rand_salt,
        }  # fmt: skip
    url = "https://ssl.ptlogin2.qq.com/login"
    response = yield from call(get("login", url, query, referer=profile.login_page, idempotent=False))
    return _cb(response)


def _cb(response: Response) -> list[str]:
    args = js_call(response, "ptuiCB")
    if len(args) < 5:
        raise WebQQProtocolError("ptuiCB: too few arguments", payload=response.body)
    return args


def _refused(args: list[str]) -> None:
    """Raise what a login status other than 0 and 4 means (§4.4)."""
    status, message = args[0], js_unescape(args[4])
    said = f"the service refused the login: {excerpt(message)} (status {excerpt(status, 20)})"
    if status in ("2", "3", "6", "71"):
        raise FatalError(said)
    if status in ("10005", "10006"):
        raise NeedsHuman(f"{said}; this account must use the QR code, profile smartqq")
    raise TransientError(said, retry_after=TOO_MANY_LOGINS if status == "8" else None)


def login_qr(session: Session) -> Flow[None]:
    """Log in by a QR picture that a person scans; a fresh one whenever it expires (§5)."""
    profile = session.profile
    yield from call(get("login_page", profile.login_page, {}, scheme="https"))
    refreshed = False
    while True:
        session.cookies.drop("qrsig")
        query = {"appid": profile.appid, "e": 0, "l": "M", "s": 5, "d": 72, "v": 4, "t": session.rng.random()}
        picture = yield from call(get("ptqrshow", "https://ssl.ptlogin2.qq.com/ptqrshow", query))
        qrsig = session.cookies.get("qrsig")
        if picture.status != 200 or not qrsig:
            raise TransientError(f"no QR picture came (HTTP {picture.status})")
        yield ShowQR(picture.body, refreshed)
        args = yield from _wait_for_scan(session, qrsig)
        if args is not None:
            break
        refreshed = True
        yield Pause(session.qr_interval)  # a picture that is dead at once must not make us ask without end
        yield AskRenewal()
    yield from check_sig(session, args)
    session.vfwebqq = yield from getvfwebqq(session)
    yield from login2(session)


def quick_login(session: Session) -> Flow[bool]:
    """Log in with the cookies of an earlier QR login, without a person; False when the service says they do not count.

    Source: §5.2, pt4_auth. The session must be a fresh one that was given those cookies. Everything but that one
    word of the service is a hiccup of the network or of its front end.

    Raises:
        SessionGone: The service takes the cookies and refuses what they lead to, or knows no such call.
        TransientError: It cannot be said yet; try again with the same cookies.
    """
    token = session.cookies.get("supertoken")
    if session.profile.login is not Login.QR or not token:
        return False
    profile = session.profile
    query = {"daid": profile.daid, "appid": profile.appid, "auth_token": time33(token)}
    response = yield from call(get("pt4_auth", "http://ptlogin2.qq.com/pt4_auth", query))
    if response.status in (404, 410):
        raise SessionGone(f"pt4_auth: HTTP {response.status}")
    if response.status != 200:
        raise TransientError(f"pt4_auth: HTTP {response.status}")
    try:
        args = js_call(response, "ptui_auth_CB")
    except ProtocolError as exc:
        raise TransientError(f"pt4_auth: {exc}") from exc
    if not args or args[0] != "0":
        return False
    yield from check_sig(session, ["0", "0", args[1] if len(args) > 1 else ""])
    session.vfwebqq = yield from getvfwebqq(session)
    yield from login2(session)
    return True


def _wait_for_scan(session: Session, qrsig: str) -> Flow[list[str] | None]:
    """Look at the picture's state until it is confirmed; None when it has expired (§5.2).

    The words are looked at first and the number second: one capture has the words of 67 with the number 66.
    """
    profile = session.profile
    elapsed = session.rng.randrange(1000, 3000)
    while True:
        query = {
            "ptqrtoken": hash33(qrsig), "webqq_type": 10, "remember_uin": 1, "login2qq": 1, "aid": profile.appid,
            "u1": profile.u1, "ptredirect": 0, "ptlang": 2052, "daid": profile.daid, "from_ui": 1, "pttype": 1,
            "dumy": "", "fp": "loginerroralert", "action": f"0-0-{elapsed}", "mibao_css": "m_webqq",
            "t": "undefined", "g": 1, "js_type": 0, "js_ver": profile.js_ver, "login_sig": "", "pt_randsalt": 0,
        }  # fmt: skip
        url = "https://ssl.ptlogin2.qq.com/ptqrlogin"
        response = yield from call(get("ptqrlogin", url, query, referer=profile.login_page))
        if response.status == 403:
            raise TransientError(
                "the login server refused us (HTTP 403): wrong token, or this address is blocked"
            )
        args = _cb(response)
        message = js_unescape(args[4])
        if "登录成功" in message or args[0] == "0":
            return args
        if "已失效" in message or args[0] == "65":
            return None
        if args[0] not in ("66", "67"):
            _refused(args)
        yield Pause(session.qr_interval)
        elapsed += int(session.qr_interval * 1000)
