"""Targets: the core of WebQQ and command lines."""

from __future__ import annotations

import datetime
import json
import random
import re
import time
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from _checks import (
    MAX_ERROR,
    SLOW,
    Slow,
    attempt,
    check_error,
    check_request,
    check_texts,
    must,
)
from _inputs import (
    ANSWERS,
    COOKIES,
    FONT_TEXT,
    MAX_INPUT,
    OK,
    POLLS,
    Draw,
    any_body,
    fields,
    json_text,
    mutated,
    pieces,
)

from qqops import texts
from qqops.adapters.http.response import ResponseReader
from qqops.errors import AdapterError, FatalError, ProtocolError
from qqops.model import AccountRef, PersonRef, Text
from qqops.plugin import _line, signature
from qqops.plugin.convert import Rest
from qqops.protocol import words
from qqops.protocol.webqq import (
    adding,
    calls,
    content,
    grouping,
    items,
    lists,
    login,
    manage,
    opening,
    pictures,
    poll,
    send,
    wire,
)
from qqops.protocol.webqq.flow import AskCaptcha, AskRenewal, Call, Flow, Pause
from qqops.protocol.webqq.http import Cookies, Request, Response
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.roster import NeedFriend, NeedGroup, NeedMembers, NeedPerson, Roster
from qqops.protocol.webqq.session import Session
from qqops.runtime.registry import Line
from qqops.simulator.world import DEFAULT_BOT

#: Steps of a flow that are answered before the harness walks away.
STEPS = 60

ME = AccountRef("webqq", "fuzz")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CATALOGUE = texts.load()
GROUP = lists.Group(2700000002, 3500000003, "g")


def make_session(draw: Draw) -> Session:
    """Return a session as a login could have left it."""
    session = Session(profile=draw.pick(list(PROFILES.values())), rng=random.Random(1))
    session.number = draw.pick((DEFAULT_BOT, 0, 4294967295, 20001))
    session.psessionid, session.vfwebqq = "ps", "vf"
    session.ptwebqq = draw.pick(("0123abcd", "", "abc", "a" * 200))
    return session


def fuzz_wire(draw: Draw) -> None:
    """The parsers by themselves, on raw bytes or on mutated answers."""
    everything = [body for bodies in ANSWERS.values() for body in bodies]
    body = draw.rest()[:MAX_INPUT] if draw.number(2) == 0 else any_body(draw, everything)
    response = Response(status=draw.pick((200, 502)), body=body)
    value = attempt("json_of", lambda: wire.json_of(response, "call"), ProtocolError)
    if value is not None:
        must(isinstance(value, dict), "json_of gave no object")
        check_texts("json_of", value)
        attempt("retcode", lambda: wire.retcode(value, "call"), ProtocolError)
    args = attempt("js_call", lambda: wire.js_call(response, "ptuiCB"), ProtocolError) or []
    text = wire.text_of(response)
    for one in (text, *args):
        check_texts("js_unescape", attempt("js_unescape", lambda one=one: wire.js_unescape(one)))
        attempt("js_bytes", lambda one=one: wire.js_bytes(one), ProtocolError)


def poll_body(draw: Draw) -> bytes:
    """Return an answer of poll2 built from known types and odd fields."""
    made: list[str] = []
    for _ in range(draw.number(5)):
        kind = draw.pick(
            ("message", "group_message", "discu_message", "kick_message", "sys_g_msg", "system_message", "?")
        )
        if kind.endswith("message") and draw.number(4):
            names = ("msg_id", "msg_id2", "from_uin", "send_uin", "did", "time", "seq", "info_seq")
            elements = ",".join(json_text(draw) for _ in range(draw.number(6))) or '"x "'
            value = f'{fields(draw, names)[:-1]},"content":[{FONT_TEXT},{elements}]}}'
        else:
            names = (
                "type",
                "t_gcode",
                "t_new_member",
                "t_old_member",
                "t_admin_uin",
                "account",
                "msg",
                "reason",
            )
            usual = draw.pick(('"group_join"', '"group_leave"', '"verify_required"', "8"))
            value = fields(draw, names, usual)
        value = value if draw.number(8) else json_text(draw)
        kind = kind if draw.number(8) else draw.pick(("x" * 5000, "\\ud800", "\\u001b\\n"))
        item = f'{{"poll_type":"{kind}","value":{value}}}' if draw.number(6) else json_text(draw)
        made += [item] * draw.pick((1, 1, 1, 40))
    code = draw.pick(("0", "0", "0", "116", json_text(draw)))
    result = ",".join(made)
    return f'{{"retcode":{code},"p":{json_text(draw)},"result":[{result}]}}'.encode()[:MAX_INPUT]


