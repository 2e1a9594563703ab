"""The channel host: login2, poll2, sends, presence. Source: webqq.md §4.6, §5.4–5.6, §10, §11."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from qqops.errors import ProtocolError
from qqops.model import plain
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.profile import STATUSES
from qqops.simulator.faults import Faults
from qqops.simulator.render import kick_notice, render
from qqops.simulator.state import Hold, SentLine, Session, State, name_of
from qqops.simulator.wire import Asked, Outcome, Reply, code, js, json_reply, result

#: Messages in one answer of poll2; more wait for the next one.
BATCH = 20


class Channel:
    """The channel host."""

    def __init__(
        self, state: State, faults: Faults, *, hold: Callable[[], float], lenient: Callable[[], bool]
    ) -> None:
        self._state = state
        self._faults = faults
        self._hold = hold
        self._lenient = lenient

    def routes(self) -> Mapping[str, object]:
        """Return handler by path."""
        return {
            "/channel/login2": self.login2,
            "/channel/poll2": self.poll2,
            "/channel/get_online_buddies2": self.online_buddies,
            "/channel/get_recent_list2": self.recent,
            "/channel/get_discu_info": self.discu_info,
            "/channel/change_status2": self.change_status,
            "/channel/logout2": self.logout,
            "/channel/input_notify2": self.simple,
            "/channel/shake2": self.simple,
            "/channel/send_buddy_msg2": self.send_buddy,
            "/channel/send_qun_msg2": self.send_group,
            "/channel/send_discu_msg2": self.send_discussion,
            "/web2/get_msg_tip": self.heartbeat,
        }

    # -- sessions -------------------------------------------------------------------------------

    def login2(self, asked: Asked, now: float) -> Reply:
        """§4.6, §5.4; with a known psessionid it is a re-link (§5.6)."""
        psessionid = asked.value("psessionid")
        known = self._state.sessions.get(psessionid)
        if psessionid:
            return self._relink(asked, known)
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        if session is None or (not self._lenient() and not asked.cookies.get("uin")):
            return code(108)
        if not self._lenient() and asked.value("ptwebqq") != session.ptwebqq:
            return code(100000)
        if session.code and not session.relinkable:
            return code(100000)
        session.code = 0
        session.psessionid = "8368046764001d636f6e6e7365727665725f77656271714031302e" + self._state.hex(100)
        session.clientid = asked.value("clientid")
        self._state.sessions[session.psessionid] = session
        self._go_live(session)
        self._state.logins_done += 1
        return self._opened(session, asked)

    def _relink(self, asked: Asked, session: Session | None) -> Reply:
        if session is None or not session.relinkable or asked.value("ptwebqq") != session.ptwebqq:
            return code(103)
        session.code = 0
        self._go_live(session)
        self._state.relinks_done += 1
        return self._opened(session, asked)

    def _go_live(self, session: Session) -> None:
        """Make *session* the only live one of its account; a second web login kicks the first (§12.4)."""
        old = self._state.live.get(session.number)
        if old is not None and old is not session and not old.code:
            self.kick(old)
        # What the last answer of the session before held was perhaps never read: it comes again, and clients
        # tell duplicates by the ids (§12.4).
        for one in {id(s): s for s in (old, session) if s is not None}.values():
            self._state.queue(session.number).extendleft(reversed(one.unconfirmed))
            one.unconfirmed = []
        self._state.live[session.number] = session
        session.gate = session.profile != "smartqq"
        count = sum(1 for s in self._state.sessions.values() if s.number == session.number and not s.code)
        self._state.most_live = max(self._state.most_live, count)

    def _opened(self, session: Session, asked: Asked) -> Reply:
        good = session.profile == "webqq2013"
        session.status = asked.value("status") or "online"
        return result(
            {
                "uin": session.number, "cip": 23600812, "index": 1075, "port": 47450,
                "status": session.status, "psessionid": session.psessionid, "user_state": 0,
                # SmartQQ's is present and wrong to use (§5.4).
                "f": 0, "vfwebqq": session.vfwebqq if good else self._state.hex(80),
            }
        )  # fmt: skip

    def kick(self, session: Session) -> None:
        """Let another web login take *session* over."""
        session.kicked = True
        self._state.end(session, 103, relinkable=False)

    def _session(self, asked: Asked) -> Session | Reply:
        """Return the working session of a call, or what to answer instead."""
        session = self._state.sessions.get(asked.value("psessionid"))
        if session is None:
            return code(103)
        if not self._lenient() and asked.cookies.get("skey") != session.skey:
            return code(108)
        if session.clientid and asked.value("clientid") not in ("", session.clientid):
            return code(103)
        return session

    # -- poll -----------------------------------------------------------------------------------

    def poll2(self, asked: Asked, now: float) -> Outcome:
        """§10"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        self._state.delivered += len(session.unconfirmed)
        session.unconfirmed = []
        if not session.code and not session.gate and not self._lenient():
            return code(103)
        hold = Hold(session=session, began=now)
        older, session.hold = session.hold, hold
        if older is not None:
            older.wake()
        return hold

    def _ended(self, session: Session) -> Reply:
        return json_reply(
            {"retcode": session.code, "t": "0"} if session.code == 121 else {"retcode": session.code}
        )

    def collect(self, hold: Hold, now: float) -> Reply | None:
        """Return the answer of a waiting poll, or None while there is nothing to say.

        The newest poll of a session wins; an older one is sent home idle and takes nothing with it.
        """
        session = hold.session
        newest = session.hold is hold
        if newest and session.kicked:
            session.kicked, hold.told_kick = False, True
            return json_reply({"retcode": 0, "result": [kick_notice(session)]})
        if session.code:
            return self._ended(session)
        if newest and session.renewed:
            hold.old_ptwebqq = session.ptwebqq
            session.ptwebqq, session.renewed = session.renewed, ""
            return code(116, p=session.ptwebqq)
        queue = self._state.queue(session.number)
        if newest and queue and self._state.live.get(session.number) is session:
            hold.items = [queue.popleft() for _ in range(min(len(queue), BATCH))]
            shown = list(reversed(hold.items))  # newest first (§10)
            if self._faults.find("/channel/poll2", frozenset({"duplicate"})):
                shown = [item for item in shown for _ in range(2)]
            if self._faults.find("/channel/poll2", frozenset({"reorder"})):
                self._faults.shuffle(shown)
            return json_reply({"retcode": 0, "result": [render(item, session, now) for item in shown]})
        if not newest or now - hold.began >= self._hold():
            return self._idle(session, now - hold.began)
        return None

    def _idle(self, session: Session, waited: float) -> Reply:
        if session.profile == "webqq2013":
            return code(102)
        text = f"cmd[qconnect.0], errmsg[RecvTimeout], cost[{waited:.9f}s]"
        return json_reply({"retcode": 100012, "retmsg": text, "errmsg": "error"})

    def written(self, hold: Hold, ok: bool) -> None:
        """Note that the answer of a poll was written, or that its connection was gone by then.

        What could not be written goes back to the head of the queue: a dead connection swallows nothing.
        """
        session = hold.session
        if session.hold is hold:
            session.hold = None
        items, hold.items = hold.items, []
        if ok:
            self._state.answered += len(items)
            session.unconfirmed = items
            return
        session.kicked = session.kicked or hold.told_kick
        if hold.old_ptwebqq:
            session.renewed, session.ptwebqq = session.ptwebqq, hold.old_ptwebqq
        self._state.queue(session.number).extendleft(reversed(items))
        live = self._state.live.get(session.number)
        if live is not None and live.hold is not None:
            live.hold.wake()

    # -- sends ----------------------------------------------------------------------------------

    def send_buddy(self, asked: Asked, now: float) -> Reply:
        """§11"""
        return self._send(asked, now, "buddy", "to")

    def send_group(self, asked: Asked, now: float) -> Reply:
        """§11"""
        return self._send(asked, now, "group", "group_uin")

    def send_discussion(self, asked: Asked, now: float) -> Reply:
        """§11"""
        return self._send(asked, now, "discu", "did")

    def _send(self, asked: Asked, now: float, kind: str, field: str) -> Reply:
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        if session.code:
            return self._ended(session)
        alias = asked.number(field)
        world, aliases = self._state.world, session.aliases
        number = {
            "buddy": lambda: aliases.real(aliases.people, alias),
            "group": lambda: aliases.real(aliases.gids, alias),
            "discu": lambda: alias if alias in world.discussions else 0,
        }[kind]()
        content = _content(asked)
        if not number or content is None:
            return code(100001)
        fault = self._faults.find(asked.path, frozenset({"1202"}))
        if fault is None or fault.delivered:
            self._deliver(session, kind, number, content, now)
        if fault is not None:
            return json_reply({"errmsg": "error!!!", "retcode": 1202})
        if session.profile == "webqq2013":
            return result("ok")
        # With both names of the code every client is content (§13.10).
        return json_reply({"retcode": 0, "errCode": 0, "msg": "send ok"})

    def _deliver(self, session: Session, kind: str, number: int, content: list[object], now: float) -> None:
        try:
            segments = decode([e for e in content if not (isinstance(e, list) and e and e[0] == "font")])
        except ProtocolError:
            segments = ()
        self._state.sent.append(
            SentLine(
                account=session.number,
                kind=kind,
                room=number,
                name=name_of(self._state.world, kind, number),
                text=plain(segments),
                segments=segments,
                time=now,
            )
        )
        self._state.say(session.number, kind, number, segments, now)

    # -- the rest -------------------------------------------------------------------------------

    def online_buddies(self, asked: Asked, now: float) -> Reply:
        """§5.5: opens the gate for poll2."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        session.gate = True
        person = self._state.world.people[session.number]
        return result(
            [{"uin": session.aliases.uin(n), "status": "online", "client_type": 1} for n in person.friends]
        )

    def recent(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._session(asked)
        return session if isinstance(session, Reply) else result([])

    def discu_info(self, asked: Asked, now: float) -> Reply:
        """§9.5: ``ruin`` is the real number."""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        discussion = self._state.world.discussions.get(asked.number("did"))
        if discussion is None or session.number not in discussion.members:
            return code(100001)
        people = [(session.aliases.uin(n), self._state.world.people[n]) for n in discussion.members]
        return result(
            {
                "info": {
                    "did": discussion.did, "discu_owner": session.number, "discu_name": discussion.name,
                    "info_seq": 2, "mem_list": [{"mem_uin": uin, "ruin": p.number} for uin, p in people],
                },
                "mem_status": [{"uin": uin, "status": "online", "client_type": 1} for uin, _ in people],
                "mem_info": [{"uin": uin, "nick": p.nick} for uin, p in people],
            }
        )  # fmt: skip

    def change_status(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        if asked.value("newstatus") not in STATUSES:
            return code(100001)
        session.status = asked.value("newstatus")
        return result("ok")

    def simple(self, asked: Asked, now: float) -> Reply:
        """Calls that just say ok."""
        session = self._session(asked)
        return session if isinstance(session, Reply) else result("ok")

    def logout(self, asked: Asked, now: float) -> Reply:
        """§5.7"""
        session = self._session(asked)
        if isinstance(session, Reply):
            return session
        self._state.end(session, 103, relinkable=False)
        if self._state.live.get(session.number) is session:
            del self._state.live[session.number]
        return result("ok")

    def heartbeat(self, asked: Asked, now: float) -> Reply:
        """§4.7"""
        return js("var g_msgTip=[];")


def _content(asked: Asked) -> list[object] | None:
    """Return the content array of a send, or None when it is not acceptable.

    It is JSON within JSON, the font comes last, and there must be at least one text (§11).
    """
    try:
        content = json.loads(str(asked.r.get("content", "")))
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, list) or not content or not any(isinstance(e, str) for e in content):
        return None
    last = content[-1]
    return content if isinstance(last, list) and last[:1] == ["font"] else None
