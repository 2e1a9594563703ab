"""Where the demo of WebQQ plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qqops.cli.stage import Heard, fault_call
from qqops.errors import ConfigError
from qqops.simulator.server import Server
from qqops.simulator.state import SentLine
from qqops.simulator.world import Group


class SimulatedStage:
    """The WebQQ simulator."""

    def __init__(self, server: Server, heard: Heard) -> None:
        self._server = server
        self._world = server.service.world
        state = server.service.state
        sent = state.sent

        class Watched(list[SentLine]):
            def append(self, line: SentLine) -> None:
                super().append(line)
                heard(line.name, line.kind == "buddy", line.text)

        state.sent = Watched(sent)

    def people(self) -> Sequence[str]:
        """Everybody who is not a bot."""
        return [p.nick for p in self._world.people.values() if not p.is_bot]

    def rooms(self) -> Sequence[str]:
        """Groups and discussion groups."""
        groups = [group.name for group in self._world.groups.values()]
        return groups + [discussion.name for discussion in self._world.discussions.values()]

    def find(self, who: str, room: str) -> tuple[str, str]:
        """See `Stage`."""
        person = self._world.person(who)
        if person.is_bot:
            raise ConfigError(
                f"{person.nick} speaks for itself", hint=f"people are: {', '.join(self.people())}"
            )
        return person.nick, self._world.room(room).name if room else ""

    def say(self, who: str, room: str, text: str) -> None:
        """See `Stage`."""
        data: dict[str, Any] = {"kind": "buddy", "from": who, "text": text}
        if room:
            kind = "group" if isinstance(self._world.room(room), Group) else "discu"
            data |= {"kind": kind, "room": room}
        self._server.control.inject(data)

    def upset(self, what: str, arguments: str) -> str:
        """See `Stage`."""
        control = self._server.control
        if what == "faults":
            done = control.faults(fault_call(arguments))
            return f"faults that are on: {done['faults']}"
        call = {"drop": control.drop, "kick": control.kick, "expire": control.expire}[what]
        call({})
        return {
            "drop": "the next poll answers 121",
            "kick": "another login takes the session over",
            "expire": "the login has expired",
        }[what]

    def online(self) -> str:
        """See `Stage`."""
        raise ConfigError("a kicked account comes back by itself here")

    def state(self) -> list[str]:
        """See `Stage`."""
        summary = self._server.service.summary()
        keys = ("injected", "answered", "delivered", "sent", "logins", "relinks", "requests", "fault_counts")
        lines = [f"simulator {self._server.url}, polls held {summary['hold']:g} s"]
        lines += [
            f"session of {s['account']}: {s['profile']}, {'polling' if s['polling'] else 'no poll'}, code {s['code']}"
            for s in summary["sessions"]
            if s["live"]
        ]
        return [*lines, ", ".join(f"{key} {summary[key]}" for key in keys)]

    def settled(self, handled: int) -> bool:
        """The client has polled again after the last answer, and has seen all that was said."""
        state = self._server.service.state
        live = list(state.live.values())
        polling = bool(live) and all(s.code == 0 and s.hold is not None for s in live)
        return polling and not any(state.queues.values()) and handled >= state.injected