def fuzz_poll(draw: Draw) -> None:
    """poll.read, and what the roster makes of the items."""
    session = make_session(draw)
    body = draw.rest()[:MAX_INPUT] if draw.number(3) == 0 else None
    for _ in range(1 if body is not None else 1 + draw.number(3)):
        answer = body if body is not None else poll_body(draw) if draw.number(3) else any_body(draw, POLLS)
        response = Response(
            status=draw.pick((200, 200, 200, 404)), body=answer, elapsed=draw.pick((30.0, 0.0))
        )
        polled = attempt("poll.read", lambda r=response: poll.read(session, r), ProtocolError)
        if polled is None:
            continue
        check_texts("poll.read", polled)
        hash(polled.items)
        if polled.ptwebqq:
            session.renew_ptwebqq(polled.ptwebqq)
        check_request(poll.request(session, 60.0), session.cookies.header("d1.web2.qq.com"))
        attempt("friends_hash", lambda: session.friends_hash)
        check_items(draw, session, polled.items)


def check_items(draw: Draw, session: Session, found: Sequence[items.Item]) -> None:
    """Check the items of a poll, and translate the messages with a roster that knows some of the people."""
    roster = Roster(account=ME, own=session.number, nick="nick")
    for item in found:
        if isinstance(item, items.Malformed):
            check_error("poll.read: Malformed", item.error)
        if isinstance(item, items.Kicked):  # becomes the text of an error
            check_error("poll.read: Kicked", FatalError(item.reason))
        if not isinstance(item, items.Incoming):
            continue
        if draw.number(2):
            roster.friends[item.sender] = lists.Contact(item.sender, "n", "m")
            roster.numbers[item.sender] = draw.pick((0, session.number, 20001))
        for _ in range(6):
            need = next(iter(attempt("Roster.needs", lambda m=item: roster.needs(m))), None)
            if need is None:
                break
            roster.asked.add(need)
            learn(draw, roster, need)
        message = attempt("Roster.translate", lambda m=item: roster.translate(m, NOW))
        must(message is not None and message.at.tzinfo is not None, "translate gave no message")
        hash((message, message.ref, message.room, message.sender, roster.is_own(item)))
        check_texts("Roster.translate", message)
        attempt("Roster.target", lambda m=message: roster.target(m.room.ref))
        attempt("Roster.unresolved", lambda m=message: roster.unresolved(m.room.ref))
    check_texts("Roster.rooms", roster.rooms())


def learn(draw: Draw, roster: Roster, need: object) -> None:
    """Let *roster* know what it needs, or leave it ignorant."""
    if not draw.number(2):
        return
    if isinstance(need, NeedPerson | NeedFriend):
        roster.numbers[need.uin] = draw.pick((20001, 0))
    elif isinstance(need, NeedGroup):
        roster.groups[need.gid] = lists.Group(need.gid, 2, draw.pick(("g", "", "?")))
        roster.group_numbers[need.gid] = draw.pick((0, 30001))
    elif isinstance(need, NeedMembers):
        roster.members[need.kind, need.room] = {
            need.sender: lists.Contact(need.sender, "n", card=draw.pick(("", "c")))
        }


#: Bytes of a body that the reader of answers may take.
MAX_BODY = 1000

