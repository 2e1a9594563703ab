"""Friends, groups, profiles, pictures and files: the calls that change or show more. Source: webqq.md §9.6, §9.7, §11.1, §11.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from qqops.simulator import pictures
from qqops.simulator.channel import Channel
from qqops.simulator.state import Session, State
from qqops.simulator.wire import Asked, Outcome, Reply, code, host_of, page, result
from qqops.simulator.world import Discussion

#: Calls that just say ok, and are noted.
_PLAIN = (
    "/channel/input_notify2", "/channel/shake2", "/channel/refuse_file2", "/channel/notify_offfile2",
    "/api/deny_added_request2", "/api/add_need_verify2", "/api/add_no_verify2", "/api/modify_friend_group",
    "/api/update_group_info2", "/api/apply_join_group2", "/keycgi/qqweb/uac/messagefilter.do",
)  # fmt: skip
_FILE = re.compile(
    rb'name="(?:file|custom_face)"; filename="[^"]*"\r\n(?:[^\r\n]+\r\n)*\r\n(?P<content>.*?)\r\n--',
    re.DOTALL,
)


class Manage:
    """Calls beside login, lists, poll and sends."""

    def __init__(self, state: State, channel: Channel) -> None:
        self._state = state
        self._channel = channel

    def routes(self) -> Mapping[str, object]:
        """Return handler by path."""
        changing: dict[str, Callable[[Session, Asked], Reply | None]] = {
            "/api/allow_and_add2": self._accept,
            "/api/allow_added_request2": self._accept,
            "/api/delete_friend": self._remove,
            "/api/change_mark_name2": self._remark,
            "/api/update_group_business_card2": self._card,
            "/api/quit_group2": self._quit_group,
            "/channel/quit_discu": self._quit_discussion,
            "/channel/op_group_join_req": self._join_request,
            "/channel/change_discu_mem": self._change_members,
            "/channel/modify_discu_info": self._rename_discussion,
            "/api/set_long_nick2": self._signature,
            **dict.fromkeys(_PLAIN, lambda session, asked: None),
        }
        return {
            **{path: self._changing(path, change) for path, change in changing.items()},
            "/api/search_qq_by_uin2": self.search,
            "/api/get_group_business_card2": self.card,
            "/api/get_group_public_info2": self.public_info,
            "/channel/create_discu": self.create_discussion,
            "/channel/get_c2cmsg_sig2": self.session_signature,
            "/channel/get_gface_sig2": self.picture_signature,
            "/channel/get_offpic2": self.picture,
            "/channel/get_cface2": self.picture,
            "/channel/get_file2": self.picture,
            "/cgi-bin/get_group_pic": self.group_picture,
            "/download": self.download,
            "/cgi-bin/cface_upload": self.upload_for_group,
            "/ftn_access/upload_offline_pic": self.upload_for_friend,
            "/cgi/svr/face/getface": self.avatar,
        }

    def _session(self, asked: Asked) -> Session | Reply:
        """Return the session of a call: by psessionid, else by the cookie."""
        if asked.value("psessionid"):
            return self._channel.session(asked)
        return self._state.logins.get(asked.cookies.get("skey", "")) or code(100000)

    def _changing(
        self, path: str, change: Callable[[Session, Asked], Reply | None]
    ) -> Callable[[Asked, float], Outcome]:
        def handle(asked: Asked, now: float) -> Outcome:
            session = self._session(asked)
            if isinstance(session, Reply):
                return session
            if session.code:
                return code(session.code)
            refused = change(session, asked)
            if refused is not None:
                return refused
            name = path.rpartition("/")[2]
            hidden = ("vfwebqq", "psessionid", "clientid", "t")
            fields = {**asked.query, **asked.form, **asked.r}
            noted = {k: v for k, v in fields.items() if k not in (*hidden, "r")}
            self._state.done.append({"account": session.number, "call": name, **noted})
            return result("ok")

        return handle

    # -- friends and groups ---------------------------------------------------------------------

    def _accept(self, session: Session, asked: Asked) -> Reply | None:
        number = asked.number("account")
        if number not in self._state.world.people:
            return code(100001)
        me = self._state.world.people[session.number]
        if number not in me.friends:
            me.friends.append(number)
        if asked.value("mname"):
            me.marks[number] = asked.value("mname")
        return None

    def _friend(self, session: Session, asked: Asked) -> int:
        number = session.aliases.real(session.aliases.people, asked.number("tuin"))
        return number if number in self._state.world.people[session.number].friends else 0

    def _remove(self, session: Session, asked: Asked) -> Reply | None:
        number = self._friend(session, asked)
        if not number:
            return code(100001)
        self._state.world.people[session.number].friends.remove(number)
        return None

    def _remark(self, session: Session, asked: Asked) -> Reply | None:
        number = self._friend(session, asked)
        if not number:
            return code(100001)
        self._state.world.people[session.number].marks[number] = asked.value("markname")
        return None

    def _group(self, session: Session, asked: Asked) -> int:
        return session.aliases.real(session.aliases.codes, asked.number("gcode"))

    def _card(self, session: Session, asked: Asked) -> Reply | None:
        group = self._state.world.groups.get(self._group(session, asked))
        if group is None:
            return code(100001)
        group.cards[session.number] = asked.value("name")
        return None

    def _quit_group(self, session: Session, asked: Asked) -> Reply | None:
        group = self._state.world.groups.get(self._group(session, asked))
        if group is None or session.number not in group.members:
            return code(100001)
        group.members.remove(session.number)
        return None

    def _quit_discussion(self, session: Session, asked: Asked) -> Reply | None:
        discussion = self._state.world.discussions.get(asked.number("did"))
        if discussion is None or session.number not in discussion.members:
            return code(100001)
        discussion.members.remove(session.number)
        return None

    def _my_discussion(self, session: Session, asked: Asked) -> Discussion | None:
        found = self._state.world.discussions.get(asked.number("did"))
        return found if found is not None and session.number in found.members else None

    def _people(self, session: Session, asked: Asked, field: str) -> list[int]:
        """Return the real numbers of a list of uins; the ones that stand for nobody are left out."""
        uins = asked.r.get(field)
        real = (
            [session.aliases.real(session.aliases.people, uin) for uin in uins]
            if isinstance(uins, list)
            else []
        )
        return [number for number in real if number]

    def _change_members(self, session: Session, asked: Asked) -> Reply | None:
        found = self._my_discussion(session, asked)
        if found is None:
            return code(100001)
        gone = self._people(session, asked, "del_mem")
        kept = [number for number in found.members if number not in gone]
        found.members = [*kept, *(n for n in self._people(session, asked, "add_mem") if n not in kept)]
        return None

    def _rename_discussion(self, session: Session, asked: Asked) -> Reply | None:
        found = self._my_discussion(session, asked)
        if found is None:
            return code(100001)
        found.name = asked.value("discu_name")
        return None

    def create_discussion(self, asked: Asked, now: float) -> Reply:
        """§9.7"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        discussions = self._state.world.discussions
        did = max(discussions, default=40000) + 1
        members = [session.number, *self._people(session, asked, "mem_list")]
        discussions[did] = Discussion(did=did, name=asked.value("discu_name"), members=members)
        return result({"did": did})

    def search(self, asked: Asked, now: float) -> Reply:
        """§9.7: behind a captcha; the token is for the request that follows."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        person = self._state.world.people.get(asked.number("tuin"))
        expected = self._state.captchas.pop(asked.value("verifysession"), "")
        if person is None or not expected or asked.value("code").upper() != expected:
            return code(100001)
        uin = session.aliases.uin(person.number)
        found = {
            "account": person.number,
            "uin": uin,
            "nick": person.nick,
            "allow": 1,
            "token": self._state.hex(48),
        }
        return result(found)

    def card(self, asked: Asked, now: float) -> Reply:
        """§9.7"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        group = self._state.world.groups.get(self._group(session, asked))
        if group is None:
            return code(100001)
        name = group.cards.get(session.number, "")
        return result({"name": name, "phone": "10086", "email": "a@b", "remark": "r", "gender": "male"})

    def public_info(self, asked: Asked, now: float) -> Reply:
        """§9.7"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        group = self._state.world.groups.get(self._group(session, asked))
        if group is None:
            return code(100001)
        return result({"ginfo": {"name": group.name, "member_cnt": len(group.members), "maxmember": 500}})

    def _join_request(self, session: Session, asked: Asked) -> Reply | None:
        group = self._state.world.groups.get(
            session.aliases.real(session.aliases.gids, asked.number("group_uin"))
        )
        person = session.aliases.real(session.aliases.people, asked.number("req_uin"))
        if group is None or not person:
            return code(100001)
        if asked.value("op_type") == "2" and person not in group.members:
            group.members.append(person)
        return None

    def _signature(self, session: Session, asked: Asked) -> Reply | None:
        self._state.world.people[session.number].signature = asked.value("nlk")
        return None

    # -- strangers and pictures -----------------------------------------------------------------

    def session_signature(self, asked: Asked, now: float) -> Reply:
        """§11"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        number = session.aliases.real(session.aliases.people, asked.number("to_uin"))
        service = asked.number("service_type")
        if not self._channel.lenient and not self._share(session, asked.number("id"), number, service):
            return code(100001)
        signature = self._state.hex(48)
        session.signatures[signature] = (number, service)
        flags = {"text": 1, "pic": 1, "file": 1, "audio": 1, "video": 1}
        return result({"type": 0, "value": signature, "flags": flags})

    def _share(self, session: Session, room: int, number: int, service: int) -> bool:
        """Whether the account and *number* are both in *room*: a gid for service 0, a did for 1 (§10.1)."""
        world = self._state.world
        if service == 0:
            group = world.groups.get(session.aliases.real(session.aliases.gids, room))
            members = group.members if group is not None else []
        else:
            discussion = world.discussions.get(room)
            members = discussion.members if discussion is not None else []
        return {session.number, number} <= set(members)

    def picture_signature(self, asked: Asked, now: float) -> Reply:
        """§11.2"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        return result({"reply": 0, "gface_key": self._state.hex(16), "gface_sig": self._state.hex(48)})

    def picture(self, asked: Asked, now: float) -> Reply:
        """§11.1, §11.2: where a picture or file of a person lies; SmartQQ wants the cookies of check_sig for it."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        if session.profile == "smartqq" and not self._channel.has_proof(asked, session, picture=True):
            return page("403 Forbidden", 403)
        key = self._state.link(self._held(asked.value("file_path") or asked.value("guid")))
        return Reply(
            body=b"",
            status=302,
            content_type="text/html",
            location=f"http://file1.web2.qq.com/download?key={key}",
        )

    def download(self, asked: Asked, now: float) -> Reply:
        """The file server: what a redirect led to."""
        content = self._state.linked.get(asked.value("key"))
        if content is None:
            return page("404 Not Found", 404)
        return Reply(body=content, content_type="application/octet-stream")

    def group_picture(self, asked: Asked, now: float) -> Reply:
        """§11.2: at once, for those who come from the page, and by the group's *code*, the alias to ask by."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        if not self._channel.lenient:
            if host_of(asked.referer) not in ("web2.qq.com", "w.qq.com"):
                return page("403 Forbidden", 403)
            if asked.value("vfwebqq") != session.vfwebqq:
                return code(100000)
            number = session.aliases.real(session.aliases.codes, asked.number("gid"))
            group = self._state.world.groups.get(number)
            if group is None or session.number not in group.members:
                return code(6 if session.profile == "webqq2013" else 100001)
        return Reply(body=self._held(asked.value("pic")), content_type="image/png")

    def _held(self, name: str) -> bytes:
        """Return the picture that was held under this name, else a small one."""
        return self._state.pictures_held.get(name) or pictures.qr(f"picture {name}"[:60])

    def upload_for_group(self, asked: Asked, now: float) -> Reply:
        """§11.2"""
        content = _uploaded(asked)
        if content is None:
            return page("upload", extra="<script>EQQ.callbackSendPicGroup({'ret':1,'msg':''});</script>")
        name = f"{self._state.hex(32).upper()}.jPg"
        self._state.pictures_held[name] = content
        call = f"parent.EQQ.Model.ChatMsg.callbackSendPicGroup({{'ret':0,'msg':'{name}'}});"
        return page("upload", extra=f"<script>{call}</script>")

    def upload_for_friend(self, asked: Asked, now: float) -> Reply:
        """§11.2"""
        content = _uploaded(asked)
        if content is None:
            return page("upload", extra='<script>parent.callbackSendPic({"retcode":1});</script>')
        path = f"/{self._state.hex(32)}"
        self._state.pictures_held[path] = content
        answer = (
            f'{{"retcode":0,"result":"OK","progress":100,"filesize":{len(content)},"fileid":1,'
            f'"filename":"pic.png","filepath":"{path}"}}'
        )
        return page("upload", extra=f"<script>parent.EQQ.Model.ChatMsg.callbackSendPic({answer});</script>")

    def avatar(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        return Reply(body=pictures.qr(f"face {asked.value('uin')}"), content_type="image/png")


def _uploaded(asked: Asked) -> bytes | None:
    found = _FILE.search(asked.body)
    return found["content"] if found is not None else None
