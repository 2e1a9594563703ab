"""Target: the simulator, its service and its control API, without a socket."""

from __future__ import annotations

import datetime
import json
import random
import urllib.parse

from _checks import attempt, check_reply, must
from _inputs import FONT_TEXT, MAX_INPUT, Draw, fields, json_text, mutated, pieces

from qqops.protocol.webqq.profile import PROFILES
from qqops.simulator import state as sim
from qqops.simulator import wire as sim_wire
from qqops.simulator.control import Control
from qqops.simulator.faults import KINDS
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import DEFAULT_BOT, Person, default_world

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class _Clock:
    """A clock that the harness moves."""

    moment = NOW

    def now(self) -> datetime.datetime:
        """Return its moment."""
        return self.moment


def make_service(draw: Draw) -> Service:
    """Return a simulator with two bots, one of them logged in as skey=@k, psessionid=ps."""
    world = default_world()
    world.people[100200301] = Person(number=100200301, nick="second", password="x", friends=[20001])
    for room in (*world.groups.values(), *world.discussions.values()):
        room.members.append(100200301)
    options = ServiceOptions(seed=1, lenient=draw.number(2) == 0, captcha=draw.number(4) == 1)
    service = Service(_Clock(), world=world, options=options)
    for number, key in ((DEFAULT_BOT, "k"), (100200301, "l")):
        aliases = sim.Aliases(random.Random(1))
        session = sim.Session(number=number, profile=draw.pick(tuple(PROFILES)), aliases=aliases, skey=f"@{key}", ptwebqq="pt",
                              vfwebqq="vf", psessionid=f"ps{key}", gate=True)  # fmt: skip
        aliases.people[20001], aliases.gids[30001], aliases.people[100200301] = 7, 7, 8
        service.state.sessions[session.psessionid] = service.state.logins[session.skey] = session
        service.state.live[number] = session
    return service


def fuzz_simulator(draw: Draw) -> None:
    """Requests and control calls of any kind; each is answered, and afterwards the simulator still tells its state."""
    service = make_service(draw)
    control = Control(service)
    for _ in range(1 + draw.number(10)):
        if draw.number(3) == 0:
            control_call(draw, control)
        else:
            service_call(draw, service)
    for name in ("state", "sent"):
        status, body = attempt(f"GET {name}", lambda n=name: control.handle("GET", n, b"")) or (0, b"")
        must(status == 200, f"GET {name} answers {status}: {body[:120]!r}")


_CALLS = ("inject", "inject", "inject", "sent", "drop", "kick", "expire", "ptwebqq", "qr", "captcha", "faults", "faults", "state")  # fmt: skip


def control_call(draw: Draw, control: Control) -> None:
    """Make one control call."""
    name = draw.pick(_CALLS) if draw.number(16) else pieces(draw, 2).decode("latin-1")
    method = "GET" if name in ("sent", "state") else "POST"
    if draw.number(8) == 7:
        method = draw.pick(("POST", "GET", "PUT"))
    if name == "inject":
        made = draw.pick(
            (
                f'{{"kind":"group","from":"Ali","room":30001,"segments":[{json_text(draw)},{json_text(draw)}]}}',
                f'{{"kind":"raw","item":{json_text(draw)}}}',
                f'{{"kind":"buddy","from":20001,"text":{json_text(draw)}}}',
                fields(draw, ("kind", "from", "room", "text"), '"Ali"'),
            )
        )
    elif name == "faults":
        keys = ("seconds", "probability", "count", "status", "on", "seed", "after")
        odd = fields(draw, [draw.pick(keys) for _ in range(1 + draw.number(3))], json_text(draw, 6))
        made = f'{{"fault":"{draw.pick(tuple(KINDS))}",{odd[1:]}'
    else:
        made = json_text(draw)
    body = made.encode()[:MAX_INPUT] if draw.number(12) else pieces(draw)
    status, answer = attempt("Control.handle", lambda: control.handle(method, name, body)) or (0, b"")
    must(100 <= status <= 599, f"Control.handle answers {status}")
    must(isinstance(json.loads(answer), dict), "Control.handle answers no JSON object")


def service_call(draw: Draw, service: Service) -> None:
    """Make one request; a poll that is held is collected, and written or not."""
    paths = tuple(service._routes)
    path = draw.pick(paths) if draw.number(16) else pieces(draw, 4).decode("latin-1")
    key = draw.pick(("k", "l"))
    query = f"psessionid=ps{key}&vfwebqq=vf&clientid=1&gcode=7&tuin=7&did=40001&type=1&uin=100200300&appid=1003903"
    if draw.number(3) == 2:
        query += "&" + pieces(draw, 3).decode("latin-1")
    kind = draw.pick(("x", "\\ud800", "cface", "offpic", "face"))
    inner = json.dumps(f'[["{kind}",{json_text(draw)}],"x",{json_text(draw)},{FONT_TEXT}]')
    odd = fields(draw, ("to", "group_uin", "did", "status", "hash", "clientid"))
    r = f'{{"content":{inner},"psessionid":"ps{key}","ptwebqq":"pt","vfwebqq":"vf",{odd[1:]}'
    if draw.number(8) == 7:
        r = json_text(draw)
    form = f"r={urllib.parse.quote(r)}".encode()[:MAX_INPUT] if draw.number(8) else pieces(draw)
    headers = {
        "host": "d.web2.qq.com",
        "referer": "http://d.web2.qq.com/proxy.html?v=1",
        "cookie": f"skey=@{key}; uin=o0100200300",
    }
    if draw.number(6) == 0:
        name = draw.pick(("host", "referer", "cookie"))
        headers[name] = mutated(draw, headers[name].encode()).decode("latin-1")
    target = draw.pick(("", "", "http://d.web2.qq.com", "/d.web2.qq.com", "http://[")) + f"{path}?{query}"
    method = draw.pick(("POST", "GET", "PUT", "POST"))
    asked = attempt("simulator.wire.parse", lambda: sim_wire.parse(method, target, headers, form))
    must(asked is not None, "parse gave nothing")
    attempt("Faults.find", lambda: service.faults.find(asked.path, frozenset(KINDS)))
    outcome = attempt("Service.handle", lambda: service.handle(asked))
    if isinstance(outcome, sim.Hold):
        hold = outcome
        if draw.number(3) == 0:
            _Clock.moment = NOW + datetime.timedelta(seconds=draw.pick((0, 61, 200)))
        outcome = attempt("Service.collect", lambda: service.collect(hold))
        service.channel.written(hold, draw.number(2) == 0)
        _Clock.moment = NOW
        if outcome is None:
            return
    must(isinstance(outcome, sim_wire.Reply), "the service gave no answer")
    check_reply(asked.path, outcome)
