"""The list host: contacts, groups, members, real numbers. Source: webqq.md §5.3, §9."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qqops.protocol.webqq.hashes import FRIENDS_HASHES
from qqops.simulator.calendar import Era
from qqops.simulator.state import Session, State
from qqops.simulator.wire import Asked, Reply, code, page, result
from qqops.simulator.world import Group, Person


class Lists:
    """The list host."""

    def __init__(self, state: State, *, lenient: Callable[[], bool], era: Callable[[str], Era]) -> None:
        self._state = state
        self._lenient = lenient
        self._era = era

    def routes(self) -> Mapping[str, object]:
        """Return handler by path."""
        return {
            "/api/getvfwebqq": self.getvfwebqq,
            "/api/get_user_friends2": self.friends,
            "/api/get_group_name_list_mask2": self.groups,
            "/api/get_group_info_ext2": self.group_info,
            "/api/get_discus_list": self.discussions,
            "/api/get_friend_uin2": self.real_number,
            "/api/get_self_info2": self.self_info,
            "/api/get_friend_info2": self.friend_info,
            "/api/get_stranger_info2": self.friend_info,
            "/api/get_single_long_nick2": self.long_nick,
            "/api/get_qq_level2": self.level,
            "/proxy.html": self.proxy,
            "/cfproxy.html": self.proxy,
            "/loginproxy.html": self.proxy,
        }

    def getvfwebqq(self, asked: Asked, now: float) -> Reply:
        """§5.3"""
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        if session is None:
            return code(103)
        if not self._lenient() and asked.value("ptwebqq") != session.ptwebqq:
            return code(100000)
        return result({"vfwebqq": session.vfwebqq})

    def _session(self, asked: Asked) -> Session | Reply:
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        if session is None:
            return code(100101)
        if session.code == 100000 or (not self._lenient() and asked.value("vfwebqq") != session.vfwebqq):
            return code(100000)
        return session

    def _too_plain(self, asked: Asked, session: Session) -> bool:
        """Whether the call came by plain http when that was refused; the Referer tells which it was."""
        return self._era(session.profile).https_lists and not asked.referer.startswith("https:")

    def _hash_fits(self, asked: Asked, session: Session, variants: frozenset[str] | None) -> bool:
        if self._lenient() or variants is None:
            return True
        sent = asked.value("hash").upper()
        return any(sent == FRIENDS_HASHES[v](session.number, session.ptwebqq) for v in variants)

    def friends(self, asked: Asked, now: float) -> Reply:
        """§9.2; items hold exactly the known keys (§13.9)."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        era = self._era(session.profile)
        if self._too_plain(asked, session):
            return code(100100)
        if not self._hash_fits(asked, session, era.friends_hash):
            return code(50)
        me = self._state.world.people[session.number]
        people = [(session.aliases.uin(n), self._state.world.people[n]) for n in me.friends]
        if era.open_lists:  # four days in May 2017
            people = [(p.number, attrs.evolve(p, nick="")) for _, p in people]
        return result(
            {
                "friends": [{"flag": 0, "uin": uin, "categories": 0} for uin, _ in people],
                "marknames": [
                    {"uin": uin, "markname": me.marks[p.number], "type": 0}
                    for uin, p in people
                    if p.number in me.marks
                ],
                "categories": [{"index": 1, "sort": 1, "name": "朋友"}],
                "vipinfo": [{"vip_level": 0, "u": uin, "is_vip": 0} for uin, _ in people],
                "info": [
                    {"face": 0, "flag": 20971520, "nick": _html(p.nick), "uin": uin} for uin, p in people
                ],
            }
        )

    def _my_groups(self, session: Session) -> list[Group]:
        return [g for g in self._state.world.groups.values() if session.number in g.members]

    def groups(self, asked: Asked, now: float) -> Reply:
        """§9.3"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        if self._too_plain(asked, session) or not self._hash_fits(
            asked, session, self._era(session.profile).groups_hash
        ):
            return code(50)
        aliases = session.aliases
        names = [
            {
                "flag": 17825793,
                "name": _html(g.name),
                "gid": aliases.gid(g.number),
                "code": aliases.code(g.number),
            }
            for g in self._my_groups(session)
        ]
        return result({"gmasklist": [], "gnamelist": names, "gmarklist": []})

    def group_info(self, asked: Asked, now: float) -> Reply:
        """§9.4: ``members`` and ``minfo`` in the same order; ``cards`` only when somebody has one."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        aliases = session.aliases
        wanted = asked.number("gcode")
        group = next((g for g in self._my_groups(session) if aliases.code(g.number) == wanted), None)
        if group is None:
            return code(6 if session.profile == "webqq2013" else 100001)
        people = [(aliases.uin(n), self._state.world.people[n]) for n in group.members]
        info: dict[str, Any] = {
            "stats": [{"client_type": 1, "uin": uin, "stat": 10} for uin, _ in people],
            "minfo": [
                {"nick": _html(p.nick), "province": "", "gender": "unknown", "uin": uin, "country": "", "city": ""}
                for uin, p in people
            ],
            "ginfo": {
                "face": 0, "memo": "", "class": 10048, "fingermemo": "", "code": wanted, "createtime": 1380000000,
                "flag": 17825793, "level": 0, "name": _html(group.name), "gid": aliases.gid(group.number),
                "owner": aliases.uin(group.owner or group.members[0]), "option": 1,
                "members": [{"muin": uin, "mflag": 0} for uin, _ in people],
            },
            "vipinfo": [{"vip_level": 0, "u": uin, "is_vip": 0} for uin, _ in people],
        }  # fmt: skip
        if group.cards:
            cards = [{"muin": aliases.uin(n), "card": _html(card)} for n, card in group.cards.items()]
            info["cards"] = cards
        return result(info)

    def discussions(self, asked: Asked, now: float) -> Reply:
        """§9.5"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        mine = [d for d in self._state.world.discussions.values() if session.number in d.members]
        return result({"dnamelist": [{"name": _html(d.name), "did": d.did} for d in mine], "dmasklist": []})

    def real_number(self, asked: Asked, now: float) -> Reply:
        """§9.6: type 4 is a group, by its code."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        alias = asked.number("tuin")
        if not self._era(session.profile).real_numbers:
            return code(100000)  # from 2017-04-17 on nobody was told any more (§1)
        table = session.aliases.codes if asked.value("type") == "4" else session.aliases.people
        number = session.aliases.real(table, alias)
        return result({"uiuin": "", "account": number, "uin": alias}) if number else code(100000)

    def self_info(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        if session is None:
            return code(100101)
        person = self._state.world.people[session.number]
        return result(
            {
                "account": person.number,
                "uin": person.number,
                "nick": person.nick,
                "lnick": person.signature,
                "vfwebqq": session.vfwebqq,
            }
        )

    def friend_info(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        person = self._person(session, asked)
        if person is None:
            return code(100000)
        return result(
            {
                "face": 0, "birthday": {"month": 1, "year": 1990, "day": 2}, "occupation": "", "phone": "", "allow": 1,
                "college": "", "uin": asked.number("tuin"), "constel": 1, "blood": 0, "homepage": "", "stat": 10,
                "vip_info": 0, "country": "中国", "city": "", "personal": "", "nick": _html(person.nick),
                "shengxiao": 5, "email": "", "client_type": 1, "province": "", "gender": "female", "mobile": "",
            }
        )  # fmt: skip

    def long_nick(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        person = self._person(session, asked)
        return result([{"uin": asked.number("tuin"), "lnick": person.signature if person else ""}])

    def level(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        uin = asked.number("tuin")
        return result({"level": uin % 60, "days": 1534, "hours": 12219, "remainDays": 62, "tuin": uin})

    def _person(self, session: Session, asked: Asked) -> Person | None:
        number = session.aliases.real(session.aliases.people, asked.number("tuin"))
        return self._state.world.people.get(number)

    def proxy(self, asked: Asked, now: float) -> Reply:
        """The pages that the Referers name, and the targets of check_sig."""
        return page("proxy")


def _html(text: str) -> str:
    """Return a nick as the lists write it (§9.4)."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), (" ", "&nbsp;")):
        text = text.replace(char, entity)
    return text
