"""Where the demo of OneBot v11 plays."""

from __future__ import annotations

from collections.abc import Sequence

from qqops.cli.stage import Heard, fault_call
from qqops.errors import ConfigError
from qqops.simulator.onebot.server import OneBotServer


class OneBotStage:
    """A simulated OneBot v11 implementation."""

    def __init__(self, server: OneBotServer, heard: Heard) -> None:
        self._server = server
        self._it = server.it
        self._lost = 0
        self._it.heard = lambda said: heard(
            self._it.name_of(said.kind, said.room), said.kind == "buddy", said.text
        )

    def people(self) -> Sequence[str]:
        """Everybody who is not a bot."""
        return [p.nick for p in self._it.world.people.values() if not p.is_bot]

    def rooms(self) -> Sequence[str]:
        """The groups."""
        return [group.name for group in self._it.world.groups.values()]

    def find(self, who: str, room: str) -> tuple[str, str]:
        """See `Stage`."""
        person = self._it.world.person(who)
        if person.is_bot:
            raise ConfigError(
                f"{person.nick} speaks for itself", hint=f"people are: {', '.join(self.people())}"
            )
        found = self._it.world.room(room).name if room else ""
        if found and found not in self.rooms():
            raise ConfigError(f"{found!r} is not a group", hint=f"groups are: {', '.join(self.rooms())}")
        return person.nick, found

    def say(self, who: str, room: str, text: str) -> None:
        """See `Stage`. Nobody keeps messages here: what is said while no connection is open is lost."""
        place = {"kind": "group", "room": room} if room else {"kind": "buddy"}
        self._server.control.inject({**place, "from": who, "text": text})
        if not any(peer.events for peer in self._server.peers):
            self._lost += 1

    def upset(self, what: str, arguments: str) -> str:
        """See `Stage`."""
        control = self._server.control
        if what == "faults":
            done = control.faults(fault_call(arguments))
            return f"faults that are on: {done['faults']}"
        if what == "drop":
            return f"closed connections: {control.drop({})['dropped']}"
        control.kick({})
        return "QQ has thrown the account out; :online brings it back"

    def online(self) -> str:
        """Bring the account back."""
        self._server.control.online({})
        return "QQ has the account online again"

    def state(self) -> list[str]:
        """See `Stage`."""
        summary = self._server.exchange.summary()
        keys = ("injected", "sent", "connections", "requests", "fault_counts")
        return [
            f"{summary['flavor']} at {self._server.url}, account {summary['account']}, "
            f"{'online' if summary['online'] else 'offline'}, {len(summary['peers'])} connections open",
            ", ".join(f"{key} {summary[key]}" for key in keys),
        ]

    def settled(self, handled: int) -> bool:
        """The bot has seen all that reached it."""
        return bool(self._server.peers) and handled >= self._it.injected - self._lost
