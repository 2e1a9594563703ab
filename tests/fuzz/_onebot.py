"""Targets: OneBot v11, from the bytes of a frame to the event, and what a session makes of it."""

from __future__ import annotations

import datetime
import itertools
import json
from typing import Any

import trio
from _checks import attempt, check_texts, must
from _inputs import MAX_INPUT, Draw, json_text, mutated, pieces

from qqops.adapters.onebot11.intake import Intake
from qqops.errors import ProtocolError, StoreError
from qqops.model import AccountRef, Event, Message, RoomKind, RoomRef
from qqops.protocol.onebot11 import answers, cq, segments, wire
from qqops.protocol.onebot11.events import Reader, plain_talk
from qqops.protocol.onebot11.flavors import flavor_of
from qqops.runtime.storage import codec

ME = AccountRef("onebot11", "fuzz")
ROOM = RoomRef(ME, RoomKind.GROUP, "30001")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FLAVORS = [flavor_of(name) for name in ("", "NapCat.Onebot", "Lagrange.OneBot", "LLOneBot", "go-cqhttp")]

_SEGMENTS = (
    '{"type":"text","data":{"text":"hi"}}', '{"type":"at","data":{"qq":"10001","name":"bot"}}', '{"type":"face","data":{"id":14}}',
    '{"type":"image","data":{"file":"a.png","url":"http://x/y","file_size":"5","sub_type":0}}',
    '{"type":"reply","data":{"id":"7"}}', '{"type":"record","data":{"file":"a.amr"}}', '{"type":"video","data":{"file":"a.mp4"}}',
    '{"type":"file","data":{"file":"a","file_id":"b"}}', '{"type":"forward","data":{"id":"f"}}', '{"type":"json","data":{"data":"{}"}}',
    '{"type":"forward","data":{"content":[{"user_id":1,"nickname":"n","content":[{"type":"text","data":{"text":"x"}}]}]}}',
)  # fmt: skip
_HEAD = '"time":1767225600,"self_id":10001,'
FRAMES: tuple[bytes, ...] = tuple(
    f"{{{_HEAD}{rest}}}".encode()
    for rest in (
        f'"post_type":"message","message_type":"group","sub_type":"normal","message_id":5,"group_id":30001,"group_name":"ops","user_id":20001,"sender":{{"user_id":20001,"nickname":"Ali","card":"A","role":"admin"}},"message":[{",".join(_SEGMENTS[:4])}],"raw_message":"hi"',
        '"post_type":"message","message_type":"group","sub_type":"anonymous","message_id":6,"group_id":30001,"user_id":80000000,"anonymous":{"id":1,"name":"x","flag":"f"},"message":"hi[CQ:at,qq=10001] [CQ:image,file=a.png,url=http://x/&amp;y]"',
        f'"post_type":"message","message_type":"private","sub_type":"friend","message_id":7,"user_id":20001,"sender":{{"nickname":"Ali"}},"message":[{_SEGMENTS[10]}]',
        '"post_type":"message_sent","message_type":"private","message_id":8,"user_id":10001,"target_id":20001,"message":"x"',
        '"post_type":"notice","notice_type":"group_increase","sub_type":"approve","group_id":30001,"operator_id":1,"user_id":20001',
        '"post_type":"notice","notice_type":"group_decrease","sub_type":"kick_me","group_id":30001,"operator_id":1,"user_id":10001',
        '"post_type":"notice","notice_type":"group_admin","sub_type":"set","group_id":30001,"user_id":20001',
        '"post_type":"notice","notice_type":"group_ban","sub_type":"ban","group_id":30001,"operator_id":1,"user_id":20001,"duration":60',
        '"post_type":"notice","notice_type":"group_recall","group_id":30001,"user_id":20001,"operator_id":20001,"message_id":5',
        '"post_type":"notice","notice_type":"friend_recall","user_id":20001,"message_id":5',
        '"post_type":"notice","notice_type":"group_upload","group_id":30001,"user_id":20001,"file":{"id":"/a","name":"n","size":5,"busid":102}',
        '"post_type":"notice","notice_type":"notify","sub_type":"poke","group_id":30001,"user_id":20001,"target_id":10001',
        '"post_type":"notice","notice_type":"notify","sub_type":"input_status","user_id":20001,"status_text":"x","event_type":1',
        '"post_type":"notice","notice_type":"friend_add","user_id":20001',
        '"post_type":"notice","notice_type":"group_card","group_id":30001,"user_id":20001,"card_new":"b","card_old":"a"',
        '"post_type":"notice","notice_type":"notify","sub_type":"group_name","group_id":30001,"name_new":"ops2"',
        '"post_type":"notice","notice_type":"essence","sub_type":"add","group_id":30001,"message_id":5,"sender_id":20001,"operator_id":1',
        '"post_type":"notice","notice_type":"group_msg_emoji_like","group_id":30001,"user_id":20001,"message_id":5,"likes":[{"emoji_id":"76","count":1}]',
        '"post_type":"notice","notice_type":"reaction","sub_type":"add","group_id":30001,"message_id":5,"operator_id":20001,"code":"76","count":1',
        '"post_type":"notice","notice_type":"bot_offline","user_id":10001,"tag":"KickedOffLine","message":"x"',
        '"post_type":"request","request_type":"friend","user_id":20001,"comment":"hi","flag":"f1"',
        '"post_type":"request","request_type":"group","sub_type":"invite","group_id":30001,"user_id":20001,"comment":"","flag":"f2"',
        '"post_type":"meta_event","meta_event_type":"heartbeat","interval":5000,"status":{"online":true,"good":true}',
        '"post_type":"meta_event","meta_event_type":"lifecycle","sub_type":"connect"',
    )
)  # fmt: skip
ANSWERS: tuple[bytes, ...] = (
    b'{"status":"ok","retcode":0,"data":{"message_id":123},"message":"","wording":"","echo":"1"}',
    b'{"status":"failed","retcode":1200,"data":null,"message":"Timeout: NTEvent serviceAndMethod","wording":"x","echo":"1"}',
    b'{"status":"failed","retcode":1404,"msg":"API_NOT_FOUND","echo":"1"}',
    b'{"status":"failed","retcode":1403,"data":null,"message":"token"}',
    b'{"status":"async","retcode":1,"data":null,"echo":"1"}',
)  # fmt: skip


