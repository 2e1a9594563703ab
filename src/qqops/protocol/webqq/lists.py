"""Friends, groups, discussion groups, members and real numbers. Source: webqq.md §9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from qqops.errors import ProtocolError, TransientError
from qqops.protocol.webqq.classify import SessionGone, Verdict, classify
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Flow, call
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import integer, json_of, mapping, retcode, rows


@attrs.frozen
class Contact:
    """A person as one session sees them."""

    uin: int
    nick: str = ""
    mark: str = ""
    card: str = ""

    @property
    def name(self) -> str:
        """Card, else remark, else nick."""
        return self.card or self.mark or self.nick


@attrs.frozen
class Group:
    """A group as one session sees it: *gid* to send to, *code* to ask about.

    Attributes:
        mask: How it is heard: 0 with notice, 1 silently, 2 not at all.
    """

    gid: int
    code: int
    name: str
    mark: str = ""
    mask: int = 0


@attrs.frozen
class Discussion:
    """A discussion group."""

    did: int
    name: str


#: Most friends, groups and discussion groups of an account. The service allowed some hundred, later a few thousand.
MAX_FRIENDS, MAX_GROUPS = 10_000, 5_000
#: Most members of a group: 2000 was the largest group one could buy, 3000 with later favours.
MAX_MEMBERS = 10_000
#: The code of `real_number` that says: there is none for you (§9.6).
NO_NUMBER = 100000
#: Most characters of a name as the service writes it; real ones have a tenth. Beyond 4300 digits Python's own
#: `html.unescape` fails.
_MAX_NAME = 1000


def _text(value: object) -> str:
    """Return a nick or card as people see it: unescaped, without control characters (§9.4)."""
    text = str(value or "")[:_MAX_NAME]
    if "&" in text:
        import html  # its table is 400 kB, and few names need it

        text = html.unescape(text)
    return "".join(c for c in text.replace("\xa0", " ") if c.isprintable()).strip()


def hashed(session: Session, build: Callable[[], Request], name: str) -> Flow[dict[str, Any]]:
    """Make a list call that wants the friends hash; on 50 try the next variant (§8)."""
    for _ in session.profile.hashes:
        response = yield from call(build())
        body = json_of(response, name) if response.status == 200 else {}
        if body and classify(session.profile.name, "list", retcode(body, name)) is Verdict.HASH:
            session.next_hash()
            continue
        return _checked(session, response, name)
    raise TransientError(f"{name}: no variant of the hash was accepted (retcode 50)")


def _checked(session: Session, response: Response, name: str) -> dict[str, Any]:
    """Return ``result`` of a list answer. Raises `TransientError` or `ProtocolError`."""
    if response.status != 200:
        raise TransientError(f"{name}: HTTP {response.status}")
    body = json_of(response, name)
    code = retcode(body, name)
    verdict = classify(session.profile.name, "list", code)
    if verdict is Verdict.OK:
        return mapping(body.get("result"), f"{name}: result")
    if verdict is Verdict.REFUSED:
        raise WebQQProtocolError(f"{name}: retcode {code}")
    if verdict is Verdict.LOGIN:
        raise SessionGone(f"{name}: retcode {code}")
    raise TransientError(f"{name}: retcode {code}")


def friends(session: Session) -> Flow[dict[int, Contact]]:
    """Fetch the friends by uin (§9.2)."""

    def build() -> Request:
        r: dict[str, object] = {"hash": session.friends_hash}
        return session.list_post(
            "get_user_friends2", {"h": "hello", **r} if session.profile.repeats_ids else r
        )

    result = yield from hashed(session, build, "get_user_friends2")
    nicks = {
        _int(row.get("uin")): _text(row.get("nick"))
        for row in rows(result.get("info"), "info", MAX_FRIENDS, session.cut)
    }
    marks = {
        _int(row.get("uin")): _text(row.get("markname"))
        for row in rows(result.get("marknames"), "marknames", MAX_FRIENDS, session.cut)
    }
    uins = {
        _int(row.get("uin")) for row in rows(result.get("friends"), "friends", MAX_FRIENDS, session.cut)
    } | set(nicks)
    return {uin: Contact(uin, nicks.get(uin, ""), marks.get(uin, "")) for uin in uins if uin}


def groups(session: Session) -> Flow[dict[int, Group]]:
    """Fetch the groups by gid (§9.3)."""

    def build() -> Request:
        return session.list_post("get_group_name_list_mask2", {"hash": session.friends_hash})

    result = yield from hashed(session, build, "get_group_name_list_mask2")
    marks = {
        _int(row.get("uin")): _text(row.get("markname"))
        for row in rows(result.get("gmarklist"), "gmarklist", MAX_GROUPS, session.cut)
    }
    masks = {
        _int(row.get("gid")): _int(row.get("mask"))
        for row in rows(result.get("gmasklist"), "gmasklist", MAX_GROUPS, session.cut)
    }
    found = {}
    for row in rows(result.get("gnamelist"), "gnamelist", MAX_GROUPS, session.cut):
        gid = _int(row.get("gid"))
        if gid:
            code, name = _int(row.get("code")), _text(row.get("name"))
            found[gid] = Group(gid, code, name, marks.get(gid, ""), masks.get(gid, 0))
    return found


def discussions(session: Session) -> Flow[dict[int, Discussion]]:
    """Fetch the discussion groups by did (§9.5)."""
    ids = {"clientid": session.clientid, "psessionid": session.psessionid}
    response = yield from call(session.list_get("get_discus_list", {**ids}))
    result = _checked(session, response, "get_discus_list")
    found = {}
    for row in rows(result.get("dnamelist"), "dnamelist", MAX_GROUPS, session.cut):
        did = _int(row.get("did"))
        if did:
            found[did] = Discussion(did, _text(row.get("name")))
    return found


def group_members(session: Session, group: Group) -> Flow[dict[int, Contact]]:
    """Fetch the members of a group by uin (§9.4). ``cards`` and ``minfo`` may be missing."""
    request = session.list_get("get_group_info_ext2", {"gcode": group.code, "cb": "undefined"})
    response = yield from call(request)
    result = _checked(session, response, "get_group_info_ext2")
    cards = {
        _int(row.get("muin")): _text(row.get("card"))
        for row in rows(result.get("cards"), "cards", MAX_MEMBERS, session.cut)
    }
    nicks = {
        _int(row.get("uin")): _text(row.get("nick"))
        for row in rows(result.get("minfo"), "minfo", MAX_MEMBERS, session.cut)
    }
    info = mapping(result.get("ginfo"), "ginfo")
    uins = {
        _int(row.get("muin")) for row in rows(info.get("members"), "members", MAX_MEMBERS, session.cut)
    } | set(nicks)
    return {uin: Contact(uin, nicks.get(uin, ""), card=cards.get(uin, "")) for uin in uins if uin}


def discussion_members(session: Session, did: int) -> Flow[tuple[dict[int, Contact], dict[int, int]]]:
    """Fetch the members of a discussion group, and their real numbers by uin (§9.5)."""
    response = yield from call(
        session.channel_get("get_discu_info", {"did": did, "vfwebqq": session.vfwebqq})
    )
    result = _checked(session, response, "get_discu_info")
    info = mapping(result.get("info"), "info")
    nicks = {
        _int(row.get("uin")): _text(row.get("nick"))
        for row in rows(result.get("mem_info"), "mem_info", MAX_MEMBERS, session.cut)
    }
    numbers = {
        _int(row.get("mem_uin")): _int(row.get("ruin"))
        for row in rows(info.get("mem_list"), "mem_list", MAX_MEMBERS, session.cut)
    }
    members = {uin: Contact(uin, nicks.get(uin, "")) for uin in set(nicks) | set(numbers) if uin}
    return members, {uin: number for uin, number in numbers.items() if uin and number}


def real_number(session: Session, uin: int, *, group: bool) -> Flow[int]:
    """Ask for the permanent number behind an alias; 0 when the service no longer tells: 100000, or none (§9.6).

    Args:
        uin: The person's uin, or the group's *code*.

    Raises:
        TransientError: The answer says nothing about the number; another try may have it.
        ProtocolError: The question is refused, or the answer cannot be read.
    """
    query: dict[str, object] = {"tuin": uin, "type": 4 if group else 1, "verifysession": "", "code": ""}
    response = yield from call(session.list_get("get_friend_uin2", query))
    if response.status != 200:
        raise TransientError(f"get_friend_uin2: HTTP {response.status}")
    body = json_of(response, "get_friend_uin2")
    code = retcode(body, "get_friend_uin2")
    if code == NO_NUMBER:
        return 0
    verdict = classify(session.profile.name, "list", code)
    if verdict is Verdict.REFUSED:
        raise WebQQProtocolError(f"get_friend_uin2: retcode {code}")
    if verdict is not Verdict.OK:
        # Whether the session is over is for the poll to say: a number is not worth a login.
        raise TransientError(f"get_friend_uin2: retcode {code}")
    result = body.get("result")
    number = _int(result.get("account")) if isinstance(result, dict) else 0
    # Some accounts got group numbers with this constant on top (§9.6, one source).
    return number - 3890000000 if group and number > 3890000000 else number


def _int(value: object) -> int:
    """Return an id, or 0 for something that is none: one bad row must not cost the list."""
    try:
        return integer(value, "id")
    except ProtocolError:
        return 0
