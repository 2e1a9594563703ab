"""Logging in: both ways, and the re-link that avoids it. Source: webqq.md §4, §5.

Flows in the sense of `flow`. They end with a usable `Session` or raise: `TransientError` (again, later),
`NeedsHuman`, `FatalError`.
"""

from __future__ import annotations

import os
import re

import attrs

from qqops.errors import FatalError, NeedsHuman, ProtocolError, TransientError, excerpt
from qqops.protocol.webqq.ciphers import password_tea
from qqops.protocol.webqq.classify import Verdict, classify, http_verdict
from qqops.protocol.webqq.flow import AskCaptcha, AskRenewal, Flow, Pause, ShowQR, call
from qqops.protocol.webqq.hashes import hash33, password_md5, time33
from qqops.protocol.webqq.http import Response, get
from qqops.protocol.webqq.profile import Login
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import (
    integer,
    js_bytes,
    js_call,
    js_unescape,
    json_of,
    mapping,
    printable,
    retcode,
    string,
    text_of,
    token,
)

#: Where a login may lead: the service's own hosts, plain ASCII.
_CHECK_SIG = re.compile(r"https?://(?P<host>(?:[a-z0-9-]{1,60}\.){1,5}qq\.com)(?:/[!-~]*)?", re.ASCII)
_LOGIN_SIG = re.compile(r'g_login_sig=encodeURIComponent\("([^"]*)"\)')

#: How often a captcha is asked for before the login starts over.
CAPTCHA_TRIES = 5
#: Seconds after which a captcha is stale (§4.2, §12.3).
CAPTCHA_LIFETIME = 15 * 60.0
#: How often a 404 right after the login is tried again (§12.2).
NOT_FOUND_TRIES = 5
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
    page = yield from call(get("login_page", session.profile.login_page, {}, scheme="https"))
    found = _LOGIN_SIG.search(text_of(page))
    login_sig = found[1] if found else ""  # an empty one works, too (§4.1)
    tries = 0
    while tries < CAPTCHA_TRIES:
        checked = yield from _check(session, login_sig)
        if checked is None:
            yield AskRenewal()
            continue
        tries += 1
        args = yield from _ptlogin(session, password, checked, login_sig)
        if args[0] == "0":
            yield from _check_sig(session, args)
            yield from _login2(session)
            return
        if args[0] != "4":  # 4: wrong captcha, the password was not even looked at
            _refused(args)
    raise NeedsHuman(f"the captcha was wrong {CAPTCHA_TRIES} times")