def a_frame(draw: Draw, templates: tuple[bytes, ...]) -> bytes:
    """Return the bytes of a frame: a known one, mutated; one field of it replaced; a message of odd segments; or anything."""
    kind = draw.number(8)
    if kind <= 2:
        return mutated(draw, draw.pick(templates))
    if kind <= 4:
        frame = json.loads(draw.pick(templates))
        key = draw.pick(tuple(frame))
        del frame[key]
        return f'{{"{key}":{json_text(draw)},{json.dumps(frame)[1:]}'.encode("utf-8", "replace")[:MAX_INPUT]
    if kind == 5:
        frame = json.loads(draw.pick(FRAMES[:4]))
        del frame["message"]
        made = ",".join(_odd_segment(draw) for _ in range(draw.number(5)))
        return f'{{"message":[{made}],{json.dumps(frame)[1:]}'.encode("utf-8", "replace")[:MAX_INPUT]
    return json_text(draw).encode("utf-8", "replace")[:MAX_INPUT] if kind == 6 else pieces(draw)


def _odd_segment(draw: Draw) -> str:
    if draw.number(4) == 0:
        return json_text(draw)
    segment = json.loads(draw.pick(_SEGMENTS))
    key = draw.pick(tuple(segment["data"]))
    del segment["data"][key]
    more = json.dumps(segment["data"])[1:]
    return f'{{"type":"{segment["type"]}","data":{{"{key}":{json_text(draw)}{"," if len(more) > 1 else ""}{more}}}'


def decoded(draw: Draw, templates: tuple[bytes, ...]) -> wire.Frame | None:
    """Return a frame as it comes out of the decoder."""
    data = draw.rest()[:MAX_INPUT] if draw.number(8) == 7 else a_frame(draw, templates)
    frame = attempt("wire.decode", lambda: wire.decode(data), ProtocolError)
    must(frame is None or isinstance(frame, dict), "wire.decode gave no object")
    return frame


def stored_again(message: Message) -> None:
    """Check that the journal gets back what it has written, if it can write it."""
    text = attempt("codec.dump", lambda: codec.dump(message), StoreError)
    if text is None:
        return
    must(text.isascii(), "a message that SQLite cannot take")
    back = attempt("codec.load_message", lambda: codec.load_message(text), StoreError)
    must(back is None or repr(back) == repr(message), "a message that is another one once it was stored")


