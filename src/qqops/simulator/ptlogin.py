"""The login servers: page, check, captcha, password, QR, check_sig. Source: webqq.md §4, §5."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Protocol

from qqops.protocol.webqq.ciphers import password_tea_fits
from qqops.protocol.webqq.hashes import hash33, password_md5, time33
from qqops.simulator import pictures
from qqops.simulator.calendar import Era
from qqops.simulator.state import Aliases, Picture, Session, State
from qqops.simulator.wire import Asked, Reply, cookie, js, page
from qqops.simulator.world import Person

#: appid → generation (§1).
APPIDS = {"1003903": "webqq2013", "501004106": "smartqq"}
#: Seconds a QR picture lives (§12.3).
QR_LIFETIME = 120.0
#: Seconds after which the answer to a captcha counts no more (§12.3).
CAPTCHA_LIFETIME = 900.0

_QR_WORDS = {66: "二维码未失效。", 67: "二维码认证中。", 65: "二维码已失效。"}
_PAST = "Thu, 01 Jan 1970 00:00:00 GMT"


class Options(Protocol):
    """What the login servers want to know of the service's settings."""

    profile: str
    lenient: bool
    captcha: bool
    qr_auto: bool
    quick: bool
    reshuffle: bool
    alias_life: float

    def era(self, generation: str) -> Era:
        """Return the rules for *generation*."""


