"""Friends, groups and ourselves: calls that change something, or ask about one person. Source: webqq.md §9.6, §9.7, §11.1."""

from __future__ import annotations

from collections.abc import Mapping

from qqops.model import PersonRef, Profile
from qqops.protocol.webqq.calls import api, optional, result
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Flow
from qqops.protocol.webqq.http import Request, get, post
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import rows

#: Values of ``delType``: keep us in their list, or not.
_ONE_SIDE, _BOTH = 1, 2


def accept_friend(session: Session, number: int, remark: str) -> Request:
    """Accept a request and take the person into the own list, in the default category."""
    return api(session, "allow_and_add2", account=number, gid=0, mname=remark)


def let_friend_add(session: Session, number: int) -> Request:
    """Accept a request without taking the person into the own list."""
    return api(session, "allow_added_request2", account=number)


def deny_friend(session: Session, number: int, text: str) -> Request:
    """Refuse a request."""
    return api(session, "deny_added_request2", account=number, msg=text)


def remove_friend(session: Session, uin: int, *, both: bool) -> Request:
    """End a friendship."""
    return api(session, "delete_friend", tuin=uin, delType=_BOTH if both else _ONE_SIDE)


def move_friend(session: Session, uin: int, category: int) -> Request:
    """Put a friend into another category of the own list, by its index (§9.2)."""
    return api(session, "modify_friend_group", tuin=uin, newid=category)


def remark_friend(session: Session, uin: int, text: str) -> Request:
    """Call a friend *text*; this one call sends plain form fields."""
    host, name = "s.web2.qq.com", "change_mark_name2"
    form = {"tuin": uin, "markname": text, "vfwebqq": session.vfwebqq}
    return post(
        name,
        f"{session.profile.scheme}://{host}/api/{name}",
        form,
        referer=session.profile.referers[host],
        idempotent=False,
    )


def remark_group(session: Session, code: int, text: str) -> Request:
    """Call a group *text*."""
    return api(session, "update_group_info2", gcode=code, markname=text)


def join_group(session: Session, number: int, text: str) -> Request:
    """Ask to be let into a group."""
    return api(session, "apply_join_group2", gcode=number, code="", vfy="", msg=text)


def leave_group(session: Session, code: int) -> Request:
    """Leave a group."""
    return api(session, "quit_group2", gcode=code)


def leave_discussion(session: Session, did: int) -> Request:
    """Leave a discussion group."""
    return session.channel_get("quit_discu", {"did": did, "vfwebqq": session.vfwebqq}, idempotent=False)


def answer_join(session: Session, gid: int, uin: int, *, accept: bool, text: str) -> Request:
    """Let somebody into a group, or not."""
    query = {"group_uin": gid, "req_uin": uin, "msg": text, "op_type": 2 if accept else 3}
    return session.channel_get("op_group_join_req", query, idempotent=False)


def refuse_file(session: Session, uin: int, transfer: str) -> Request:
    """Do not take an offered file (§11.1)."""
    return session.channel_get("refuse_file2", {"to": uin, "lcid": transfer}, idempotent=False)


def answer_offline_file(session: Session, uin: int, name: str, size: int, *, accept: bool) -> Request:
    """Say that a file on the service's disk was taken, or will not be (§11.1)."""
    query = {"to": uin, "file_name": name, "file_size": size, "action": 1 if accept else 2}
    return session.channel_get("notify_offfile2", query, idempotent=False)


def typing(session: Session, uin: int) -> Request:
    """Let a friend see that we are writing (§11.1)."""
    return session.channel_get("input_notify2", {"to_uin": uin})


def shake(session: Session, uin: int) -> Request:
    """Shake a friend's window (§11.1)."""
    return session.channel_get("shake2", {"to_uin": uin}, idempotent=False)


def signature(session: Session, text: str) -> Request:
    """Set the own long nick."""
    return api(session, "set_long_nick2", nlk=text)


def session_signature(session: Session, room: int, uin: int, service: int) -> Flow[str]:
    """Fetch what a message to a stranger needs; good for about five minutes (§11)."""
    query = {"id": room, "to_uin": uin, "service_type": service}
    answer = yield from result(session, session.channel_get("get_c2cmsg_sig2", query))
    value = answer.get("value")
    if not isinstance(value, str) or not value:
        raise WebQQProtocolError("get_c2cmsg_sig2: no value", payload=answer)
    return value


def profile(session: Session, uin: int, person: PersonRef, *, friend: bool) -> Flow[Profile]:
    """Ask what there is to know about somebody; what single calls refuse stays empty (§9.6)."""
    own = uin == session.number
    name = "get_self_info2" if own else "get_friend_info2" if friend else "get_stranger_info2"
    query: dict[str, object] = {"tuin": uin, "verifysession": "", "code": ""}
    if friend and not session.profile.repeats_ids:
        query |= {"clientid": session.clientid, "psessionid": session.psessionid}
    if not friend:
        query |= {"gid": 0}
    info = yield from result(session, session.list_get(name, {} if own else query))
    lines = yield from optional(session, session.list_get("get_single_long_nick2", {"tuin": uin}))
    levels = yield from optional(session, session.list_get("get_qq_level2", {"tuin": uin}))
    line = next(iter(rows(lines if isinstance(lines, list) else [], "long nick")), {})
    level = levels.get("level", 0) if isinstance(levels, dict) else 0
    born = info.get("birthday")
    return Profile(
        person=person,
        nick=_text(info.get("nick")),
        signature=_text(line.get("lnick")),
        level=level if isinstance(level, int) and not isinstance(level, bool) else 0,
        gender=_text(info.get("gender")),
        birthday="-".join(str(born.get(k, "")) for k in ("year", "month", "day")) if isinstance(born, dict) else "",
        country=_text(info.get("country")),
        province=_text(info.get("province")),
        city=_text(info.get("city")),
        status=_status(info.get("stat")),
    )  # fmt: skip


#: Numeric status → name (§9.1).
_STATUS = {10: "online", 20: "offline", 30: "away", 40: "hidden", 50: "busy", 60: "callme", 70: "silent"}


def _status(value: object) -> str:
    return _STATUS.get(value, "") if isinstance(value, int) else _text(value)


def _text(value: object) -> str:
    return "".join(c for c in str(value or "") if c.isprintable())[:1000]


def avatar(session: Session, uin: int, *, group: bool) -> Request:
    """Return the request for a picture of a person (by uin) or group (by code) (§9.6)."""
    query: Mapping[str, object] = {
        "cache": 1, "type": 4 if group else 1, "f": 40, "uin": uin, "t": session.noise(), "vfwebqq": session.vfwebqq,
    }  # fmt: skip
    url = f"http://face{uin % 10}.web.qq.com/cgi/svr/face/getface"
    return get("getface", url, query, referer="http://web2.qq.com/")
