"""The control API: how tests, the demo and people move the simulator. JSON in and out, below ``/__control/``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from qqops.errors import ConfigError, ProtocolError
from qqops.model import Segment, Text
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.wire import too_deep
from qqops.simulator.faults import Rule
from qqops.simulator.service import Service
from qqops.simulator.state import Item, Session
from qqops.simulator.world import Group, Person

PREFIX = "/__control/"


class Control:
    """The calls of the control API.

    Args:
        port_fault: Called with the rule of a fault that concerns the port as a whole.
    """

    #: What can be asked for with POST.
    CALLS = ("inject", "drop", "kick", "expire", "ptwebqq", "qr", "captcha", "faults")

    def __init__(self, service: Service, port_fault: Callable[[Rule], None] = lambda rule: None) -> None:
        self._service = service
        self._port_fault = port_fault
        self._calls: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("POST", "inject"): self.inject,
            ("GET", "sent"): self.sent,
            ("POST", "drop"): self.drop,
            ("POST", "kick"): self.kick,
            ("POST", "expire"): self.expire,
            ("POST", "ptwebqq"): self.ptwebqq,
            ("POST", "qr"): self.qr,
            ("POST", "captcha"): self.captcha,
            ("POST", "faults"): self.faults,
            ("GET", "state"): self.state,
        }

    def handle(self, method: str, name: str, body: bytes) -> tuple[int, bytes]:
        """Return (HTTP status, JSON body) of a call; what is wrong with it is said in ``error``."""
        call = self._calls.get((method, name))
        try:
            if call is None:
                known = ", ".join(f"{m} {n}" for m, n in self._calls)
                status = 405 if any(n == name for _, n in self._calls) else 404
                return status, _json({"error": f"there is no {method} {name}", "hint": known})
            data = json.loads(body) if body.strip() else {}
            if not isinstance(data, dict):
                raise ConfigError("the body must be a JSON object")
            if too_deep(data):
                raise ConfigError("the body is nested too deeply")
            return 200, _json(call(data))
        except (ValueError, RecursionError) as exc:
            return 400, _json({"error": f"the body is not valid JSON: {exc}"})
        except (ConfigError, ProtocolError) as exc:
            return 400, _json({"error": str(exc)})

    def call(self, method: str, name: str, data: Mapping[str, Any]) -> Any:
        """Make a call from within. Raises `ConfigError` when it cannot be done."""
        return self._calls[method, name](data)

    def inject(self, data: Mapping[str, Any]) -> Any:
        """``{"kind": "buddy"|"group"|"discu", "from": name or number, "room": …, "text": …}``, or ``segments``.

        For a buddy message *room* is the bot account, by default the first. ``{"kind": "raw", "item": {…}}``
        delivers a wire item as it stands.
        """
        kind = data.get("kind")
        state = self._service.state
        if kind == "raw":
            account = self._account(data)
            state.put(account.number, Item(kind="raw", raw=data.get("item"), time=int(self._service.now())))
            return {"receivers": 1}
        if kind not in ("buddy", "group", "discu"):
            raise ConfigError(f"kind must be buddy, group, discu or raw, got {kind!r}")
        sender = self._person(data, "from")
        segments = _segments(data)
        number = self._account(data, "room").number if kind == "buddy" else self._room(data, kind, sender)
        items = state.say(sender.number, kind, number, segments, self._service.now())
        return {"receivers": len(items), "msg_id": items[0].msg_id if items else None}

    def _person(self, data: Mapping[str, Any], key: str) -> Person:
        who = data.get(key)
        if not isinstance(who, str | int) or isinstance(who, bool):
            raise ConfigError(f"{key} must be a name or a number, got {who!r}")
        return self._service.world.person(who)

    def _room(self, data: Mapping[str, Any], kind: str, sender: Person) -> int:
        which = data.get("room")
        if not isinstance(which, str | int) or isinstance(which, bool):
            raise ConfigError(f"room must be a name or a number, got {which!r}")
        room = self._service.world.room(which)
        if isinstance(room, Group) != (kind == "group"):
            raise ConfigError(f"{room.name!r} is not a {'group' if kind == 'group' else 'discussion group'}")
        if sender.number not in room.members:
            raise ConfigError(f"{sender.nick} is not in {room.name!r}")
        return room.number if isinstance(room, Group) else room.did

    def _account(self, data: Mapping[str, Any], key: str = "account") -> Person:
        """Return the bot account that a call concerns; the first one when it names none."""
        if data.get(key) is None:
            return self._service.world.bots[0]
        person = self._person(data, key)
        if not person.is_bot:
            raise ConfigError(f"{person.nick} is not a bot account")
        return person

    def _live(self, data: Mapping[str, Any]) -> Session:
        account = self._account(data)
        session = self._service.state.live.get(account.number)
        if session is None or session.code:
            raise ConfigError(f"{account.nick} ({account.number}) is not online")
        return session

    def sent(self, data: Mapping[str, Any]) -> Any:
        """Return all sends that were taken, oldest first."""
        return {
            "sent": [
                {
                    "account": line.account, "kind": line.kind, "target": line.name, "number": line.room,
                    "text": line.text, "time": line.time,
                }
                for line in self._service.state.sent
            ]
        }  # fmt: skip

    def drop(self, data: Mapping[str, Any]) -> Any:
        """Let the next poll answer 121; a re-link takes the session up again."""
        self._service.state.end(self._live(data), 121, relinkable=True)
        return {"dropped": True}

    def kick(self, data: Mapping[str, Any]) -> Any:
        """Another web login takes over: kick_message, then 103."""
        self._service.channel.kick(self._live(data))
        return {"kicked": True}

    def expire(self, data: Mapping[str, Any]) -> Any:
        """The login has expired: 100000, and no re-link."""
        self._service.state.end(self._live(data), 100000, relinkable=False)
        return {"expired": True}

    def ptwebqq(self, data: Mapping[str, Any]) -> Any:
        """The next poll announces a new ptwebqq (116)."""
        session = self._live(data)
        session.renewed = self._service.state.hex(64)
        if session.hold is not None:
            session.hold.wake()
        return {"ptwebqq": session.renewed}

    def qr(self, data: Mapping[str, Any]) -> Any:
        """``{"action": "scan"|"confirm"|"expire"}`` for all open QR pictures."""
        action = data.get("action")
        if action not in ("scan", "confirm", "expire"):
            raise ConfigError(f"action must be scan, confirm or expire, got {action!r}")
        pictures = [p for p in self._service.state.pictures.values() if not p.expired]
        if not pictures:
            raise ConfigError("no QR picture is open")
        for picture in pictures:
            picture.scanned = picture.scanned or action in ("scan", "confirm")
            picture.confirmed = picture.confirmed or action == "confirm"
            picture.expired = action == "expire"
        return {"pictures": len(pictures)}

    def captcha(self, data: Mapping[str, Any]) -> Any:
        """``{"on": true}``: ask for a captcha at each login."""
        on = data.get("on")
        if not isinstance(on, bool):
            raise ConfigError(f"on must be true or false, got {on!r}")
        self._service.options.captcha = on
        return {"captcha": on}

    def faults(self, data: Mapping[str, Any]) -> Any:
        """Switch faults on and off; see `qqops.simulator.faults.Faults.set`."""
        rule = self._service.faults.set(data)
        if rule is not None and rule.fault == "port":
            self._service.faults.rules.remove(rule)
            self._port_fault(rule)
        return {"faults": len(self._service.faults.rules)}

    def state(self, data: Mapping[str, Any]) -> Any:
        """Return what is going on."""
        return self._service.summary()


def _segments(data: Mapping[str, Any]) -> tuple[Segment, ...]:
    text, segments = data.get("text"), data.get("segments")
    if isinstance(text, str) and segments is None:
        return (Text(text),)
    if isinstance(segments, list) and text is None:
        return decode(segments)
    raise ConfigError("give text, or segments as a content array, and not both")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
