"""Bytes of the service → checked values. Everything that does not fit becomes a `ProtocolError`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.http import Response

#: A JavaScript answer is one call; nothing of that kind was ever longer.
_MAX_JS = 64 * 1024
#: Deepest nesting of a JSON answer; real ones have ten levels. Python's own walks (repr, copies, dumps) end at
#: the depth of its stack, and where that is depends on who calls.
_DEEPEST = 50
#: Most digits of a number: 2**64 has twenty.
_MAX_INTEGER = 20
#: Most rows of any list. No group, no list of friends or groups of those years had more than a few thousand; a body
#: of the largest size would hold half a million, and what is made of them stays in memory as long as the session.
MAX_ROWS = 20_000
_JS_CALL = re.compile(r"(?P<name>\w{1,40})\s{0,9}\((?P<args>.*)\)\s{0,9};?\Z", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# A text that does not end goes to the end of the answer, so that looking for the next one does not start inside.
_JS_TEXT = re.compile(r"'((?:[^'\\]|\\.)*+)(?:(')|\\?\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)


def text_of(response: Response) -> str:
    """Return the body as text; the service speaks UTF-8 whatever it announces (webqq.md §3)."""
    return response.body.decode("utf-8", "replace")


def json_of(response: Response, call: str) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        ProtocolError: It is HTML, not JSON, nested too deeply, or not an object.
    """
    try:
        value = json.loads(response.body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        what = "HTML" if response.body.lstrip()[:1] == b"<" else "something"
        raise WebQQProtocolError(
            f"{call}: {what} instead of JSON (HTTP {response.status})", payload=response.body
        ) from exc
    if too_deep(value):
        raise WebQQProtocolError(f"{call}: nested deeper than {_DEEPEST} levels", payload=response.body)
    if _SURROGATE.search(response.body):
        value = _clean(value)
    if not isinstance(value, dict):
        raise WebQQProtocolError(
            f"{call}: {type(value).__name__} instead of an object", payload=response.body
        )
    return value


def too_deep(value: object) -> bool:
    """Whether lists and objects nest deeper than anything the service ever sent."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _clean(value: Any) -> Any:
    """Return *value* with lone surrogates replaced: JSON can carry them, UTF-8 and so HTTP cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


def retcode(body: Mapping[str, Any], call: str) -> int:
    """Return the return code, under either of its names (webqq.md §11)."""
    for key in ("retcode", "errCode"):
        if key in body:
            return integer(body[key], f"{call}: {key}")
    raise WebQQProtocolError(f"{call}: no return code", payload=body)


def integer(value: object, what: str) -> int:
    """Return *value* as an integer; numbers travel as text, too."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_MAX_INTEGER:
        return value
    if isinstance(value, str) and len(value) <= _MAX_INTEGER and re.fullmatch(r"-?\d+", value, re.ASCII):
        return int(value)
    raise WebQQProtocolError(f"{what} is not an integer", payload=value)


def string(value: object, what: str) -> str:
    """Return *value* as text; the service sends numbers for texts that look like one."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise WebQQProtocolError(f"{what} is not text", payload=value)


def token(value: object, what: str) -> str:
    """Return *value* as one of the service's opaque keys: ASCII, short (one of the hashes takes its length squared)."""
    if isinstance(value, str) and re.fullmatch(r"[\w@*.+/=-]{0,200}", value, re.ASCII):
        return value
    raise WebQQProtocolError(f"{what} is not a token", payload=value)


def rows(
    value: object, what: str, most: int = MAX_ROWS, cut: MutableMapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """Return *value* as a list of objects; a missing list is an empty one, other rows are left out.

    Args:
        most: Rows that are looked at.
        cut: Where the number of those beyond is put down under *what*.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise WebQQProtocolError(f"{what} is not a list", payload=value)
    if len(value) > most and cut is not None:
        cut[what] = len(value) - most
    return [row for row in value[:most] if isinstance(row, dict)]


def mapping(value: object, what: str) -> dict[str, Any]:
    """Return *value* as an object."""
    if not isinstance(value, dict):
        raise WebQQProtocolError(f"{what} is not an object", payload=value)
    return value


def js_call(response: Response, name: str) -> list[str]:
    """Return the text arguments of the JavaScript call in the body, ``ptuiCB('0','0',…);`` (webqq.md §4).

    Raises:
        ProtocolError: The body is something else.
    """
    if len(response.body) > _MAX_JS:
        raise WebQQProtocolError(f"no call of {name} in the answer: {len(response.body)} bytes")
    text = text_of(response)
    match = _JS_CALL.match(text.strip())
    if match is None or match["name"].lower() != name.lower():
        raise WebQQProtocolError(f"no call of {name} in the answer (HTTP {response.status})", payload=text)
    return [found[1] for found in _JS_TEXT.finditer(match["args"]) if found[2]]


def js_bytes(text: str) -> bytes:
    r"""Return the bytes that literal ``\x00\x01`` stand for (the salt of check, webqq.md §4.2)."""
    found = re.fullmatch(r"(?:\\x[0-9a-fA-F]{2})*", text)
    if found is None:
        raise WebQQProtocolError("the salt is not written as \\x…", payload=text)
    return bytes.fromhex(text.replace("\\x", ""))


def printable(text: str) -> str:
    """Return *text* without what cannot be encoded or shown."""
    return "".join(c for c in text if c.isprintable())


def js_unescape(text: str) -> str:
    """Return a JavaScript text literal's value; halves of surrogate pairs that stand alone are replaced."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if code[0] in "xu" and len(code) > 1 else code

    return _ESCAPE.sub(one, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
