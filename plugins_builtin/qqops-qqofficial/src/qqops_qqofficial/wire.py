"""Facts of the wire: opcodes, close codes, error codes, signatures. Pure. Source: qq-official.md §1–3, §5."""

from __future__ import annotations

import enum
import json
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qqops import ProtocolError
from qqops.adapter import Redaction

#: Opcodes.
DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
CALLBACK_ACK, VALIDATION = 12, 13
#: Seconds by which the time of a webhook may be off.
OLDEST = 300.0


class QQOfficialProtocolError(ProtocolError):
    """The platform sent something that breaks its own rules."""

    #: The AppSecret, and what a session is resumed with.
    redaction: ClassVar[Redaction] = Redaction({"secret", "session_id"})


class Then(enum.Enum):
    """What follows when the gateway has closed the connection."""

    RESUME = "resume"
    IDENTIFY = "identify"
    #: Get a new token, then identify.
    TOKEN = "token"
    #: Ask for less, or give up when nothing can be spared.
    FEWER_INTENTS = "fewer intents"
    #: Wait a minute, then resume.
    SLOWER = "slower"
    STOP = "stop"


_STOP = {
    4001: "the platform does not know an opcode of ours",
    4002: "the platform cannot read what we send",
    4010: "the shard is not valid",
    4011: "the platform wants more shards",
    4012: "the version is not valid",
    4013: "the intents are not valid",
    4914: "the bot is not published: only the sandbox is allowed",
    4915: "the bot is banned",
}


def after_close(code: int | None) -> tuple[Then, str]:
    """Return what follows a close with *code*, and why in words."""
    if code in _STOP:
        return Then.STOP, _STOP[code]
    if code == 4014:
        return Then.FEWER_INTENTS, "an intent is not permitted"
    if code == 4004:
        return Then.TOKEN, "the token is not valid"
    if code == 4008:
        return Then.SLOWER, "we were too fast"
    if code in (4006, 4007) or (code is not None and 4900 <= code <= 4913):
        return Then.IDENTIFY, "the session is over"
    return Then.RESUME, "the connection was closed"


class Verdict(enum.Enum):
    """What an answer to a send means."""

    OK = "ok"
    #: Taken, and looked at by the platform first.
    AUDIT = "audit"
    #: The same send has arrived already.
    REPEATED = "repeated"
    TOKEN = "token"
    #: Later it may go.
    SLOWER = "slower"
    #: Not in this form: markdown, keyboards and pictures need permissions.
    FORM = "form"
    REFUSED = "refused"
    UNKNOWN = "unknown"


_CODES = {
    304023: Verdict.AUDIT, 304024: Verdict.AUDIT, 40054005: Verdict.REPEATED, 22009: Verdict.SLOWER,
    11242: Verdict.TOKEN, 11243: Verdict.TOKEN, 11244: Verdict.TOKEN, 304036: Verdict.FORM, 304014: Verdict.FORM,
}  # fmt: skip
_WORDS = {
    304003: "a link in it is not on the allow-list of the bot's console",
    40034024: "the message that it answers is not known (a restart, or another group)",
    40034025: "the message that it answers is too old",
    304027: "the message that it answers is too old",
    40034102: "the platform does not let this bot speak without being spoken to",
    50006: "it is empty",
}


def verdict(status: int, answer: dict[str, Any]) -> tuple[Verdict, str]:
    """Return what an answer means, and why in words: the platform's own, and what they are about."""
    code = whole(answer.get("code")) or whole(answer.get("err_code"))
    said = text(answer.get("message"))
    reason = " ".join(
        part for part in (str(code or status), said, f"({_WORDS[code]})" if code in _WORDS else "") if part
    )
    if code in _CODES:
        return _CODES[code], reason
    if status == 401:
        return Verdict.TOKEN, reason
    if status == 429:
        return Verdict.SLOWER, reason
    if status >= 500:
        return Verdict.UNKNOWN, reason
    if 200 <= status < 300 and not code:
        return Verdict.OK, ""
    return Verdict.REFUSED, reason


def decode(data: bytes | bytearray | str) -> dict[str, Any]:
    """Return the JSON object in *data*. Raises `ProtocolError`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise QQOfficialProtocolError("no JSON", payload=data) from exc
    if not isinstance(value, dict):
        raise QQOfficialProtocolError("no JSON object", payload=data)
    return value


def text(value: object) -> str:
    """Return a field as text that can be encoded; "" for what is none."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def whole(value: object) -> int:
    """Return a field as a whole number; 0 for what is none."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.lstrip("-").isdecimal() and value.isascii() and len(value) < 20:
        return int(value)
    return 0


def fields(value: object) -> dict[str, Any]:
    """Return an object; {} for what is none."""
    return value if isinstance(value, dict) else {}


# -- webhook ------------------------------------------------------------------------------------


def signing_key(secret: str) -> Ed25519PrivateKey:
    """Return the key whose seed is *secret*, repeated until it is 32 bytes."""
    seed = secret.encode()
    while len(seed) < 32:
        seed += seed
    return Ed25519PrivateKey.from_private_bytes(seed[:32])


def validation(key: Ed25519PrivateKey, plain_token: str, event_ts: str) -> dict[str, str]:
    """Return the answer to op 13."""
    return {"plain_token": plain_token, "signature": key.sign((event_ts + plain_token).encode()).hex()}


def is_signed(key: Ed25519PrivateKey, signature: str, timestamp: str, body: bytes) -> bool:
    """Whether the platform has signed the raw *body*; the library compares in constant time."""
    try:
        key.public_key().verify(bytes.fromhex(signature), timestamp.encode("latin-1", "replace") + body)
    except (InvalidSignature, ValueError):
        return False
    return True
