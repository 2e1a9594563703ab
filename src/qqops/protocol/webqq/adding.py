"""Finding somebody by number and asking to become friends. Source: webqq.md §9.6, §9.7.

The service adds nobody whom the account has not looked up before: the look-up, behind a captcha, gives the token that
the request must carry.
"""

from __future__ import annotations

import attrs

from qqops.errors import ProtocolError, Refuse, TransientError
from qqops.protocol.webqq.calls import api, result
from qqops.protocol.webqq.flow import AskCaptcha, AskRenewal, Flow, call
from qqops.protocol.webqq.http import Request, get
from qqops.protocol.webqq.login import CAPTCHA_LIFETIME
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import integer, printable, string

#: Captchas that are asked for in one search. A wrong one and a number that nobody has look alike.
TRIES = 2
#: Values of ``allow`` (§9.6): anybody may add this person, or nobody.
_ANYBODY, _NOBODY = 0, 2


@attrs.frozen(kw_only=True)
class Found:
    """Somebody who was looked up by number.

    Attributes:
        allow: Who may add this person: 0 anybody, 1 after approval, 2 nobody, 3 who answers a question, 4 both (§9.6).
        token: What a request to this person must carry.
    """

    number: int
    nick: str
    allow: int
    token: str = attrs.field(repr=False)


def search(session: Session, number: int) -> Flow[Found]:
    """Look somebody up.

    Raises:
        ProtocolError: The service finds nobody, or did not like the captcha.
        TransientError: It cannot say at the moment.
    """
    tries = 0
    while True:
        code = yield from _captcha(session)
        if code is None:
            yield AskRenewal()
            continue
        tries += 1
        try:
            answer = yield from result(session, _query(session, number, code))
            break
        except ProtocolError:
            if tries == TRIES:
                raise
    token = answer.get("token")
    return Found(
        number=integer(answer.get("account", number), "search_qq_by_uin2: account"),
        nick=printable(string(answer.get("nick", ""), "search_qq_by_uin2: nick")),
        allow=integer(answer.get("allow", 1), "search_qq_by_uin2: allow"),
        token=token if isinstance(token, str) else "",
    )


def _captcha(session: Session) -> Flow[str | None]:
    """Have a person read a picture as at the login (§4.3); None when the answer came too late.

    That the search wants the login's own aid is a guess.
    """
    query = {"aid": session.profile.appid, "r": session.rng.random(), "uin": session.number}
    picture = yield from call(
        get("getimage", "https://ssl.captcha.qq.com/getimage", query, referer=_page(session))
    )
    if picture.status != 200 or not picture.body:
        raise TransientError(f"the captcha picture did not come (HTTP {picture.status})")
    answer = yield AskCaptcha(picture.body, CAPTCHA_LIFETIME)
    return printable(answer).strip() if isinstance(answer, str) else None


def _page(session: Session) -> str:
    return session.profile.referers["s.web2.qq.com"]


def _query(session: Session, number: int, code: str) -> Request:
    query = {"tuin": number, "verifysession": session.cookies.get("verifysession"), "code": code}
    return session.list_get("search_qq_by_uin2", query)


def add_openly(session: Session, found: Found, remark: str = "") -> Request:
    """Add somebody who lets everybody do so."""
    return api(
        session, "add_no_verify2", account=found.number, myallow=1, groupid=0, mname=remark, token=found.token
    )


def ask_to_add(session: Session, found: Found, text: str) -> Request:
    """Ask somebody to become a friend; an answer to a question travels the same way (a guess)."""
    return api(
        session, "add_need_verify2", account=found.number, myallow=1, groupid=0, msg=text, token=found.token
    )


def request(session: Session, found: Found, text: str) -> Request:
    """Return the call that adds *found* in the way that this person allows. Raises `Refuse` when there is none."""
    if found.allow == _NOBODY:
        raise Refuse(f"{found.number} lets nobody add them")
    return add_openly(session, found) if found.allow == _ANYBODY else ask_to_add(session, found, text)
