"""The service as a whole, without a socket: a request in, an answer or a held poll out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qqops.model import Clock
from qqops.protocol.webqq.profile import PROFILES
from qqops.simulator.calendar import DEFAULTS, Era, era
from qqops.simulator.channel import Channel
from qqops.simulator.faults import Faults
from qqops.simulator.lists import Lists
from qqops.simulator.manage import Manage
from qqops.simulator.ptlogin import PtLogin
from qqops.simulator.sends import Sends
from qqops.simulator.state import Hold, State
from qqops.simulator.wire import Asked, Outcome, Reply, code, good_referer, page
from qqops.simulator.world import World, default_world


@attrs.define(kw_only=True)
class ServiceOptions:
    """How the service behaves; some of it can be changed while it runs.

    Attributes:
        profile: ``auto`` tells the generations apart by the appid a client sends; ``webqq2013@2013-03`` is one
            generation at one date.
        hold: Seconds a poll is held.
        lenient: Leave out the checks of password, captcha, Referer, hash and token.
        captcha: Ask for a captcha at each login.
        qr_auto: Let every QR picture be scanned and confirmed by itself.
        quick: Let a login be repeated with its cookies (pt4_auth).
        reshuffle: Give people and groups new aliases at each login.
        alias_life: Seconds in which aliases survive a new login all the same; hours, as some have seen (webqq.md §2).
        hashes: Variants of the friends hash that are accepted, by generation; empty for those of the profile.
    """

    profile: str = "auto"
    hold: float = 60.0
    lenient: bool = False
    captcha: bool = False
    qr_auto: bool = True
    quick: bool = True
    reshuffle: bool = True
    alias_life: float = 0.0
    seed: int | None = None
    hashes: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    def era(self, generation: str) -> Era:
        """Return the rules for sessions of *generation*."""
        found = DEFAULTS[generation] if self.profile == "auto" else era(self.profile)[1]
        hashes = self.hashes.get(generation)
        return attrs.evolve(found, friends_hash=hashes, groups_hash=hashes) if hashes is not None else found


class Service:
    """WebQQ. Pure but for the clock it is given; one object is one world."""

    def __init__(
        self, clock: Clock, world: World | None = None, options: ServiceOptions | None = None
    ) -> None:
        self.options = options or ServiceOptions()
        self.clock = clock
        self.state = State(world=world or default_world(), rng=random.Random(self.options.seed))
        self.faults = Faults()
        self.requests = 0
        if self.options.profile != "auto":
            era(self.options.profile)  # says what is wrong with it
        self.channel = Channel(
            self.state,
            self.faults,
            hold=lambda: self.options.hold,
            lenient=lambda: self.options.lenient,
            era=self.options.era,
        )
        lists = Lists(self.state, lenient=lambda: self.options.lenient, era=self.options.era)
        sends = Sends(self.state, self.faults, self.channel, self.options.era)
        manage = Manage(self.state, self.channel)
        login = PtLogin(self.state, self.options)
        self._routes: dict[str, Callable[[Asked, float], Outcome]] = {}
        for part in (login, self.channel, lists, sends, manage):
            self._routes.update(part.routes())  # type: ignore[arg-type] # the parts' methods, which take and give just that

    @property
    def world(self) -> World:
        """Who there is."""
        return self.state.world

    def now(self) -> float:
        """Return this moment in Unix seconds."""
        return self.clock.now().timestamp()

    def handle(self, asked: Asked) -> Outcome:
        """Answer a request, or hold it."""
        self.requests += 1
        handler = self._routes.get(asked.path)
        if handler is None:
            return page("404 Not Found", 404)
        if not self.options.lenient and _needs_referer(asked.path) and not good_referer(asked.referer):
            return code(100000 if asked.path.startswith("/api/") else 103)
        return handler(asked, self.now())

    def obey(self, asked: Asked) -> None:
        """Do what a request asks for although nobody will read the answer; a poll ends with its connection."""
        outcome = self.handle(asked)
        if isinstance(outcome, Hold):
            self.channel.written(outcome, False)

    def renew(self, asked: Asked, ptwebqq: str) -> None:
        """Let *ptwebqq*, unless it is empty, be the valid one of the session that *asked* belongs to."""
        session = self.state.sessions.get(asked.value("psessionid"))
        if session is not None and ptwebqq:
            session.ptwebqq = ptwebqq

    def collect(self, hold: Hold) -> Reply | None:
        """Return the answer of a held poll, or None while it must wait."""
        return self.channel.collect(hold, self.now())

    def summary(self) -> dict[str, Any]:
        """Return what is going on, for ``GET state``."""
        state = self.state
        return {
            "profile": self.options.profile,
            "profiles": sorted(PROFILES),
            "hold": self.options.hold,
            "lenient": self.options.lenient,
            "captcha": self.options.captcha,
            "people": [
                {"number": p.number, "nick": p.nick, "bot": p.is_bot} for p in state.world.people.values()
            ],
            "rooms": [
                *({"kind": "group", "number": g.number, "name": g.name} for g in state.world.groups.values()),
                *({"kind": "discu", "number": d.did, "name": d.name} for d in state.world.discussions.values()),
            ],
            "sessions": [
                {
                    "account": s.number, "profile": s.profile, "code": s.code,
                    "status": s.status, "polling": s.hold is not None,
                    "live": state.live.get(s.number) is s,
                }
                for s in state.sessions.values()
            ],
            "waiting": {str(n): len(q) for n, q in state.queues.items() if q},
            "captcha_answers": list(state.captchas.values())[-1:],
            "requests": self.requests, "injected": state.injected, "answered": state.answered,
            "delivered": state.delivered, "sent": len(state.sent), "logins": state.logins_done,
            "relinks": state.relinks_done, "most_live_sessions": state.most_live, "lost": state.lost,
            "swallowed": state.swallowed, "done": state.done,
            "faults": [{k: v for k, v in attrs.asdict(rule).items() if v not in ("", None)} for rule in self.faults.rules],
            "fault_counts": self.faults.counts,
        }  # fmt: skip


def _needs_referer(path: str) -> bool:
    return path.startswith(("/api/", "/channel/"))
