"""Words that are data: JSON, web addresses."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

from qqops.plugin._converter import BadWord, Converter, short
from qqops.plugin._values import Json, Url
from qqops.runtime.context import Context
from qqops.texts import Say

#: What phones make of JSON's own signs; one for one, so that positions hold.
_STRAIGHT = str.maketrans("“”„＂：，｛｝［］", '"""":,{}[]')

#: Longest address that is accepted, in characters; browsers and servers take no longer ones.
_MAX_URL = 2000


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _json_at(line: str, start: int, ctx: Context | None = None) -> tuple[Json, int]:
    """Return the JSON value that begins at *start*, and where it ends."""
    for text in (line, line.translate(_STRAIGHT)):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if end == len(text) or text[end].isspace():
            return Json(value), end
    raise BadWord(Say("refuse.bad_json", {"word": short(line[start:])}))


def _json(word: str) -> Json:
    value, end = _json_at(word, 0)
    if word[end:].strip():
        raise BadWord(Say("refuse.bad_json", {"word": short(word)}))
    return value


def _url(word: str) -> Url:
    bad = BadWord(Say("refuse.bad_url", {"word": short(word)}))
    if len(word) > _MAX_URL or any(c.isspace() or not c.isprintable() or c == "\\" for c in word):
        raise bad
    try:
        parts = urllib.parse.urlsplit(word)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad from None
    # Who puts a name before the host wants a reader to take it for the host.
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or port == 0:
        raise bad
    path = parts.path or "/"
    return Url(
        text=urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, parts.query, parts.fragment)),
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        path=path + (f"?{parts.query}" if parts.query else ""),
    )


JSON = Converter(_json, label="json", spans=_json_at)
URL = Converter(_url, label="url")
