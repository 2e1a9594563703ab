"""Sends: draft → request, answer → outcome. Source: webqq.md §11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qqops.errors import ProtocolError
from qqops.model import Delivery, Image, Outcome, Segment
from qqops.protocol.webqq.classify import Verdict, classify, send_delivery
from qqops.protocol.webqq.content import encode
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.pictures import Uploaded
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import json_of, retcode

_CALLS = {
    "buddy": ("send_buddy_msg2", "to"),
    "group": ("send_qun_msg2", "group_uin"),
    "discu": ("send_discu_msg2", "did"),
    "sess": ("send_sess_msg2", "to"),
}


def request(
    session: Session,
    kind: str,
    target: int,
    segments: Sequence[Segment],
    pictures: Mapping[Image, Uploaded] | None = None,
    more: Mapping[str, object] | None = None,
) -> Request:
    """Return the send of *segments* to the alias *target*. It must not be repeated by the transport.

    Args:
        kind: ``buddy``, ``group``, ``discu`` or ``sess``.
        pictures: What became of the pictures in *segments*.
        more: Further fields: ``group_sig`` and ``service_type`` for ``sess``, ``group_code`` for pictures.
    """
    name, field = _CALLS[kind]
    uploaded = pictures or {}
    r: dict[str, object] = {field: target}
    if kind in ("buddy", "sess") or not session.profile.repeats_ids:
        r["face"] = session.profile.face
    for picture in uploaded.values():
        r |= picture.more
    r |= more or {}
    r |= {
        "content": encode(segments, {image: one.element for image, one in uploaded.items()}),
        "msg_id": session.message_id(),
        **session.id_fields,
    }
    return session.channel_post(name, r, call="send", idempotent=False)


def read(session: Session, response: Response) -> tuple[Outcome, Verdict]:
    """Return how the send went, and what it says about the session."""
    if response.status != 200:
        reason = f"HTTP {response.status}"
        return Outcome(delivery=Delivery.UNKNOWN, reason=reason), Verdict.TRANSIENT
    try:
        body = json_of(response, "send")
        code = retcode(body, "send")
    except ProtocolError as exc:
        return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc)), Verdict.TRANSIENT
    delivery = send_delivery(session.profile.name, code)
    reason = "" if delivery is Delivery.ACCEPTED else f"retcode {code}"
    return Outcome(delivery=delivery, reason=reason), classify(session.profile.name, "send", code)
