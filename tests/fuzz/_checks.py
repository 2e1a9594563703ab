"""What must hold for whatever comes out of a parser; `Broken` says what did not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import attrs

from qqops.model import Other
from qqops.protocol.webqq.http import Request
from qqops.simulator import wire as sim_wire

T = TypeVar("T")

#: Seconds that one call may take, instrumented and on a busy machine.
SLOW = 1.0
#: Longest text of an error, in characters; the project's own tests hold it to that, too.
MAX_ERROR = 400


class Broken(AssertionError):
    """Something that must hold does not."""


class Slow(Broken):
    """A call took too long."""


def must(holds: object, what: str) -> None:
    """Raise `Broken` unless *holds*."""
    if not holds:
        raise Broken(what)


def attempt(name: str, call: Callable[[], T], *allowed: type[Exception]) -> T | None:
    """Return what *call* returns; None when it raised one of *allowed*, in good form."""
    began = time.process_time()
    value: T | None = None
    try:
        value = call()
    except allowed as exc:
        check_error(name, exc)
    took = time.process_time() - began
    if took > SLOW:
        raise Slow(f"{name} took {took:.1f} s")
    return value


def check_error(name: str, exc: Exception) -> None:
    """Check that an error can go into a log and onto a screen."""
    text = str(exc)
    must(len(text) <= MAX_ERROR, f"{name}: an error of {len(text)} characters: {text[:60]!r}…")
    must(text.isprintable(), f"{name}: an error that is not one printable line: {text[:200]!r}")


def texts_of(value: object, *, raw: bool = True) -> Iterator[str]:
    """Yield every text in a value of the model, however deep; without recursion.

    Args:
        raw: Whether dicts and the data of `Other` count: there the model keeps what a network said, as it came.
    """
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict) and not raw:
            continue
        elif isinstance(one, Other) and not raw:
            stack.append(one.kind)
        elif isinstance(one, dict):
            stack += [*one, *one.values()]
        elif isinstance(one, list | tuple | set):
            stack += one
        elif isinstance(one, BaseException):
            yield str(one)
        elif attrs.has(type(one)):
            stack += [getattr(one, a.name) for a in attrs.fields(type(one))]


def check_texts(name: str, value: object, *, raw: bool = True) -> None:
    """Check that all texts in *value* can be encoded; see `texts_of`."""
    for text in texts_of(value, raw=raw):
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise Broken(f"{name}: a text that UTF-8 cannot encode: {text[:80]!r}") from exc


def check_request(request: Request, cookies: str) -> None:
    """Check that HTTP can carry *request*."""
    lines = [request.target, *(value for _, value in request.headers(cookies))]
    for line in lines:
        must(
            line.isascii() and not re.search(r"[\r\n\0]", line), f"{request.name}: a header of {line[:80]!r}"
        )
    must(" " not in request.target, f"{request.name}: a target with a blank")
    must(isinstance(request.body, bytes), f"{request.name}: a form that cannot be encoded")


def check_reply(name: str, reply: sim_wire.Reply) -> None:
    """Check that HTTP can carry an answer of the simulator."""
    must(100 <= reply.status <= 599, f"{name}: status {reply.status}")
    for line in (reply.content_type, reply.location, *reply.cookies):
        must(not re.search(r"[\r\n\0]", line), f"{name}: a header with line breaks: {line[:80]!r}")
        line.encode("latin-1")