@attrs.frozen(kw_only=True)
class _Checked:
    """What `check` said.

    Attributes:
        code: What to log in with: ready-made, or typed by a person.
        captcha: Whether it was typed.
        verifysession: Goes with the code in the logins of 2015.
        rand_salt: 2 when the salt is random.
        modern: Whether `check` answered as from 2014 on; from March 2015 that meant another cipher (§1, §4.2).
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
        raise ProtocolError("check: too few arguments", payload=response.body)
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


def _ptlogin(session: Session, password: str, checked: _Checked, login_sig: str) -> Flow[list[str]]:
    """Send the password; return the arguments of ptuiCB (§4.4)."""
    profile, code = session.profile, checked.code
    tea = session.cipher == "tea" or (session.cipher == "auto" and checked.modern)
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
        raise ProtocolError("ptuiCB: too few arguments", payload=response.body)
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
    yield from _check_sig(session, args)
    session.vfwebqq = yield from _getvfwebqq(session)
    yield from _login2(session)


def quick_login(session: Session) -> Flow[bool]:
    """Log in with the cookies of an earlier QR login, without a person; False when they do not count any more.

    Source: §5.2, pt4_auth. The session must be a fresh one that was given those cookies.
    """
    token = session.cookies.get("supertoken")
    if session.profile.login is not Login.QR or not token:
        return False
    profile = session.profile
    query = {"daid": profile.daid, "appid": profile.appid, "auth_token": time33(token)}
    response = yield from call(get("pt4_auth", "http://ptlogin2.qq.com/pt4_auth", query))
    if response.status != 200:
        return False
    try:
        args = js_call(response, "ptui_auth_CB")
    except ProtocolError:
        return False
    if len(args) < 2 or args[0] != "0":
        return False
    yield from _check_sig(session, ["0", "0", args[1]])
    session.vfwebqq = yield from _getvfwebqq(session)
    yield from _login2(session)
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


def _check_sig(session: Session, args: list[str]) -> Flow[None]:
    """Follow the URL of a successful login; it sets p_skey and friends (§4.5)."""
    url = js_unescape(args[2])
    session.nick = printable(js_unescape(args[5])).strip() if len(args) > 5 else session.nick
    found = _CHECK_SIG.fullmatch(url)
    if found is None:
        raise ProtocolError("the login leads to a foreign or malformed address", payload=url)
    if found["host"] == "aq.qq.com":
        raise FatalError("the account is frozen; unlock it in a browser first")
    yield from call(get("check_sig", url, {}))
    # The target of its redirect is a page for browsers; nothing on it is needed.
    session.ptwebqq = token(session.cookies.get("ptwebqq"), "cookie ptwebqq")
    if not session.number:
        number = session.cookies.get("superuin") or session.cookies.get("uin")
        session.number = integer(number.lstrip("o").lstrip("0"), "cookie uin")


def _getvfwebqq(session: Session) -> Flow[str]:
    query = {"ptwebqq": session.ptwebqq, "clientid": session.clientid, "psessionid": ""}
    for _ in range(NOT_FOUND_TRIES):
        request = session.list_get("getvfwebqq", query)
        response = yield from call(request)
        if response.status == 404:  # the login has not spread yet
            yield Pause(1.0)
            continue
        body = _checked(session, response, "getvfwebqq")
        return string(mapping(body.get("result"), "getvfwebqq: result").get("vfwebqq"), "vfwebqq")
    raise TransientError(f"getvfwebqq answered 404 for {NOT_FOUND_TRIES} times")


def _login2(session: Session) -> Flow[None]:
    """Open the channel (§4.6, §5.4), and make the calls without which it does not work (§5.5)."""
    if session.profile.repeats_ids:
        r: dict[str, object] = {
            "status": session.status, "ptwebqq": session.ptwebqq, "passwd_sig": "", "clientid": session.clientid,
            "psessionid": None,
        }  # fmt: skip
    else:
        r = {"ptwebqq": session.ptwebqq, **session.id_fields, "psessionid": "", "status": session.status}
    session.psessionid = ""
    for _ in range(NOT_FOUND_TRIES):
        response = yield from call(session.channel_post("login2", r))
        if response.status == 404:
            yield Pause(1.0)
            continue
        body = _checked(session, response, "login2")
        _take_login2(session, mapping(body.get("result"), "login2: result"))
        yield from opening_calls(session)
        return
    raise TransientError(f"login2 answered 404 for {NOT_FOUND_TRIES} times")


def _take_login2(session: Session, result: dict[str, object]) -> None:
    session.psessionid = string(result.get("psessionid"), "psessionid")
    number = integer(result.get("uin"), "login2: uin")
    if number <= 0:
        raise ProtocolError("login2: uin is no QQ number", payload=number)
    if session.number not in (0, number):
        raise FatalError(f"the login is that of {number}, and the settings say {session.number}")
    session.number = number
    if session.profile.vfwebqq_from_login2:
        session.vfwebqq = string(result.get("vfwebqq"), "vfwebqq")


def opening_calls(session: Session) -> Flow[None]:
    """Make the calls after login2. Without get_online_buddies2 SmartQQ polls answer 103 (§5.5)."""
    for name in session.profile.opening_calls:
        if name == "get_self_info2":
            request = session.list_get(name, {})
        elif name == "get_recent_list2":
            request = session.channel_post(name, {"vfwebqq": session.vfwebqq, **session.id_fields})
        else:
            request = session.channel_get(name, {"vfwebqq": session.vfwebqq})
        yield from call(request)


def relink(session: Session) -> Flow[bool]:
    """Take the session up again without a login (§5.6); False when a new login is needed."""
    r: dict[str, object] = {
        "ptwebqq": session.ptwebqq, **session.id_fields, "key": "", "status": session.status, "state": "online",
    }  # fmt: skip
    for _ in range(3):
        response = yield from call(session.channel_post("login2", r, call="relink"))
        if response.status != 200:
            raise TransientError(f"relink: HTTP {response.status}")
        body = json_of(response, "relink")
        verdict = classify(session.profile.name, "relink", retcode(body, "relink"))
        if verdict is Verdict.OK:
            _take_login2(session, mapping(body.get("result"), "relink: result"))
            yield from opening_calls(session)
            return True
        if verdict is Verdict.FATAL:
            raise FatalError(f"the service refused the account (retcode {retcode(body, 'relink')})")
        if verdict is not Verdict.TRANSIENT:
            return False
        yield Pause(1.0)
    return False


def change_status(session: Session, status: str) -> Flow[bool]:
    """Be seen as *status*, one of `STATUSES`; False when the service refuses (§9.6)."""
    response = yield from call(session.channel_get("change_status2", {"newstatus": status}))
    if response.status != 200 or retcode(json_of(response, "change_status2"), "change_status2") != 0:
        return False
    session.status = status
    return True


def logout(session: Session) -> Flow[None]:
    """Say good-bye (§5.7)."""
    yield from call(session.channel_get("logout2", {"ids": ""}))


def _checked(session: Session, response: Response, name: str) -> dict[str, object]:
    """Return the JSON of a login call, or raise what its code means."""
    if response.status != 200:
        verdict = http_verdict(name, response.status)
        raise TransientError(f"{name}: HTTP {response.status} ({verdict.value})")
    body = json_of(response, name)
    code = retcode(body, name)
    verdict = classify(session.profile.name, name if name == "login2" else "", code)
    if verdict is Verdict.OK:
        return body
    if verdict is Verdict.FATAL:
        raise FatalError(f"{name}: the service refused the account (retcode {code})")
    raise TransientError(f"{name}: retcode {code} ({verdict.value})")