class PtLogin:
    """The login servers."""

    def __init__(self, state: State, options: Options) -> None:
        self._state = state
        self._options = options

    def routes(self) -> Mapping[str, object]:
        """Return handler by path; the hosts of a path differed over the years and are not checked."""
        return {
            "/cgi-bin/login": self.login_page,
            "/cgi-bin/ver": self.version,
            "/check": self.check,
            "/getimage": self.captcha,
            "/login": self.login,
            "/ptqrshow": self.qr_show,
            "/ptqrlogin": self.qr_login,
            "/check_sig": self.check_sig,
            "/pt4_auth": self.quick_login,
            "/logout": self.logout,
        }

    def generation(self, asked: Asked) -> str:
        """Return which generation a client speaks: as set, or by the appid it sends."""
        if self._options.profile != "auto":
            return self._options.profile.partition("@")[0]
        return APPIDS.get(asked.query.get("appid", "") or asked.query.get("aid", ""), "webqq2013")

    # -- number and password --------------------------------------------------------------------

    def login_page(self, asked: Asked, now: float) -> Reply:
        """§4.1"""
        sig = self._state.hex(40)
        script = f'<script>var g_login_sig=encodeURIComponent("{sig}");var g_pt_version="10040";</script>'
        return page("登录", extra=script, cookies=(cookie("pt_login_sig", sig, "ptlogin2.qq.com"),))

    def version(self, asked: Asked, now: float) -> Reply:
        """§4.1, clients of 2012"""
        return js("ptuiV(201205211530);")

    def check(self, asked: Asked, now: float) -> Reply:
        """§4.2"""
        text = asked.query.get("uin", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        salt = "".join(f"\\x{byte:02x}" for byte in number.to_bytes(8, "big"))
        modern = self._options.era(self.generation(asked)).check_args > 3
        if self._options.captcha or number in self._state.wrong_passwords:
            more = ",'','0'" if modern else ""
            return js(
                f"ptui_checkVC('1','{self._state.hex(56)}','{salt}'{more});", (cookie("confirmuin", "0"),)
            )
        ready = "!" + "".join(self._state.rng.choices(pictures.LETTERS, k=3))
        self._state.codes[number] = ready
        verify = self._state.hex(64)
        more = f",'{verify}','0'" if modern else ""
        return js(
            f"ptui_checkVC('0','{ready}','{salt}'{more});",
            (cookie("ptvfsession", verify, "ptlogin2.qq.com"), cookie("confirmuin", "0")),
        )

    def captcha(self, asked: Asked, now: float) -> Reply:
        """§4.3: each GET makes a new picture and a new verifysession."""
        letters = "".join(self._state.rng.choices(pictures.LETTERS, k=4))
        session = self._state.hex(64)
        self._state.captchas[session], self._state.captchas_made[session] = letters, now
        return Reply(
            body=pictures.captcha(letters, self._state.rng),
            content_type="image/png",
            cookies=(cookie("verifysession", session),),
        )

    def login(self, asked: Asked, now: float) -> Reply:
        """§4.4"""
        text = asked.query.get("u", "")
        person = self._state.world.people.get(
            int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        )
        era = self._options.era(self.generation(asked))
        if not era.password_login:
            return _failed(10005, "为了更好的保护您的QQ，请使用二维码登录。")
        code = asked.query.get("verifycode", "")
        verify = asked.cookies.get("verifysession", "")
        expected = self._state.captchas.pop(verify, None)
        stale = now - self._state.captchas_made.pop(verify, now) > CAPTCHA_LIFETIME
        if expected is None:
            expected = self._state.codes.pop(person.number if person else 0, None)
        if not self._options.lenient and (expected is None or stale or code.upper() != expected):
            return _failed(4, "您输入的验证码不正确，请重新输入。")
        if person is None or not person.is_bot:
            return _failed(3, "您输入的帐号或密码不正确，请重新输入。")
        salt = person.number.to_bytes(8, "big")
        p = asked.query.get("p", "")
        if era.cipher == "tea":
            fits = password_tea_fits(p, person.password, salt, code)
        else:
            fits = p == password_md5(person.password, salt, code)
        if not self._options.lenient and not fits:
            self._state.wrong_passwords.add(person.number)
            return _failed(3, "您输入的帐号或密码不正确，请重新输入。")
        self._state.wrong_passwords.discard(person.number)
        return self._welcome(person, self.generation(asked), asked, "login", now)

    # -- QR -------------------------------------------------------------------------------------

    def qr_show(self, asked: Asked, now: float) -> Reply:
        """§5.1"""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-_"
        qrsig = "".join(self._state.rng.choices(alphabet, k=64))
        self._state.pictures[qrsig] = Picture(qrsig=qrsig, made=now)
        body = pictures.qr(f"https://txz.qq.com/p?k={qrsig[:32]}&f=501004106")
        return Reply(body=body, content_type="image/png", cookies=(cookie("qrsig", qrsig),))

    def qr_login(self, asked: Asked, now: float) -> Reply:
        """§5.2"""
        qrsig = asked.cookies.get("qrsig", "")
        token = asked.query.get("ptqrtoken", "")
        wanted = self._options.era("smartqq").qr_token or bool(token)
        if not self._options.lenient and wanted and token != str(hash33(qrsig)):
            return page("403 Forbidden", 403, "<!-- Tencent Login Server -->")
        picture = self._state.pictures.get(qrsig)
        # A foreign qrsig must get an answer that parses: one client opens with a fixed old one (§5.2).
        if picture is None or picture.expired or now - picture.made > QR_LIFETIME:
            return _qr_state(65, self._state)
        picture.polls += 1
        if self._options.qr_auto:
            picture.scanned, picture.confirmed = picture.polls >= 2, picture.polls >= 3
        if not picture.confirmed:
            return _qr_state(67 if picture.scanned else 66, self._state)
        del self._state.pictures[qrsig]
        return self._welcome(self._next_bot(), "smartqq", asked, "ptqrlogin", now)

    def _next_bot(self) -> Person:
        """Return whose phone has scanned: the first account that is not online, else the first."""
        bots, live = self._state.world.bots, self._state.live
        taken = {s.number for s in self._state.logins.values() if not s.psessionid and s.number not in live}
        free = (b for b in bots if b.number not in taken and (b.number not in live or live[b.number].code))
        return next(free, bots[0])

    def quick_login(self, asked: Asked, now: float) -> Reply:
        """§5.2: in again with the cookies of a QR login, for a day or two."""
        number = self._state.tokens.get(asked.query.get("auth_token", ""), 0)
        if not number or not self._options.quick:
            return js("ptui_auth_CB('1','');")
        url, cookies = self._login(self._state.world.people[number], "smartqq", asked, "pt4_auth", now)
        return js(f"ptui_auth_CB('0','{url}');", cookies)

    # -- both -----------------------------------------------------------------------------------

    def _welcome(self, person: Person, generation: str, asked: Asked, service: str, now: float) -> Reply:
        url, cookies = self._login(person, generation, asked, service, now)
        return js(f"ptuiCB('0','0','{url}','0','登录成功！', '{_js(person.nick)}');", cookies)

    def _login(
        self, person: Person, generation: str, asked: Asked, service: str, now: float
    ) -> tuple[str, tuple[str, ...]]:
        """Make a login: its cookies, ptwebqq last, and the URL of check_sig (§4.4)."""
        state = self._state
        token = str(state.rng.randrange(10**9))
        state.tokens[str(time33(token))] = person.number
        session = Session(
            number=person.number,
            profile=generation,
            aliases=self._aliases(person.number, now),
            skey="@" + state.hex(9),
            ptwebqq=state.hex(64),
            vfwebqq=state.hex(80),
        )
        state.logins[session.skey] = session
        appid = next(a for a, g in APPIDS.items() if g == generation)
        target = asked.query.get("u1", "") or "http://web2.qq.com/loginproxy.html"
        scheme = "https" if self._options.era(generation).https else "http"
        if scheme == "https":  # the site had moved (§1, 2018-06)
            target = target.replace("http://", "https://", 1)
        host = "ptlogin4.web2.qq.com" if generation == "webqq2013" else "ptlogin2.web2.qq.com"
        query = {
            "pttype": 1, "uin": person.number, "service": service, "nodirect": 0, "ptsigx": state.hex(64),
            "s_url": target, "f_url": "", "ptlang": 2052, "ptredirect": 100, "aid": appid, "daid": 164,
            "j_later": 0, "low_login_hour": 0, "regmaster": 0,
        }  # fmt: skip
        url = (
            f"{scheme}://{host}/check_sig?{urllib.parse.urlencode(query)}"  # no comma: clients split on them
        )
        cookies = (
            cookie("pt2gguin", f"o0{person.number}"), cookie("uin", f"o0{person.number}"),
            cookie("skey", session.skey), cookie("ptisp", "ctc"), cookie("RK", state.hex(10)),
            cookie("ptuserinfo", person.nick.encode().hex()), cookie("ptcz", state.hex(64)),
            cookie("superuin", f"o0{person.number}", "ptlogin2.qq.com"),
            cookie("superkey", state.hex(44), "ptlogin2.qq.com"),
            cookie("supertoken", token, "ptlogin2.qq.com"),
            cookie("ptwebqq", session.ptwebqq),
        )  # fmt: skip
        return url, cookies

    def _aliases(self, number: int, now: float) -> Aliases:
        """Return what the new login calls people: as the last one did for some time, if that is set (§2)."""
        state = self._state
        known = state.aliases.get(number)
        if known is None or (self._options.reshuffle and now - known.made >= self._options.alias_life):
            aliases = Aliases(state.rng, now)
            aliases.put(aliases.people, number, number)  # our own number stays what it is (§2)
            state.aliases[number] = aliases
        return state.aliases[number]

    def check_sig(self, asked: Asked, now: float) -> Reply:
        """§4.5: the order of these cookies, empty ones included, is what a jar must survive."""
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        p_skey = self._state.hex(44)
        if session is not None:
            session.p_skey = p_skey
        skey = urllib.parse.quote(asked.cookies.get("skey", ""), safe="@")
        number = urllib.parse.quote(asked.query.get("uin", ""))
        gone = tuple(cookie(name, "", expires=_PAST) for name in ("p_uin", "p_skey", "pt4_token"))
        return Reply(
            body=b"",
            status=302,
            content_type="text/html",
            location=urllib.parse.quote(
                asked.query.get("s_url", "http://web2.qq.com/loginproxy.html"), safe=":/?&=%#+,;@!"
            ),
            cookies=(
                cookie("uin", f"o0{number}"), cookie("skey", skey), cookie("pt2gguin", f"o0{number}"),
                cookie("p_skey", p_skey, "web2.qq.com"),
                cookie("pt4_token", self._state.hex(44), "web2.qq.com"),
                *gone,
                cookie("p_uin", f"o0{number}", "web2.qq.com"),
            ),
        )  # fmt: skip

    def logout(self, asked: Asked, now: float) -> Reply:
        """§5.7"""
        self._state.logins.pop(asked.cookies.get("skey", ""), None)
        return js("pt_logout.logoutQQCom(2);")


def _qr_state(status: int, state: State) -> Reply:
    return js(f"ptuiCB('{status}','0','','0','{_QR_WORDS[status]}({state.rng.randrange(10**10)})', '');")


def _failed(status: int, message: str) -> Reply:
    return js(f"ptuiCB('{status}','0','','0','{message}', '');")


def _js(text: str) -> str:
    """Return *text* for a JavaScript literal; a nick may hold a quote or a backslash."""
    return text.replace("\\", "\\\\").replace("'", "\\x27").replace("\n", " ").replace("\r", " ")
