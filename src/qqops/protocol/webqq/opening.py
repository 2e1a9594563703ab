"""From a login to a channel that can be polled, and back: check_sig, login2, re-link, log-out. Source: webqq.md §4.5–§5.7.

Flows in the sense of `flow`, like those of `login`.
"""

from __future__ import annotations

import re

from qqops.errors import FatalError, TransientError
from qqops.protocol.webqq.classify import SessionGone, Verdict, classify, http_verdict
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Flow, Pause, call
from qqops.protocol.webqq.http import Response, get
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import (
    integer,
    js_unescape,
    json_of,
    mapping,
    printable,
    retcode,
    string,
    token,
)

#: Where a login may lead: the service's own hosts, plain ASCII.
_CHECK_SIG = re.compile(r"https?://(?P<host>(?:[a-z0-9-]{1,60}\.){1,5}qq\.com)(?:/[!-~]*)?", re.ASCII)
#: How often a 404 right after the login is tried again (§12.2).
NOT_FOUND_TRIES = 5


def check_sig(session: Session, args: list[str]) -> Flow[None]:
    """Follow the URL of a successful login; it sets p_skey and friends (§4.5)."""
    url = js_unescape(args[2])
    session.nick = printable(js_unescape(args[5])).strip() if len(args) > 5 else session.nick
    found = _CHECK_SIG.fullmatch(url)
    if found is None:
        raise WebQQProtocolError("the login leads to a foreign or malformed address", payload=url)
    if found["host"] == "aq.qq.com":
        raise FatalError("the account is frozen; unlock it in a browser first")
    yield from call(get("check_sig", url, {}))
    # The target of its redirect is a page for browsers; nothing on it is needed.
    session.ptwebqq = token(session.cookies.get("ptwebqq"), "cookie ptwebqq")
    if not session.number:
        number = session.cookies.get("superuin") or session.cookies.get("uin")
        session.number = integer(number.lstrip("o").lstrip("0"), "cookie uin")


def getvfwebqq(session: Session) -> Flow[str]:
    """Fetch the key of the list host (§5.3)."""
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


def login2(session: Session) -> Flow[None]:
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
        raise WebQQProtocolError("login2: uin is not a QQ number", payload=number)
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
    kind = SessionGone if verdict is Verdict.LOGIN else TransientError
    raise kind(f"{name}: retcode {code} ({verdict.value})")
