"""What an application can ask an implementation for. Source: onebot11.md §5."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from qqops.protocol.onebot11 import cq
from qqops.protocol.onebot11.wire import fields, number, text
from qqops.simulator.onebot.implementation import Frame, Implementation, Said
from qqops.simulator.world import Group


class Failed(Exception):
    """An action cannot be done; the text says why, in the words of an implementation."""

    def __init__(self, words: str, retcode: int = 0) -> None:
        self.retcode = retcode
        super().__init__(words)


class Actions:
    """Does actions for one implementation."""

    def __init__(self, implementation: Implementation) -> None:
        self._it = implementation
        self._table = self._actions()

    def do(self, action: str, params: Frame) -> Frame:
        """Do *action* and return the answer, without its echo."""
        handler = self._table.get(action)
        if handler is None:
            return _failed(self._it.make.missing, f"不支持的API {action}")
        try:
            return {"status": "ok", "retcode": 0, "data": handler(params), "message": "", "wording": ""}
        except Failed as exc:
            return _failed(exc.retcode or self._it.make.failed, str(exc))

    def _actions(self) -> dict[str, Callable[[Frame], Any]]:
        it = self._it
        table: dict[str, Callable[[Frame], Any]] = {
            "get_version_info": lambda p: {
                "app_name": it.make.app_name, "protocol_version": "v11", "app_version": "simulated",
            },
            "get_login_info": lambda p: {"user_id": it.me.number, "nickname": it.me.nick},
            "get_status": lambda p: {"online": it.online, "good": it.online},
            "send_msg": self._send_any,
            "send_group_msg": self._send_group,
            "send_private_msg": self._send_private,
            "send_group_forward_msg": functools.partial(self._send_nodes, kind="group"),
            "send_private_forward_msg": functools.partial(self._send_nodes, kind="buddy"),
            "get_forward_msg": self._forward,
            "get_msg": self._get_msg,
            "delete_msg": self._delete_msg,
            "get_friend_list": lambda p: [self._person(n) for n in it.me.friends],
            "get_stranger_info": lambda p: self._person(number(p.get("user_id"))),
            "get_group_list": lambda p: [self._shown(g) for g in it.world.groups.values() if it.me.number in g.members],
            "get_group_info": lambda p: self._shown(self._group(p)),
            "get_group_member_list": lambda p: [self._member(self._group(p), n) for n in self._group(p).members],
            "get_group_member_info": lambda p: self._member(self._group(p), number(p.get("user_id"))),
            "get_group_msg_history": functools.partial(self._history, kind="group", key="group_id"),
            "get_friend_msg_history": functools.partial(self._history, kind="buddy", key="user_id"),
            "set_group_name": self._rename,
            "set_group_card": self._card,
            "set_group_kick": self._kick,
            "set_group_leave": self._leave,
            "get_image": lambda p: {"file": text(p.get("file")), "url": f"https://example.invalid/{text(p.get('file'))}"},
            "get_group_file_url": lambda p: {"url": f"https://example.invalid/{text(p.get('file_id'))}"},
            "get_private_file_url": self._private_file,
            "get_group_root_files": lambda p: {"files": [], "folders": []},
            "upload_group_file": functools.partial(self._upload, "upload_group_file"),
            "upload_private_file": functools.partial(self._upload, "upload_private_file"),
            "get_essence_msg_list": lambda p: [],
        }  # fmt: skip
        noted = [
            "set_group_ban", "set_group_whole_ban", "set_group_admin", "set_group_special_title", "send_like",
            "set_friend_add_request", "set_group_add_request", "set_essence_msg", "delete_essence_msg",
            "_send_group_notice", "delete_group_file", "set_group_sign", "delete_friend",
        ]  # fmt: skip
        if it.make.reaction:
            noted.append(it.make.reaction)
            noted += ["group_poke", "friend_poke"]
            noted += ["send_poke"] if it.make.reaction == "set_msg_emoji_like" else []
        else:
            table.pop("get_friend_msg_history")
        return {name: functools.partial(self._note, name) for name in noted} | table

    def _note(self, action: str, params: Frame) -> None:
        self._it.done.append({"action": action, **params})

    def _upload(self, action: str, params: Frame) -> Frame:
        self._note(action, params)
        return {"file_id": f"/f-{len(self._it.done)}"}

    def _private_file(self, params: Frame) -> Frame:
        if self._it.make.file_hash and not params.get("file_hash"):
            raise Failed("file_hash is required")
        return {"url": f"https://example.invalid/{text(params.get('file_id'))}"}

    # -- messages -------------------------------------------------------------------------------

    def _send_any(self, params: Frame) -> Frame:
        if params.get("message_type") == "private" or not params.get("group_id"):
            return self._send_private(params)
        return self._send_group(params)

    def _send_group(self, params: Frame) -> Frame:
        return {"message_id": self._speak("group", self._group(params).number, _array(params)).id}

    def _send_private(self, params: Frame) -> Frame:
        return {"message_id": self._speak("buddy", self._receiver(params), _array(params)).id}

    def _speak(self, kind: str, room: int, segments: list[Frame]) -> Said:
        if not self._it.online:
            raise Failed("Error: 账号离线")
        if not segments:
            raise Failed("消息为空")
        return self._it.speak(kind, room, segments)

    def _receiver(self, params: Frame) -> int:
        who = number(params.get("user_id"))
        through = number(params.get("group_id"))
        group = self._it.world.groups.get(through)
        if who in self._it.me.friends or (group is not None and who in group.members):
            return who
        raise Failed(f"{who} 不是好友")

    def _send_nodes(self, params: Frame, kind: str) -> Frame:
        room = self._group(params).number if kind == "group" else self._receiver(params)
        nodes = params.get("messages")
        if type(nodes) is not list or not nodes:
            raise Failed("messages is missing", 1400)
        name = f"res-{len(self._it.nodes) + 1}"
        self._it.nodes[name] = nodes
        said = self._speak(kind, room, [{"type": "forward", "data": {"id": name}}])
        return {"message_id": said.id, "res_id": name, "forward_id": name}

    def _forward(self, params: Frame) -> Frame:
        nodes = self._it.nodes.get(text(params.get("id") or params.get("message_id")))
        if nodes is None:
            raise Failed("消息不存在")
        return {"messages": [fields(fields(node).get("data")) for node in nodes]}

    def _said(self, params: Frame) -> Said:
        said = self._it.messages.get(number(params.get("message_id")))
        if said is None:
            raise Failed("消息不存在")
        return said

    def _get_msg(self, params: Frame) -> Frame:
        return self._it.message(self._said(params))

    def _delete_msg(self, params: Frame) -> None:
        said, it = self._said(params), self._it
        del it.messages[said.id]
        self._note("delete_msg", params)
        if said.kind == "group":
            it.notice(
                "group_recall", group_id=said.room, user_id=said.sender, operator_id=it.me.number, message_id=said.id
            )  # fmt: skip

    def _history(self, params: Frame, kind: str, key: str) -> Frame:
        room, count = number(params.get(key)), number(params.get("count")) or 20
        found = [m for m in self._it.messages.values() if m.kind == kind and m.room == room]
        return {"messages": [self._it.message(m) for m in found[-count:]]}

    # -- people and rooms -----------------------------------------------------------------------

    def _group(self, params: Frame) -> Group:
        group = self._it.world.groups.get(number(params.get("group_id")))
        if group is None or self._it.me.number not in group.members:
            raise Failed(f"群 {text(params.get('group_id'))} 不存在")
        return group

    def _person(self, who: int) -> Frame:
        person = self._it.world.people.get(who)
        if person is None:
            raise Failed(f"用户 {who} 不存在")
        return {"user_id": who, "nickname": person.nick, "remark": self._it.me.marks.get(who, "")}

    def _member(self, group: Group, who: int) -> Frame:
        if who not in group.members:
            raise Failed(f"{who} 不在群中")
        card, role = group.cards.get(who, ""), self._it.role(group, who)
        return self._person(who) | {"group_id": group.number, "card": card, "role": role}

    def _shown(self, group: Group) -> Frame:
        count = len(group.members)
        return {
            "group_id": group.number,
            "group_name": group.name,
            "member_count": count,
            "max_member_count": 500,
        }

    def _rename(self, params: Frame) -> None:
        group = self._group(params)
        group.name = text(params.get("group_name"))
        self._note("set_group_name", params)

    def _card(self, params: Frame) -> None:
        self._group(params).cards[number(params.get("user_id"))] = text(params.get("card"))
        self._note("set_group_card", params)

    def _kick(self, params: Frame) -> None:
        group, who = self._group(params), number(params.get("user_id"))
        if who not in group.members:
            raise Failed(f"{who} 不在群中")
        if who == group.owner:
            raise Failed("权限不足")
        group.members.remove(who)
        self._note("set_group_kick", params)
        me = self._it.me.number
        self._it.notice("group_decrease", sub_type="kick", group_id=group.number, user_id=who, operator_id=me)

    def _leave(self, params: Frame) -> None:
        self._group(params).members.remove(self._it.me.number)
        self._note("set_group_leave", params)


def _array(params: Frame) -> list[Frame]:
    """Return the array form of what shall be sent."""
    message = params.get("message")
    if type(message) is str:
        return (
            [{"type": "text", "data": {"text": message}}] if params.get("auto_escape") else cq.parse(message)
        )
    if type(message) is dict:
        return [message]
    if type(message) is not list:
        raise Failed("message is missing", 1400)
    return [one for one in message if type(one) is dict]


def _failed(retcode: int, words: str) -> Frame:
    return {"status": "failed", "retcode": retcode, "data": None, "message": words, "wording": words}
