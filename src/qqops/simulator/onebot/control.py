"""Control of a OneBot implementation: what happens to the account, and what was seen of it.

The same calls as WebQQ's under the same path, where they mean anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from qqops.errors import ConfigError
from qqops.simulator.faults import Rule
from qqops.simulator.onebot.implementation import Said
from qqops.simulator.onebot.peer import Exchange
from qqops.simulator.world import Group


class Control:
    """Calls that change a running implementation.

    Args:
        close_port: Closes the port for a while, with all that is open.
    """

    #: What can be asked for with POST.
    CALLS = ("inject", "drop", "kick", "expire", "online", "options", "faults")

    def __init__(self, exchange: Exchange, close_port: Callable[[Rule], None]) -> None:
        self._exchange = exchange
        self._close_port = close_port
        self._calls: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("POST", "inject"): self.inject,
            ("GET", "sent"): self.sent,
            ("POST", "drop"): self.drop,
            ("POST", "kick"): self.kick,
            ("POST", "expire"): self.expire,
            ("POST", "online"): self.online,
            ("POST", "options"): self.options,
            ("POST", "faults"): self.faults,
            ("GET", "state"): lambda data: exchange.summary(),
        }

    def handle(self, method: str, name: str, body: bytes) -> tuple[int, bytes]:
        """Return (HTTP status, JSON body) of a call; what is wrong with it is said in ``error``."""
        call = self._calls.get((method, name))
        try:
            if call is None:
                known = ", ".join(f"{m} {n}" for m, n in self._calls)
                return 404, _json({"error": f"there is no {method} {name}", "hint": known})
            data = json.loads(body) if body.strip() else {}
            if not isinstance(data, dict):
                raise ConfigError("the body must be a JSON object")
            return 200, _json(call(data))
        except (ValueError, RecursionError) as exc:
            return 400, _json({"error": f"the body is not valid JSON: {exc}"})
        except ConfigError as exc:
            return 400, _json({"error": str(exc)})

    def call(self, method: str, name: str, data: Mapping[str, Any]) -> Any:
        """Make a call from within. Raises `ConfigError` when it cannot be done."""
        if (method, name) not in self._calls:
            raise ConfigError(f"there is no call {name!r} here")
        return self._calls[method, name](data)

    def inject(self, data: Mapping[str, Any]) -> Any:
        """``{"kind": "buddy"|"group", "from": …, "room": …, "text": …}``, or ``segments`` in the array form.

        ``{"kind": "raw", "frame": {…}}`` pushes an event as it stands, with time and self_id where they are missing.
        """
        it, kind = self._exchange.it, data.get("kind")
        if kind == "raw":
            frame = data.get("frame")
            if not isinstance(frame, dict):
                raise ConfigError("frame must be an object")
            it.push({"time": int(it.now()), "self_id": it.me.number, **frame})
            return {"receivers": len(self._exchange.peers)}
        if kind not in ("buddy", "group"):
            raise ConfigError(f"kind must be buddy, group or raw, got {kind!r}")
        sender = it.world.person(_name(data, "from"))
        group: Group | None = None
        if kind == "group":
            room = it.world.room(_name(data, "room"))
            if not isinstance(room, Group):
                raise ConfigError(f"{room.name!r} is not a group")
            if sender.number not in room.members:
                raise ConfigError(f"{sender.nick} is not in {room.name!r}")
            group = room
        said, segments = data.get("text"), data.get("segments")
        if isinstance(said, str) and segments is None:
            segments = [{"type": "text", "data": {"text": said}}]
        if not isinstance(segments, list):
            raise ConfigError("give text, or segments in the array form, and not both")
        message = it.say(sender, group, segments)
        return {"receivers": sum(p.events for p in self._exchange.peers), "msg_id": message.id}

    def sent(self, data: Mapping[str, Any]) -> Any:
        """Return all messages of the bot, oldest first; under ``swallowed`` those that nobody sees."""
        it = self._exchange.it
        return {
            "sent": [self._shown(one) for one in it.sent],
            "swallowed": [self._shown(one) for one in it.swallowed],
        }

    def _shown(self, line: Said) -> Mapping[str, Any]:
        it = self._exchange.it
        return {
            "account": it.me.number, "kind": line.kind, "target": it.name_of(line.kind, line.room),
            "number": line.room, "text": line.text, "segments": list(line.segments), "time": line.time,
        }  # fmt: skip

    def drop(self, data: Mapping[str, Any]) -> Any:
        """Close every connection without a word; ``{"stall": seconds}`` leaves them open and dead.

        ``{"polite": true}`` closes them in good order, as an implementation does that is stopped.
        """
        stall, polite = data.get("stall", 0.0), data.get("polite", False)
        if isinstance(stall, bool) or not isinstance(stall, int | float) or not 0 <= stall < 1e6:
            raise ConfigError(f"stall must be seconds, got {stall!r}")
        if not isinstance(polite, bool):
            raise ConfigError(f"polite must be true or false, got {polite!r}")
        peers = list(self._exchange.peers)
        for peer in peers:
            peer.drop(stall=float(stall), polite=polite)
        return {"dropped": len(peers)}

    def options(self, data: Mapping[str, Any]) -> Any:
        """Set what a user of the implementation sets: ``format`` of messages, ``interval`` that heartbeats tell."""
        it = self._exchange.it
        if unknown := set(data) - {"format", "interval"}:
            raise ConfigError(f"unknown option {min(unknown)!r}", hint="format or interval")
        for key, value in data.items():
            if not isinstance(value, str):
                raise ConfigError(f"{key} must be a text, got {value!r}")
        it.choose(message_format=data.get("format", ""), interval=data.get("interval", ""))
        return {"format": it.message_format, "interval": it.interval}

    def kick(self, data: Mapping[str, Any]) -> Any:
        """QQ throws the account out; the connections stay. ``online`` brings it back."""
        it = self._exchange.it
        it.online = False
        it.notice("bot_offline", user_id=it.me.number, tag="下线通知", message="你的账号在另一地点登录")
        return {"online": False}

    def expire(self, data: Mapping[str, Any]) -> Any:
        """The login at QQ has expired: the same as `kick`, seen from here."""
        return self.kick(data)

    def online(self, data: Mapping[str, Any]) -> Any:
        """QQ has the account online again."""
        it = self._exchange.it
        it.online = True
        it.push(it.heartbeat())
        return {"online": True}

    def faults(self, data: Mapping[str, Any]) -> Any:
        """Switch faults on and off; see `qqops.simulator.faults.Faults.set`."""
        rule = self._exchange.faults.set(data)
        if rule is not None and rule.fault == "port":
            self._exchange.faults.rules.remove(rule)
            self._close_port(rule)
        return {"faults": len(self._exchange.faults.rules)}


def _name(data: Mapping[str, Any], key: str) -> str | int:
    who = data.get(key)
    if not isinstance(who, str | int) or isinstance(who, bool):
        raise ConfigError(f"{key} must be a name or a number, got {who!r}")
    return who


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
