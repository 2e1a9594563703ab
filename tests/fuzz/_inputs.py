"""Inputs of the fuzz harness: decisions taken from bytes, tokens, JSON of any kind, and valid answers to start from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

#: Longest answer that is made, in bytes; the bounds on time and memory are for this size.
MAX_INPUT = 64 * 1024

# -- decisions ---------------------------------------------------------------------------------------


class Draw:
    """Takes decisions from the bytes of an input; when they are used up, every decision is the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether there are bytes left."""
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """Return a number from 0 to *below* - 1; from one byte if that is enough, else from two."""
        size = 1 if below <= 256 else 2
        taken = self.take(size)
        return int.from_bytes(taken, "big") % below

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return choices[self.number(len(choices))]

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes, or fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))


#: How often a token is repeated: mostly once, at times until the answer is full.
_TIMES = (1, 1, 1, 1, 1, 2, 3, 20, 300, 4_000, MAX_INPUT // 2)

TOKENS: tuple[bytes, ...] = (
    b"'", b'"', b"\\", b"\\'", b"\\\\", b"(", b")", b",", b";", b" ", b"=", b"[", b"]", b"{", b"}", b":", b"0", b"1",
    b"9", b"-", b"a", b"<", b"&", b"&#", b"&#x", b"&nbsp;", b"&lt;", b"\\ud800", b"\\udfff", b"\\ud83d\\ude00", b"\\u0000",
    b"\\x27", b"&#" + b"9" * 5000, b"1" + b"0" * 400, b"\\x00", b"\r", b"\n", b"\t", b"\x00", b"\x1b[2J", b"\x7f", b"\xff", b"\xed\xa0\x80", "你".encode(),
    "“".encode(), "”".encode(), "「".encode(), "—".encode(), "－".encode(), "＝".encode(), "　".encode(), "²".encode(),
    "\u202e".encode(), "\ufeff".encode(), "😀".encode(), b"--", b"--env", b"-n", b"null", b"true", b"NaN", b"1e999",
    b"super", b"token", b"ptuiCB(", b"'0',", b"http://", b"ptlogin2.qq.com", b"g_login_sig=encodeURIComponent(\"",
    b"qrsig=", b"ptwebqq=", b"DOMAIN=qq.com;", b"EXPIRES=", b"Max-Age=", b"1970", b"GMT", b"%", b"%00", b"+", b"?", b"/",
)  # fmt: skip


def pieces(draw: Draw, most: int = 12) -> bytes:
    """Return bytes made of tokens and raw bytes, some of them many times."""
    parts: list[bytes] = []
    size = 0
    for _ in range(draw.number(most + 1)):
        choice = draw.number(256)
        token = TOKENS[choice] if choice < len(TOKENS) else draw.take(choice - len(TOKENS))
        times = min(draw.pick(_TIMES), (MAX_INPUT - size) // max(1, len(token)))
        parts.append(token * times)
        size += len(token) * times
    return b"".join(parts)


#: A text or number within an answer; what is between quotes of JavaScript counts, too.
_SCALAR = re.compile(rb"""(?<=')[^']*(?=')|"[^"]*"|-?\b\d+""")


def mutated(draw: Draw, template: bytes) -> bytes:
    """Return *template* with up to three places overwritten, or with other values in up to three places."""
    for _ in range(draw.number(4)):
        places = list(_SCALAR.finditer(template)) if draw.number(2) else []
        if places:
            place = draw.pick(places)
            value = json_text(draw).encode() if draw.number(2) else pieces(draw, 4)
            template = template[: place.start()] + value + template[place.end() :]
        else:
            at, gone = draw.number(len(template) + 1), draw.number(24)
            template = template[:at] + pieces(draw, 4) + template[at + gone :]
    return template[:MAX_INPUT]


_STRINGS = (
    "", "x", "hello ", "1", "-5", "0" * 21, "\\ud800", "\\udc00\\ud800", "\\ud83d\\ude00", "&nbsp;&#39;", "&#xd800;", "\\r\\n",
    "\\u0000\\u001b[2J", "ok", "group_join", "group_leave", "verify_required", "message", "group_message",
    "discu_message", "kick_message", "sys_g_msg", "system_message", "font", "face", "cface", "offpic", "@nick go", "²",
    "&#" + "9" * 5000, "stall", "close", "port", "raw", "buddy", "group", "discu", "Ali", "qqops-test", "plan", "confirm",
)  # fmt: skip
_NUMBERS = (
    "0", "1", "7", "14", "-1", "100200300", "4294967295", "18446744073709551616", "1.5", "1e999", "-0.0", "NaN", "true",
    "false", "null", "103", "116", "121", "1202", "100000", "100012", "68719476735", "68719476736", "3890000001", "20001", "1" + "0" * 400,
)  # fmt: skip
_KEYS = (
    "retcode", "errCode", "result", "poll_type", "value", "content", "msg_id", "msg_id2", "from_uin", "send_uin", "did",
    "time", "seq", "info_seq", "p", "info", "friends", "marknames", "markname", "nick", "uin", "gnamelist", "gmarklist",
    "gid", "code", "name", "dnamelist", "minfo", "cards", "card", "muin", "ginfo", "members", "mem_info", "mem_list",
    "mem_uin", "ruin", "account", "vfwebqq", "psessionid", "type", "reason", "msg", "t_gcode", "t_new_member",
    "t_old_member", "t_admin_uin", "file_path", "kind", "from", "room", "text", "segments", "item", "fault", "seconds",
    "probability", "count", "seed", "clear", "on", "status", "action", "to", "group_uin", "clientid", "hash", "bad\\ud800",
)  # fmt: skip


def json_text(draw: Draw, depth: int = 0) -> str:
    """Return a JSON value as text; mostly well-formed, of any type, size and depth."""
    kind = draw.number(14 if depth < 6 else 8)
    if kind <= 2:
        return draw.pick(_NUMBERS)
    if kind <= 5:
        text = draw.pick(_STRINGS)
        return f'"{text * min(draw.pick(_TIMES), 1 + 8000 // (len(text) + 1))}"'
    if kind == 6:  # a number or an entity as long as Python lets it be, and beyond
        digits = "9" * draw.pick((20, 400, 4298, 4299, 4300, 9000))
        return draw.pick(("1", "-1", "0.")) + digits if draw.number(2) else f'"&#{digits};"'
    if kind == 7:
        count, inner, object_ = (
            draw.pick((3, 60, 450, 900)) + draw.number(128),
            draw.pick(("1", '"\\ud800"', '""')),
            '{"a":',
        )
        return object_ * count + inner + "}" * count if draw.number(2) else "[" * count + inner + "]" * count
    if kind <= 10:
        return f"[{','.join(json_text(draw, depth + 1) for _ in range(draw.number(5)))}]"
    return _object(f'"{draw.pick(_KEYS)}":{json_text(draw, depth + 1)}' for _ in range(draw.number(6)))


def _object(pairs: Iterable[str]) -> str:
    return "{" + ",".join(pairs) + "}"


def fields(draw: Draw, names: Sequence[str], usual: str = "7") -> str:
    """Return a JSON object with *names*, most of them holding something usual."""
    return _object(f'"{name}":{json_text(draw) if draw.number(3) == 2 else usual}' for name in names)


# -- valid answers to start from (webqq.md §4, §5, §9, §10, §11) --------------------------------------

FONT_TEXT = '["font",{"size":10,"color":"000000","style":[0,0,0],"name":"\\u5b8b\\u4f53"}]'
_LOGIN2 = (
    b'{"retcode":0,"result":{"uin":100200300,"cip":23600812,"index":1075,"port":47450,"status":"online",'
    b'"vfwebqq":"0a1b","psessionid":"8368","user_state":0,"f":0}}'
)
_URL = "http://ptlogin2.web2.qq.com/check_sig?pttype=1&uin=100200300&ptsigx=0a&s_url=http%3A%2F%2Fw.qq.com%2F"
_DONE = f"ptuiCB('0','0','{_URL}','0','登录成功！', 'nick');\r\n".encode()
OK = b'{"retcode":0,"result":"ok"}'

#: Good answers by the name of the call.
ANSWERS: dict[str, tuple[bytes, ...]] = {
    "login_page": (b'<script>var g_login_sig=encodeURIComponent("0a1b");</script>',),
    "check": (
        b"ptui_checkVC('0','!PTH','\\x00\\x00\\x00\\x00\\x05\\xf8\\xef\\x6c');\r\n",
        b"ptui_checkVC('1','0a1b','\\x00\\x00\\x00\\x00\\x05\\xf8\\xef\\x6c');\r\n",
    ),
    "getimage": (b"\x89PNG",),
    "login": (
        _DONE,
        "ptuiCB('4','0','','0','验证码不正确', '');".encode(),
        "ptuiCB('3','0','','0','密码不正确', '');".encode(),
        b"ptuiCB('10005','0','','0','\\u4f60', '');",
    ),
    "ptqrshow": (b"\x89PNG",),
    "ptqrlogin": (
        _DONE,
        "ptuiCB('66','0','','0','二维码未失效。(3203338905)', '');\r\n".encode(),
        "ptuiCB('65','0','','0','二维码已失效。(4171256442)', '');\r\n".encode(),
    ),
    "check_sig": (b"",),
    "getvfwebqq": (b'{"retcode":0,"result":{"vfwebqq":"0a1b"}}',),
    "login2": (_LOGIN2, b'{"retcode":103,"errmsg":""}'),
    "relink": (_LOGIN2, b'{"retcode":112}', b'{"retcode":103}', b'{"retcode":106}'),
    "get_user_friends2": (
        b'{"retcode":0,"result":{"friends":[{"flag":0,"uin":3100000001,"categories":0}],"marknames":[{"uin":3100000001,'
        b'"markname":"Ali","type":0}],"info":[{"face":0,"flag":0,"nick":"A&nbsp;B","uin":3100000001}]}}',
        b'{"retcode":50}',
    ),
    "get_group_name_list_mask2": (
        b'{"retcode":0,"result":{"gmasklist":[],"gnamelist":[{"flag":1,"name":"qqops-test","gid":2700000002,"code":'
        b'3500000003}],"gmarklist":[{"uin":2700000002,"markname":"work"}]}}',
        b'{"retcode":50}',
    ),
    "get_discus_list": (b'{"retcode":0,"result":{"dnamelist":[{"name":"plan","did":2000000004}],"dmasklist":[]}}',),
    "get_group_info_ext2": (
        b'{"retcode":0,"result":{"minfo":[{"nick":"Alice","uin":3100000001}],"ginfo":{"members":[{"muin":3100000001,'
        b'"mflag":1}]},"cards":[{"muin":3100000001,"card":"card"}]}}',
    ),
    "get_discu_info": (
        b'{"retcode":0,"result":{"info":{"did":2000000004,"mem_list":[{"mem_uin":3100000001,"ruin":20001}]},'
        b'"mem_info":[{"uin":3100000001,"nick":"Alice"}]}}',
    ),
    "get_friend_uin2": (b'{"retcode":0,"result":{"uiuin":"","account":20001,"uin":3100000001}}',),
    "change_status2": (OK,),
    "send": (OK, b'{"errCode":0,"msg":"send ok"}', b'{"errmsg":"error!!!","retcode":1202}', b'{"retcode":100100}'),
}  # fmt: skip

POLLS: tuple[bytes, ...] = (
    f'{{"retcode":0,"result":[{{"poll_type":"message","value":{{"msg_id":1,"msg_id2":2,"from_uin":3100000001,"time":1400000000,'
    f'"content":[{FONT_TEXT},"hello ",["face",14]," "]}}}},{{"poll_type":"group_message","value":{{"msg_id":2,"from_uin":2700000002,'
    f'"send_uin":3100000001,"seq":5,"info_seq":30001,"time":1400000001,"content":[{FONT_TEXT},"@nick go "]}}}}]}}'.encode(),
    b'{"retcode":0,"result":[{"poll_type":"kick_message","value":{"way":"poll","reason":"\\u60a8"}},{"poll_type":"sys_g_msg",'
    b'"value":{"type":"group_join","t_gcode":30001,"t_new_member":20001,"t_admin_uin":""}},{"poll_type":"system_message",'
    b'"value":{"type":"verify_required","account":20001,"msg":"hi"}}]}',
    b'{"retcode":116,"p":"0a1b2c"}',
    b'{"retcode":102,"errmsg":""}',
    b'{"retcode":100012,"retmsg":"cmd[qconnect.0], errmsg[RecvTimeout], cost[59.95s]","errmsg":"error"}',
    b'{"retcode":121,"t":"0"}',
    b"<html><head><title>502 Bad Gateway</title></head></html>",
)

COOKIES: tuple[bytes, ...] = (
    b"qrsig=abc*-_; PATH=/; DOMAIN=qq.com;",
    b"ptwebqq=0a1b2c; PATH=/; DOMAIN=qq.com;",
    b"superuin=o0100200300;PATH=/;DOMAIN=ptlogin2.qq.com;",
    b"p_skey=; EXPIRES=Thu, 01 Jan 1970 00:00:00 GMT; PATH=/; DOMAIN=qq.com;",
    b"x=1; Max-Age=0; DOMAIN=.qq.com",
    b"skey=@abcdefghi; PATH=/; DOMAIN=qq.com;",
    b"pt2gguin=o01; EXPIRES=Fri, 02-Jan-2020 00:00:00 GMT; PATH=/; DOMAIN=qq.com;",
)


def any_body(draw: Draw, templates: Sequence[bytes]) -> bytes:
    """Return an answer's body: one of *templates*, mutated; or JSON, or tokens of any kind."""
    kind = draw.number(8)
    if kind <= 4:
        return mutated(draw, draw.pick(templates))
    return json_text(draw).encode()[:MAX_INPUT] if kind == 5 else pieces(draw)
