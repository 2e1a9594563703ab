"""Frames: JSON in and out, and fields of whatever type an implementation chose."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import msgspec

from qqops.protocol.onebot11.errors import OneBotProtocolError

#: A JSON object as it came.
Frame: TypeAlias = dict[str, Any]

_decode = msgspec.json.Decoder().decode


def decode(data: bytes | bytearray) -> Frame:
    """Return the object in a frame.

    Raises:
        ProtocolError: It is not JSON, or not an object.
    """
    try:
        value = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        value = _decode_leniently(data)
    if type(value) is not dict:
        raise OneBotProtocolError("a frame is not a JSON object", payload=bytes(data[:1000]))
    return value


def _decode_leniently(data: bytes | bytearray) -> object:
    """Decode what the strict decoder refuses: lone surrogates (a nickname cut in the middle of an emoji), NaN."""
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        raise OneBotProtocolError("a frame is not JSON", payload=bytes(data[:1000])) from exc


def encode(action: str, params: dict[str, Any], echo: str) -> bytes:
    """Return a request. The echo is a string: some implementations drop any other without an answer."""
    return body({"action": action, "params": params, "echo": echo})


def body(value: dict[str, Any]) -> bytes:
    """Return *value* as JSON. Raises `TypeError` for what has no place there."""
    try:
        return _encode(value)
    except UnicodeEncodeError:  # half of an emoji
        return json.dumps(value, ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(value: object) -> object:
    """Return what the encoder does not know as something it does: subclasses of str and of numbers."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} cannot be put into JSON")


def text(value: object) -> str:
    """Return a field as text that can be encoded: "" for null and for what is not a scalar."""
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode()
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def number(value: object) -> int:
    """Return a field as a whole number; 0 when it is none, or beyond what any field means (64 bits)."""
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else 0
    if isinstance(value, float) and value == value and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and len(value) < 20:
        try:
            return int(value)
        except ValueError:
            return 0
    return int(value) if isinstance(value, bool) else 0


def fields(value: object) -> Frame:
    """Return an object; {} when it is none."""
    return value if type(value) is dict else {}


def rows(value: object) -> list[Frame]:
    """Return the objects in an array; [] when it is none."""
    return [row for row in value if type(row) is dict] if type(value) is list else []


def as_id(value: str) -> int | str:
    """Return an id as it is sent back: a number when it looks like one."""
    return int(value) if value.removeprefix("-").isdecimal() and value.isascii() else value


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