def fuzz_onebot_events(draw: Draw) -> None:
    """Frames to events, several in one session."""
    reader = Reader(ME, lambda: NOW)
    reader.self_id = draw.pick(("10001", ""))
    for _ in range(1 + draw.number(4)):
        frame = decoded(draw, FRAMES)
        if frame is None:
            continue
        talk = attempt("plain_talk", lambda f=frame: plain_talk(f))
        must(isinstance(talk, str), "plain_talk gave no text")
        for name, read in (("Reader.read", reader.read), ("Reader.any_message", reader.any_message)):
            event = attempt(name, lambda f=frame, r=read: r(f), ProtocolError)
            check_texts(name, event, raw=False)
            if isinstance(event, Message):
                stored_again(event)


def fuzz_onebot_answers(draw: Draw) -> None:
    """Answers to requests."""
    frame, flavor = decoded(draw, ANSWERS), draw.pick(FLAVORS)
    if frame is None:
        return
    attempt("is_auth_failure", lambda: answers.is_auth_failure(frame))
    error = attempt("failure", lambda: answers.failure("send_msg", frame, flavor))
    must(error is not None and len(str(error)) < 600, "an error of any length")
    check_texts("failure", error)
    outcome = attempt("sent", lambda: answers.sent(frame, ROOM, flavor), answers.ActionFailed)
    check_texts("sent", outcome)


def fuzz_onebot_segments(draw: Draw) -> None:
    """The content of messages, as an array and as a string, and back onto the wire."""
    if draw.number(2):
        raw: Any = (pieces(draw) if draw.number(2) else b"[CQ:" + pieces(draw, 4) + b"]").decode(
            "utf-8", "replace"
        )
        attempt("cq.parse", lambda: cq.parse(raw))
    else:
        made = ",".join(_odd_segment(draw) for _ in range(draw.number(6)))
        raw = (attempt("wire.decode", lambda: wire.decode(f'{{"m":[{made}]}}'.encode("utf-8", "replace")[:MAX_INPUT]), ProtocolError) or {}).get("m")  # fmt: skip
    content = attempt("segments.read", lambda: segments.read(raw, ME), ProtocolError)
    check_texts("segments.read", content, raw=False)
    attempt("segments.read_nodes", lambda: segments.read_nodes(raw, ME), ProtocolError)


class _Link:
    """What a session tells its supervisor, checked."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    @property
    def full(self) -> bool:
        """Whether there is no room, at times."""
        return self._draw.number(3) == 2

    def chatter(self, text: str) -> bool:
        """Whether nobody wants it, at times."""
        text.encode()
        return self._draw.number(2) == 1

    def event(self, event: Event) -> None:
        """Take an event."""
        check_texts("Link.event", event, raw=False)

    def malformed(self, error: ProtocolError) -> None:
        """Take an error."""

    def overflow(self, dropped: int) -> None:
        """Take a number."""

    def note(self, cause: str) -> None:
        """Take a cause; it is shown to people."""
        cause.encode()

    async def ready(self) -> None:
        """Wait for nothing."""
        await trio.lowlevel.checkpoint()


def fuzz_onebot_intake(draw: Draw) -> None:
    """Frames in a session, in any order, before and after it has begun."""

    async def main() -> None:
        link: Any = _Link(draw)
        intake: Any = Intake(Reader(ME, lambda: NOW))
        begin = draw.number(4)
        for step in range(1 + draw.number(6)):
            if step == begin:
                attempt("Intake.begin", lambda: intake.begin(link), ProtocolError)
            frame = decoded(draw, FRAMES)
            if frame is not None:
                attempt("Intake.take", lambda f=frame: intake.take(f), ProtocolError)
        with trio.move_on_after(0.0) as scope:
            await intake.deliver(link)
        must(scope.cancelled_caught, "deliver has returned")

    try:
        trio.run(main)
    except BaseExceptionGroup as exc:
        raise next(_leaves(exc)) from exc


def _leaves(group: BaseExceptionGroup[BaseException]) -> itertools.chain[BaseException]:
    return itertools.chain.from_iterable(
        _leaves(one) if isinstance(one, BaseExceptionGroup) else [one] for one in group.exceptions
    )


__all__ = ["fuzz_onebot_answers", "fuzz_onebot_events", "fuzz_onebot_intake", "fuzz_onebot_segments"]
