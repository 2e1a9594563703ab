"""Groups and discussion groups: the own card, what a group tells everybody, who is in, what is heard. Source: webqq.md §9.7.

The sheet names the discussion calls without their fields; those here are a guess made from the fields of their neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs

from qqops.protocol.webqq.calls import api, result
from qqops.protocol.webqq.flow import Flow
from qqops.protocol.webqq.http import Request, post
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import integer, printable

#: Longest field of a card that is sent back as it came.
_MAX_FIELD = 1000


@attrs.frozen(kw_only=True)
class Card:
    """How the account shows itself in one group."""

    name: str = ""
    phone: str = ""
    email: str = ""
    remark: str = ""
    gender: str = ""


@attrs.frozen(kw_only=True)
class PublicInfo:
    """What a group tells everybody; 0 where it does not."""

    name: str
    members: int
    most_members: int


# -- groups -------------------------------------------------------------------------------------


def card(session: Session, code: int) -> Flow[Card]:
    """Ask for the own card in a group."""
    answer = yield from result(session, api(session, "get_group_business_card2", gcode=code))
    fields = {field.name: str(answer.get(field.name) or "")[:_MAX_FIELD] for field in attrs.fields(Card)}
    return Card(**fields)


def write_card(session: Session, code: int, new: Card) -> Request:
    """Show oneself in a group as *new* says; the call replaces all fields, so start from the `card` there is."""
    return api(session, "update_group_business_card2", gcode=code, **attrs.asdict(new))


def public_info(session: Session, code: int) -> Flow[PublicInfo]:
    """Ask for what a group tells everybody."""
    answer = yield from result(session, session.list_get("get_group_public_info2", {"gcode": code}))
    inner = answer.get("ginfo")
    info = inner if isinstance(inner, dict) else answer
    return PublicInfo(
        name=printable(str(info.get("name") or ""))[:_MAX_FIELD],
        members=integer(info.get("member_cnt", 0), "member_cnt"),
        most_members=integer(info.get("maxmember", 0), "maxmember"),
    )


def filter_groups(session: Session, masks: Mapping[int, int]) -> Request:
    """Say by gid which groups are heard: 0 with notice, 1 silently, 2 not at all (§9.3). The table is sent as a whole."""
    items = {"groupmask": {str(gid): str(mask) for gid, mask in masks.items()}}
    form = {
        "retype": 1, "app": "EQQ", "itemlist": json.dumps(items, separators=(",", ":")), "vfwebqq": session.vfwebqq,
    }  # fmt: skip
    url = "http://cgi.web2.qq.com/keycgi/qqweb/uac/messagefilter.do"
    return post("messagefilter", url, form, referer="http://web2.qq.com/", idempotent=False)


# -- discussion groups --------------------------------------------------------------------------


def create_discussion(session: Session, name: str, uins: Sequence[int]) -> Flow[int]:
    """Make a discussion group of oneself and *uins*; return its did.

    Raises:
        ProtocolError: The service refuses, or does not tell the did.
        TransientError: It is not known whether there is one now.
    """
    r = {"discu_name": name, "mem_list": list(uins), **_ids(session)}
    answer = yield from result(session, session.channel_post("create_discu", r, idempotent=False))
    return integer(answer.get("did"), "create_discu: did")


def change_members(
    session: Session, did: int, *, add: Sequence[int] = (), remove: Sequence[int] = ()
) -> Request:
    """Take people into a discussion group, and out of it."""
    r = {"did": did, "add_mem": list(add), "del_mem": list(remove), **_ids(session)}
    return session.channel_post("change_discu_mem", r, idempotent=False)


def rename_discussion(session: Session, did: int, name: str) -> Request:
    """Call a discussion group *name*, for everybody in it."""
    r = {"did": did, "discu_name": name, **_ids(session)}
    return session.channel_post("modify_discu_info", r, idempotent=False)


def _ids(session: Session) -> dict[str, object]:
    return {**session.id_fields, "vfwebqq": session.vfwebqq}
