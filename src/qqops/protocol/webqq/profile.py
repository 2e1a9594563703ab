"""The two generations of WebQQ as data. Source: webqq.md §1, §3."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from qqops.errors import ConfigError

#: What an account can be seen as (webqq.md §9.1).
STATUSES = ("online", "away", "busy", "callme", "silent", "hidden")


class Login(enum.Enum):
    """How a generation logs in."""

    PASSWORD = "password"
    QR = "qr"


@attrs.frozen(kw_only=True)
class Profile:
    """One generation: hosts, constants and habits.

    Attributes:
        appid: Sent as ``appid`` and ``aid``.
        channel: Host of login2, poll2 and the sends.
        referers: Proxy page by host; the service checks it (§3).
        clientid: Constant client id, or "" for eight random digits per login.
        hashes: Variants of the friends hash, in the order of trying (§8).
        vfwebqq_from_login2: Whether the vfwebqq of login2 is the good one (§1).
        repeats_ids: Whether clientid and psessionid are repeated as form fields (§3).
        opening_calls: Calls after login2 without which polls or sends fail (§5.5).
        login_page: Referer of the calls to the login servers.
        scheme: Of the list and channel hosts; late SmartQQ refused plain http on some (§1).
    """

    name: str
    login: Login
    appid: str
    daid: str
    channel: str
    referers: Mapping[str, str]
    clientid: str
    hashes: tuple[str, ...]
    vfwebqq_from_login2: bool
    repeats_ids: bool
    opening_calls: tuple[str, ...]
    login_page: str
    u1: str
    js_ver: str
    heartbeat: bool
    face: int
    scheme: str


# Parameters of the login page, §4.1.
_LOGIN_PAGE = (
    "https://ui.ptlogin2.qq.com/cgi-bin/login?daid=164&target=self&mibao_css=m_webqq&enable_qlogin=0"
    "&no_verifyimg=1&f_url=loginerroralert&strong_login=1&login_state=10"
)
_S_2013 = "http://s.web2.qq.com/proxy.html?v=20110412001&callback=1&id=3"
_D_2013 = "http://d.web2.qq.com/proxy.html?v=20110331002&callback=1&id=3"
_S_SMART = "https://s.web2.qq.com/proxy.html?v=20130916001&callback=1&id=1"
_D1_SMART = "https://d1.web2.qq.com/proxy.html?v=20151105001&callback=1&id=2"

WEBQQ2013 = Profile(
    name="webqq2013",
    login=Login.PASSWORD,
    appid="1003903",
    daid="164",
    channel="d.web2.qq.com",
    referers={"s.web2.qq.com": _S_2013, "d.web2.qq.com": _D_2013},
    clientid="",
    # O was in use most of 2013 and again in 2014; a client tries the others on retcode 50.
    hashes=("O", "P", "N", "Q"),
    vfwebqq_from_login2=True,
    repeats_ids=True,
    opening_calls=(),
    login_page=_LOGIN_PAGE
    + "&style=5&appid=1003903&s_url=http%3A%2F%2Fweb2.qq.com%2Floginproxy.html&t=20131024001",
    u1="http://web2.qq.com/loginproxy.html?login2qq=1&webqq_type=10",
    js_ver="10040",
    heartbeat=True,
    face=549,
    scheme="http",
)

SMARTQQ = Profile(
    name="smartqq",
    login=Login.QR,
    appid="501004106",
    daid="164",
    channel="d1.web2.qq.com",
    referers={"s.web2.qq.com": _S_SMART, "d1.web2.qq.com": _D1_SMART, "d.web2.qq.com": _D1_SMART},
    clientid="53999199",
    hashes=("P", "O", "N", "Q"),
    vfwebqq_from_login2=False,
    repeats_ids=False,
    opening_calls=("get_self_info2", "get_online_buddies2", "get_recent_list2"),
    login_page=_LOGIN_PAGE
    + "&style=16&appid=501004106&s_url=http%3A%2F%2Fw.qq.com%2Fproxy.html&t=20131024001",
    u1="http://w.qq.com/proxy.html?login2qq=1&webqq_type=10",
    js_ver="10141",
    heartbeat=False,
    face=522,
    scheme="https",
)

PROFILES: Mapping[str, Profile] = {p.name: p for p in (WEBQQ2013, SMARTQQ)}


def profile(name: str) -> Profile:
    """Return the profile *name*. Raises `ConfigError` when there is none."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"unknown profile {name!r}", hint=f"one of: {', '.join(PROFILES)}") from None