FLOWS: tuple[Callable[[Session], Flow[Any]], ...] = (
    lambda s: login.login(s, "pw"),
    lambda s: login.login_password(s, "pw"),
    login.login_qr,
    opening.relink,
    lists.friends,
    lists.groups,
    lambda s: lists.group_members(s, GROUP),
    lists.discussions,
    lambda s: lists.discussion_members(s, 2000000004),
    lambda s: lists.real_number(s, 3500000003, group=True),
    lambda s: lists.real_number(s, 3100000001, group=False),
    lambda s: opening.change_status(s, "away"),
    opening.logout,
    login.quick_login,
    lambda s: manage.profile(s, 3100000001, PersonRef(AccountRef("webqq", "m"), "1"), friend=True),
    lambda s: manage.session_signature(s, 2700000002, 3100000001, 0),
    lambda s: calls.change(s, manage.leave_group(s, 3500000003)),
    lambda s: pictures.upload_for_friend(s, 3100000001, b"\x89PNG\r\n"),
    lambda s: pictures.upload_for_group(s, b"\x89PNG\r\n"),
    lambda s: adding.search(s, 20001),
    lambda s: grouping.card(s, 3500000003),
    lambda s: grouping.public_info(s, 3500000003),
    lambda s: grouping.create_discussion(s, "x", [3100000001]),
)


def fuzz_flows(draw: Draw) -> None:
    """Flows, one after the other in one session, fed with answers until they end or the patience does."""
    session = make_session(draw)
    for _ in range(1 + draw.number(3)):
        drive(draw, session, draw.pick(FLOWS)(session))
    check_texts("session", (session.nick, session.psessionid, session.vfwebqq, session.ptwebqq))


def drive(draw: Draw, session: Session, flow: Flow[Any]) -> None:
    """ResponseReader what *flow* asks for."""
    answer: object = None
    paused = False
    for _ in range(STEPS):
        try:
            step = attempt("flow", lambda a=answer: flow.send(a), AdapterError, ProtocolError)
        except StopIteration as stop:
            check_texts("result of a flow", stop.value)
            return
        if step is None:
            return
        answer = None
        if isinstance(step, Call):
            check_request(step.request, session.cookies.header(step.request.hostname))
            answer = respond(draw, step.request)
            attempt(
                "Cookies.take", lambda c=step, a=answer: session.cookies.take(c.request.hostname, a.headers)
            )
        elif isinstance(step, AskCaptcha):
            # What a person types at a terminal may hold bytes that are no UTF-8.
            answer = pieces(draw, 3).decode("utf-8", "surrogateescape")
        elif isinstance(step, AskRenewal):
            paused = True  # a person decides when it goes on
        elif isinstance(step, Pause):
            must(0 < step.seconds < 3600, f"a pause of {step.seconds} s")
            paused = True
    must(paused, f"a flow asks {STEPS} times without a pause")
    flow.close()


def respond(draw: Draw, request: Request) -> Response:
    """Return an answer to *request*; without further decisions a good one, with the cookies of a login."""
    count = draw.number(5)
    lines = COOKIES if count == 0 else [mutated(draw, draw.pick(COOKIES)) for _ in range(count - 1)]
    return Response(
        status=draw.pick((200, 200, 200, 200, 200, 200, 404, 403, 502)),
        headers=tuple(("Set-Cookie", line.decode("latin-1")) for line in lines),
        body=any_body(draw, ANSWERS.get(request.name, (OK,))),
    )


def fuzz_cookies(draw: Draw) -> None:
    """The jar, with lines of any kind from hosts of any kind."""
    jar = Cookies()
    hosts = ("ptlogin2.qq.com", "d1.web2.qq.com", "s.web2.qq.com", "qq.com", "evil.com", "")
    for _ in range(1 + draw.number(8)):
        raw = mutated(draw, draw.pick(COOKIES)) if draw.number(3) else pieces(draw)
        line = raw.decode(draw.pick(("latin-1", "utf-8")), "replace")
        attempt(
            "Cookies.take",
            lambda x=line: jar.take(draw.pick(hosts), [(draw.pick(("Set-Cookie", "set-cookie")), x)]),
        )
    must(len(jar) <= Cookies.LIMIT, "the jar is not bounded")
    for host in hosts:
        header = attempt("Cookies.header", lambda h=host: jar.header(h)) or ""
        must(not re.search(r"[\r\n\0]", header), f"a Cookie header with line breaks: {header[:80]!r}")
        must(header.isascii(), f"a Cookie header that is not ASCII: {header[:80]!r}")


