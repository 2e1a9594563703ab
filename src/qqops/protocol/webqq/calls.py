"""Calls beside login, lists, poll and sends: one that changes something, one that asks for something."""

from __future__ import annotations

import json
from typing import Any

from qqops.errors import ProtocolError, TransientError
from qqops.protocol.webqq.classify import SessionGone, Verdict, classify
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Flow, call
from qqops.protocol.webqq.http import Request, post
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import json_of, mapping, retcode


def change(session: Session, request: Request) -> Flow[str]:
    """Make a call that changes something; return why it was refused, or "".

    Raises:
        TransientError: It is not known whether it was obeyed.
    """
    response = yield from call(request)
    if response.status != 200:
        raise TransientError(f"{request.name}: HTTP {response.status}")
    code = retcode(json_of(response, request.name), request.name)
    verdict = classify(session.profile.name, "", code)
    if verdict is Verdict.LOGIN:
        raise SessionGone(f"{request.name}: retcode {code}")
    return "" if verdict is Verdict.OK else f"{request.name}: retcode {code}"


def api(session: Session, name: str, /, **r: object) -> Request:
    """Return a POST to the list host that is not to be repeated; *r* travels as JSON (§9.7)."""
    host = "s.web2.qq.com"
    form = {"r": json.dumps({**r, "vfwebqq": session.vfwebqq}, ensure_ascii=False, separators=(",", ":"))}
    return post(
        name,
        f"{session.profile.scheme}://{host}/api/{name}",
        form,
        referer=session.profile.referers[host],
        idempotent=False,
    )


def result(session: Session, request: Request) -> Flow[dict[str, Any]]:
    """Make a call and return its result, an object.

    Raises:
        SessionGone: The service does not know the session.
        ProtocolError: It refuses, or its answer makes no sense.
        TransientError: It cannot say at the moment.
    """
    response = yield from call(request)
    if response.status != 200:
        raise TransientError(f"{request.name}: HTTP {response.status}")
    body = json_of(response, request.name)
    code = retcode(body, request.name)
    verdict = classify(session.profile.name, "", code)
    if verdict is Verdict.LOGIN:
        raise SessionGone(f"{request.name}: retcode {code}")
    if verdict is not Verdict.OK:
        raise WebQQProtocolError(f"{request.name}: retcode {code}")
    return mapping(body.get("result"), f"{request.name}: result")


def optional(session: Session, request: Request) -> Flow[object]:
    """Return the result of a call that may be refused, or None."""
    response = yield from call(request)
    try:
        body = json_of(response, request.name) if response.status == 200 else {}
        good = bool(body) and retcode(body, request.name) == 0
    except ProtocolError:
        return None
    return body.get("result") if good else None
