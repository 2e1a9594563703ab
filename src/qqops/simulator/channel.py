"""The channel host: login2, poll2, sends, presence. Source: webqq.md §4.6, §5.4–5.6, §10, §11."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import attrs

from qqops.model import Image, plain
from qqops.protocol.webqq.profile import STATUSES
from qqops.simulator.calendar import Era
from qqops.simulator.faults import Faults
from qqops.simulator.render import kick_notice, render
from qqops.simulator.state import Hold, Item, Session, State
from qqops.simulator.wire import Asked, Outcome, Reply, code, js, json_reply, page, result

#: Messages in one answer of poll2; more wait for the next one.
BATCH = 20


class Channel:
    """The channel host."""

    def __init__(
        self,
        state: State,
        faults: Faults,
        *,
        hold: Callable[[], float],
        lenient: Callable[[], bool],
        era: Callable[[str], Era],
    ) -> None:
        self._state = state
        self._faults = faults
        self._hold = hold
        self._lenient = lenient
        self._era_of = era

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
            "/web2/get_msg_tip": self.heartbeat,
        }

    @property
    def lenient(self) -> bool:
        """Whether checks are left out."""
        return self._lenient()

    def _era(self, session: Session) -> Era:
        return self._era_of(session.profile)

    # -- sessions -------------------------------------------------------------------------------

    def login2(self, asked: Asked, now: float) -> Reply:
        """§4.6, §5.4; with a known psessionid it is a re-link (§5.6)."""
        if any(asked.host in self._era_of(name).dead_hosts for name in ("smartqq",)):
            return page("403 Forbidden", 403)
        psessionid = asked.value("psessionid")
        known = self._state.sessions.get(psessionid)
        if psessionid:
            return self._relink(asked, known, now)
        session = self._state.logins.get(asked.cookies.get("skey", ""))
        if session is None or (not self._lenient() and not asked.cookies.get("uin")):
            return code(108)
        if not self.has_proof(asked, session):
            return code(108)
        if not self._lenient() and asked.value("ptwebqq") != session.ptwebqq:
            return code(100000)
        if session.code and not session.relinkable:
            return code(100000)
        session.psessionid = "8368046764001d636f6e6e7365727665725f77656271714031302e" + self._state.hex(100)
        session.clientid = asked.value("clientid")
        self._state.sessions[session.psessionid] = session
        self._go_live(session, now)
        self._state.logins_done += 1
        return self._opened(session, asked)

    def _relink(self, asked: Asked, session: Session | None, now: float) -> Reply:
        if session is None or not session.relinkable or asked.value("ptwebqq") != session.ptwebqq:
            return code(103)
        self._go_live(session, now)
        self._state.relinks_done += 1
        return self._opened(session, asked)

    def _go_live(self, session: Session, now: float) -> None:
        """Make *session* the only live one of its account; a second web login kicks the first (§12.4)."""
        self._state.note_live(session)
        old = self._state.live.get(session.number)
        if old is not None and old is not session and not old.code:
            self.kick(old)
        # What the last answer of the session before held was perhaps never read: it comes again, and clients
        # tell duplicates by the ids (§12.4).
        for one in {id(s): s for s in (old, session) if s is not None}.values():
            self._state.queue(session.number).extendleft(reversed(one.unconfirmed))
            one.unconfirmed = []
        if session.code or not session.opened:
            self._state.open(session)
        self._state.live[session.number] = session
        session.gate = not self._era(session).gate
        session.born = now

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

    def has_proof(self, asked: Asked, session: Session, *, picture: bool = False) -> bool:
        """Whether the call has the cookies of check_sig, where they were needed: on ``d1``, for pictures (§2, §11.2)."""
        if self._lenient() or not (asked.host == "d1.web2.qq.com" or picture):
            return True
        return (
            bool(session.p_skey)
            and asked.cookies.get("p_skey") == session.p_skey
            and "p_uin" in asked.cookies
        )

    def session(self, asked: Asked) -> Session | Reply:
        """Return the working session of a call, or what to answer instead."""
        session = self._state.sessions.get(asked.value("psessionid"))
        if session is None:
            return code(103)
        if not self._lenient() and asked.cookies.get("skey") != session.skey:
            return code(108)
        if not self.has_proof(asked, session):
            return code(108)
        if session.clientid and asked.value("clientid") not in ("", session.clientid):
            return code(103)
        return session

    # -- poll -----------------------------------------------------------------------------------

    def poll2(self, asked: Asked, now: float) -> Outcome:
        """§10"""
        session = self.session(asked)
        if isinstance(session, Reply):
            return session
        self._state.delivered += len(session.unconfirmed)
        for item in session.unconfirmed:
            self._state.confirmed(item)
        session.unconfirmed = []
        if not session.code and not session.gate and not self._lenient():
            return code(103)
        self._state.note_live(session)
        hold = Hold(session=session, began=now)
        self._state.hold(hold)
        older, session.hold = session.hold, hold
        if older is not None:
            older.wake()
        return hold

    def ended(self, session: Session) -> Reply:
        return json_reply(
            {"retcode": session.code, "t": "0"} if session.code == 121 else {"retcode": session.code}
        )

    def collect(self, hold: Hold, now: float) -> Reply | None:
        """Return the answer of a waiting poll, or None while there is nothing to say."""
        reply = self._collect(hold, now)
        if reply is not None:
            self._state.release(hold)
            if hold.items:
                self._state.flying.append(hold)
        return reply

    def _collect(self, hold: Hold, now: float) -> Reply | None:
        """See `collect`.

        The newest poll of a session wins; an older one is sent home idle and takes nothing with it.
        """
        session = hold.session
        newest = session.hold is hold
        self._forget(session.number, now)
        if newest and session.kicked:
            session.kicked, hold.told_kick = False, True
            return json_reply({"retcode": 0, "result": [kick_notice(session)]})
        if session.code:
            return self.ended(session)
        if newest and session.renewed:
            hold.old_ptwebqq = session.ptwebqq
            session.ptwebqq, session.renewed = session.renewed, ""
            return code(116, p=session.ptwebqq)
        queue = self._state.queue(session.number)
        if newest and queue and self._state.live.get(session.number) is session:
            hold.items = self._take(queue, session, now)
            if not hold.items:
                return self._idle(session, now - hold.began) if now - hold.began >= self._hold() else None
            shown = list(reversed(hold.items))  # newest first (§10)
            if self._faults.find("/channel/poll2", frozenset({"duplicate"})):
                shown = [item for item in shown for _ in range(2)]
            if self._faults.find("/channel/poll2", frozenset({"reorder"})):
                self._faults.shuffle(shown)
                self._state.shuffled(hold.items)
            return json_reply({"retcode": 0, "result": [render(item, session, now) for item in shown]})
        if not newest or now - hold.began >= self._hold():
            return self._idle(session, now - hold.began)
        return None

    def _forget(self, number: int, now: float) -> None:
        """Lose what nobody has polled for in time, where that is on: about a minute in the service (§10)."""
        before, self._state.polled[number] = self._state.polled.get(number, 0.0), now
        rule = self._faults.peek("/channel/poll2", "forget")
        queue = self._state.queue(number)
        while rule is not None and queue and now - max(queue[0].time, before) > rule.seconds:
            self._state.lost += 1
            self._state.dropped(queue.popleft())

    def _take(self, queue: deque[Item], session: Session, now: float) -> list[Item]:
        """Take what is due from *queue*; some of it gets lost on the way, or comes late (§12.4)."""
        items: list[Item] = []
        while queue and len(items) < BATCH:
            late = self._faults.peek("/channel/poll2", "late")
            if late is not None and now - queue[0].time < late.seconds:
                break
            item = self._arriving(queue.popleft(), session)
            if item is None or self._faults.find("/channel/poll2", frozenset({"lose"})):
                self._state.lost += 1
                if item is not None:
                    self._state.dropped(item)
                continue
            items.append(item)
        return items

    def _arriving(self, item: Item, session: Session) -> Item | None:
        """Return what arrives of *item*: from 2015-12-09 on, no pictures of others (§1, §10.2)."""
        if self._era(session).pictures or not any(isinstance(s, Image) for s in item.segments):
            return item
        rest = tuple(s for s in item.segments if not isinstance(s, Image))
        return attrs.evolve(item, segments=rest) if plain(rest).strip() else None

    def _idle(self, session: Session, waited: float) -> Reply:
        idle = self._era(session).idle
        if idle == 0:
            return json_reply({"retcode": 0, "retmsg": "ok", "errmsg": "error"})
        if idle != 100012:
            return code(idle)
        text = f"cmd[qconnect.0], errmsg[RecvTimeout], cost[{waited:.9f}s]"
        return json_reply({"retcode": 100012, "retmsg": text, "errmsg": "error"})

    def written(self, hold: Hold, ok: bool) -> None:
        """Note that the answer of a poll was written, or that its connection was gone by then.

        What could not be written goes back to the head of the queue: a dead connection swallows nothing.
        """
        session = hold.session
        self._state.release(hold)
        if session.hold is hold:
            session.hold = None
        if hold in self._state.flying:
            self._state.flying.remove(hold)
        items, hold.items = hold.items, []
        if ok:
            self._state.answered += len(items)
            session.unconfirmed += items  # an older poll that is sent home brings none, and takes none away
            return
        session.kicked = session.kicked or hold.told_kick
        if hold.old_ptwebqq:
            session.renewed, session.ptwebqq = session.ptwebqq, hold.old_ptwebqq
        self._state.queue(session.number).extendleft(reversed(items))
        live = self._state.live.get(session.number)
        if live is not None and live.hold is not None:
            live.hold.wake()

    def cut_off(self) -> None:
        """Note that all connections are gone: no answer that is not written yet will be."""
        for hold in list(self._state.flying):
            self.written(hold, False)

    # -- the rest -------------------------------------------------------------------------------

    def online_buddies(self, asked: Asked, now: float) -> Reply:
        """§5.5: opens the gate for poll2."""
        session = self.session(asked)
        if isinstance(session, Reply):
            return session
        session.gate = True
        person = self._state.world.people[session.number]
        return result(
            [{"uin": session.aliases.uin(n), "status": "online", "client_type": 1} for n in person.friends]
        )

    def recent(self, asked: Asked, now: float) -> Reply:
        """§9.6"""
        session = self.session(asked)
        return session if isinstance(session, Reply) else result([])

    def discu_info(self, asked: Asked, now: float) -> Reply:
        """§9.5: ``ruin`` is the real number."""
        session = self.session(asked)
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
        session = self.session(asked)
        if isinstance(session, Reply):
            return session
        if asked.value("newstatus") not in STATUSES:
            return code(100001)
        session.status = asked.value("newstatus")
        return result("ok")

    def logout(self, asked: Asked, now: float) -> Reply:
        """§5.7"""
        session = self.session(asked)
        if isinstance(session, Reply):
            return session
        self._state.end(session, 103, relinkable=False)
        if self._state.live.get(session.number) is session:
            del self._state.live[session.number]
        return result("ok")

    def heartbeat(self, asked: Asked, now: float) -> Reply:
        """§4.7"""
        return js("var g_msgTip=[];")