def fuzz_content(draw: Draw) -> None:
    """What decode gives can be encoded: JSON, a text among it, the font last."""
    elements: list[str] = []
    for _ in range(draw.number(8)):
        kind = draw.pick(("face", "cface", "offpic", "font", "x"))
        elements.append(f'["{kind}",{json_text(draw)}]' if draw.number(2) else json_text(draw))
    elements *= draw.pick((1, 1, 1, 1, 50))
    array = "[" + ",".join(elements) + "]" if draw.number(8) else json_text(draw)
    text = f'{{"content":{array}}}'
    body = attempt(
        "json_of",
        lambda: wire.json_of(Response(status=200, body=text.encode()[:MAX_INPUT]), "x"),
        ProtocolError,
    )
    segments = attempt("decode", lambda: content.decode((body or {}).get("content")), ProtocolError)
    if segments is None:
        return
    hash(segments)
    check_texts("decode", segments)
    sent = attempt("encode", lambda: content.encode(segments)) or ""
    sent.encode()
    back = json.loads(sent)
    must(back[-1] == ["font", content.FONT], "the font is not last")
    must(any(isinstance(e, str) for e in back), "no text in the content")
    attempt("decode again", lambda: content.decode(back))


def fuzz_send(draw: Draw) -> None:
    """Sends of any text, and answers of any kind to them."""
    session = make_session(draw)
    text = pieces(draw, 4).decode("utf-8", "replace").replace("\x00", draw.pick(("\x00", "\ud800")))
    request = send.request(
        session, draw.pick(("buddy", "group", "discu")), draw.number(65536), (Text(text or "x"),)
    )
    check_request(request, "")
    body = draw.rest()[:MAX_INPUT] if draw.number(3) == 0 else any_body(draw, ANSWERS["send"])
    response = Response(status=draw.pick((200, 200, 502)), body=body)
    outcome, _ = attempt("send.read", lambda: send.read(session, response)) or (None, None)
    must(outcome is not None, "send.read gave no outcome")
    check_texts("send.read", outcome)
    must(len(outcome.reason) <= MAX_ERROR, f"send.read: a reason of {len(outcome.reason)} characters")


def _ship(
    service: str,
    count: int = 1,
    *rest: float,
    env: Annotated[Literal["prod", "dev"], signature.Opt("-e", "--env")] = "dev",
    dry_run: bool = False,
    name: str | None = None,
) -> None: ...


def _note(kind: bool, text: Rest, *, times: int = 1) -> None: ...


def _plain(word: str, *more: str) -> None: ...


def fuzz_words(draw: Draw) -> None:
    """Command lines: the words, their places, and the values of a handler's parameters."""
    line = (draw.rest() if draw.number(2) == 0 else pieces(draw, 30)).decode("utf-8", "replace")[:MAX_INPUT]
    found = attempt("split", lambda: words.split(line))
    must(found is not None and len(found) <= words.MAX_WORDS, "too many words")
    last = 0
    for word in found or ():
        must(last <= word.start < word.end <= len(line), "a word that stands nowhere")
        last = word.end
        option = attempt("option_text", lambda w=word: words.option_text(w))
        must(option is None or option.startswith("-"), "an option without dashes")
    ctx: Any = types.SimpleNamespace(render=CATALOGUE.render, prefix="/")
    for function in (_ship, _note, _plain):
        read = signature.read(function, services={}, enclosing={}, words=True)
        try:
            began = time.process_time()
            values, extra = _line.parse(_line.Layout.of(read.parameters), line, found or [], ctx)
        except _line.BadLine as bad:
            check_texts("explain", _line.explain(ctx, Line(line, 0), bad, read.usage(("x",))))
        else:
            check_texts("parse", (values, extra))
        if time.process_time() - began > SLOW:
            raise Slow(f"parse took {time.process_time() - began:.1f} s")


def fuzz_answer(draw: Draw) -> None:
    """The reader of one HTTP answer, fed in pieces."""
    answer = ResponseReader(MAX_BODY)
    pieces = [draw.pick(HEADS) + draw.take(draw.number(200)) for _ in range(draw.number(7))]

    def feed() -> None:
        for piece in pieces:
            answer.feed(piece)
        answer.end()

    attempt("ResponseReader.feed", feed, ProtocolError)
    if len(answer.body) > MAX_BODY:
        raise AssertionError("the body is larger than it may be")


HEADS = (
    b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.0 502 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\r\n", b"Set-Cookie: a=b\r\n",
)  # fmt: skip
