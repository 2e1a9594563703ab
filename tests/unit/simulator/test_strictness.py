"""What the service checked that only some clients meet; each with requests as a client writes them."""

import json
import urllib.parse

import pytest
import trio

from qqops.model import Image, Text
from qqops.protocol.webqq.hashes import FRIENDS_HASHES, hash33, password_md5
from qqops.runtime.clock import WallClock
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Hold
from qqops.simulator.wire import parse
from qqops.simulator.world import DEFAULT_BOT, Discussion, Person, default_world

PNG = b"\x89PNG\r\n\x1a\nrest"
PICTURE = Image("{A}.jpg", {"kind": "cface", "file_id": 1, "server": "1.2.3.4:80"})


class Client:
    """A session, and calls with its cookies; what a call gets can be left out or changed."""

    def __init__(self, generation="smartqq", **options):
        world = default_world()
        world.people[77] = Person(number=77, nick="Stranger")
        world.people[78] = Person(number=78, nick="Talker")
        world.groups[30001].members.append(77)
        world.discussions[40002] = Discussion(did=40002, name="talk", members=[78, DEFAULT_BOT])
        self.now = 1000.0
        self.service = Service(WallClock(), world, ServiceOptions(seed=1, **options))
        self.service.now = lambda: self.now
        self.state = self.service.state
        self.login(generation)

    def login(self, generation="smartqq"):
        self.smart = generation == "smartqq"
        self.cookies = {}
        if self.smart:
            self.get("ssl.ptlogin2.qq.com", "/ptqrshow")
            for _ in range(3):
                token = str(hash33(self.cookies["qrsig"]))
                reply = self.get("ssl.ptlogin2.qq.com", "/ptqrlogin", ptqrtoken=token, aid="501004106")
        else:
            number = str(DEFAULT_BOT)
            said = self.get("ssl.ptlogin2.qq.com", "/check", uin=number, appid="1003903").body.decode()
            code = said.split("'")[3]
            p = password_md5("sim-pass-1", DEFAULT_BOT.to_bytes(8, "big"), code)
            reply = self.get("ssl.ptlogin2.qq.com", "/login", u=number, p=p, verifycode=code, aid="1003903")
        self.check_sig_url = reply.body.decode().split("'")[5]

    def get(self, host, path, referer="", **query):
        return self._take(f"{path}?{urllib.parse.urlencode(query)}", "GET", host, referer, b"")

    def post(self, host, path, **r):
        body = urllib.parse.urlencode({"r": json.dumps(r)}).encode()
        return self._take(path, "POST", host, "http://d1.web2.qq.com/proxy.html", body)

    def _take(self, target, method, host, referer, body):
        jar = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        headers = {"host": host, "cookie": jar, "referer": referer}
        reply = self.service.handle(parse(method, target, headers, body))
        for line in getattr(reply, "cookies", ()):
            name, _, value = line.partition(";")[0].partition("=")
            if value or "1970" not in line:
                self.cookies[name] = value
        return reply

    def check_sig(self):
        parts = urllib.parse.urlsplit(self.check_sig_url)
        return self.get(parts.hostname, parts.path, **dict(urllib.parse.parse_qsl(parts.query)))

    def login2(self, host=None):
        host = host or ("d1.web2.qq.com" if self.smart else "d.web2.qq.com")
        answer = json.loads(self.post(host, "/channel/login2", ptwebqq=self.cookies["ptwebqq"], psessionid="", status="online", clientid="5").body)  # fmt: skip
        self.psessionid = answer["result"]["psessionid"] if answer["retcode"] == 0 else ""
        return answer["retcode"]

    def online(self):
        self.check_sig()
        assert self.login2() == 0
        self.session = self.state.sessions[self.psessionid]
        self.session.gate = True
        return self

    def channel(self, path, **query):
        host = "d1.web2.qq.com" if self.smart else "d.web2.qq.com"
        proxy = "http://d1.web2.qq.com/proxy.html"
        return self.get(host, f"/channel/{path}", proxy, psessionid=self.psessionid, clientid="5", **query)

    def poll(self):
        host = "d1.web2.qq.com" if self.smart else "d.web2.qq.com"
        hold = self.post(host, "/channel/poll2", psessionid=self.psessionid, clientid="5")
        assert isinstance(hold, Hold)
        reply = self.service.collect(hold)
        self.service.channel.written(hold, reply is not None)
        return [] if reply is None else json.loads(reply.body)["result"]

    def say(self, sender, kind, room, *segments):
        self.state.say(sender, kind, room, segments or (Text("hi"),), self.now)


def retcode(reply):
    return json.loads(reply.body)["retcode"]


def test_the_channel_on_d1_wants_the_cookies_of_check_sig():
    client = Client()
    assert client.login2() == 108
    client.check_sig()
    assert client.login2() == 0
    client.cookies["p_skey"] = "wrong"
    assert retcode(client.channel("get_online_buddies2")) == 108
    assert Client(lenient=True).login2() == 0
    assert Client("webqq2013").login2() == 0, "in 2013 nobody asked for them"


def test_pictures_of_persons_want_them_too_and_lie_elsewhere():
    client = Client().online()
    client.state.pictures_held["/guid"] = PNG
    reply = client.channel("get_offpic2", file_path="/guid")
    assert (reply.status, reply.body) == (302, b"")
    parts = urllib.parse.urlsplit(reply.location)
    assert parts.hostname.endswith(".qq.com")
    assert parts.hostname != "d1.web2.qq.com"
    query = dict(urllib.parse.parse_qsl(parts.query))
    assert client.get(parts.hostname, parts.path, **query).body == PNG
    assert client.get(parts.hostname, parts.path, key="guessed").status == 404
    client.cookies.pop("p_uin")
    assert retcode(client.channel("get_offpic2", file_path="/guid")) == 108


@pytest.mark.parametrize("call", ["get_cface2", "get_file2"])
def test_other_pictures_and_files_are_redirects_as_well(call):
    client = Client("webqq2013").online()
    assert client.channel(call, guid="x", to="1", lcid="2").status == 302


def test_a_picture_of_a_group_is_asked_for_by_its_code_and_from_the_page():
    client = Client("webqq2013").online()
    client.state.pictures_held["{A}.jpg"] = PNG
    aliases = client.session.aliases

    def fetch(gid, referer="http://web2.qq.com/", vfwebqq=client.session.vfwebqq):
        path = "/cgi-bin/get_group_pic"
        return client.get("web2.qq.com", path, referer, gid=gid, vfwebqq=vfwebqq, pic="{A}.jpg", type="0")

    assert fetch(aliases.code(30001)).body == PNG
    assert retcode(fetch(aliases.gid(30001))) == 6
    assert fetch(aliases.code(30001), referer="").status == 403
    assert fetch(aliases.code(30001), referer="http://elsewhere.example/").status == 403
    assert fetch(aliases.code(30001), referer="http://[").status == 403
    assert retcode(fetch(aliases.code(30001), vfwebqq="old")) == 100000


def test_strangers_write_through_a_group_or_a_discussion_group():
    client = Client("webqq2013").online()
    client.say(77, "buddy", DEFAULT_BOT)
    client.say(78, "buddy", DEFAULT_BOT)
    values = [item["value"] for item in reversed(client.poll())]
    assert [(v["service_type"], v["ruin"]) for v in values] == [(0, 77), (1, 78)]
    assert [v["id"] for v in values] == [client.session.aliases.gid(30001), 40002]


@pytest.mark.parametrize(("number", "service"), [(77, 0), (78, 1)])
def test_a_message_to_a_stranger_wants_a_signature_for_that_stranger(number, service):
    client = Client("webqq2013").online()
    aliases = client.session.aliases
    room = 40002 if service else aliases.gid(30001)
    content = json.dumps(["hello", ["font", {}]])

    def send(to, signature, service_type=service):
        return retcode(client.post("d.web2.qq.com", "/channel/send_sess_msg2", psessionid=client.psessionid, clientid="5", to=to, group_sig=signature, service_type=service_type, content=content, msg_id=1))  # fmt: skip

    def sign(**more):
        query = {"id": room, "to_uin": aliases.uin(number), "service_type": service, **more}
        return json.loads(client.channel("get_c2cmsg_sig2", **query).body)

    signature = sign()["result"]["value"]
    assert send(aliases.uin(number), signature) == 0
    assert [line.room for line in client.state.sent] == [number]
    assert send(aliases.uin(number), "made up") == 100001
    assert send(aliases.uin(77 + (number == 77)), signature) == 100001
    assert send(aliases.uin(number), signature, 1 - service) == 100001
    assert sign(id=1)["retcode"] == sign(service_type=1 - service)["retcode"] == 100001


def test_a_captcha_is_stale_after_a_quarter_of_an_hour():
    for age, status in ((899, "0"), (901, "4")):
        client = Client("webqq2013", captcha=False)
        client.service.options.captcha = True
        number = str(DEFAULT_BOT)
        client.get("ssl.ptlogin2.qq.com", "/check", uin=number, appid="1003903")
        client.get("ssl.captcha.qq.com", "/getimage", uin=number, aid="1003903")
        letters = client.state.captchas[client.cookies["verifysession"]]
        client.now += age
        p = password_md5("sim-pass-1", DEFAULT_BOT.to_bytes(8, "big"), letters)
        said = client.get("ssl.ptlogin2.qq.com", "/login", u=number, p=p, verifycode=letters, aid="1003903")
        assert said.body.decode().split("'")[1] == status


def test_what_nobody_polls_for_is_forgotten_after_a_minute_where_that_is_on():
    client = Client("webqq2013").online()
    client.service.faults.set({"fault": "forget"})
    client.poll()
    client.say(20001, "group", 30001)
    client.now += 59
    assert len(client.poll()) == 1
    client.poll()
    client.say(20001, "group", 30001)
    client.now += 62
    assert (client.poll(), client.state.lost) == ([], 1)
    client.service.faults.set({"clear": True})
    client.say(20001, "group", 30001)
    client.now += 6200
    assert len(client.poll()) == 1, "otherwise it waits for ever"


@pytest.mark.parametrize(("after", "kept"), [(0, True), (3599, True), (3601, False)])
def test_aliases_live_as_long_as_they_are_set_to(after, kept):
    client = Client(alias_life=3600.0).online()
    before = client.session.aliases.uin(20001)
    client.now += after
    client.login()
    assert (client.online().session.aliases.uin(20001) == before) is kept


def test_aliases_are_new_at_each_login_unless_set_otherwise():
    client = Client().online()
    before = client.session.aliases.uin(20001)
    client.login()
    assert client.online().session.aliases.uin(20001) != before


@pytest.mark.parametrize(
    ("day", "arrives"), [("2015-12-08", True), ("2015-12-09", False), ("2018-06-01", False)]
)
def test_pictures_of_others_stopped_arriving(day, arrives):
    """2015-12-09 (§1): what was said beside them still comes, a picture alone does not."""
    client = Client(profile=f"smartqq@{day}").online()
    client.say(20001, "group", 30001, Text("look "), PICTURE)
    client.say(20001, "group", 30001, PICTURE)
    contents = [item["value"]["content"][1:] for item in reversed(client.poll())]
    shown = [sum(e[0] == "cface" for e in content) for content in contents]
    assert shown == ([1, 1] if arrives else [0])


@pytest.mark.parametrize(("day", "scheme"), [("2018-05-31", "http"), ("2018-06-01", "https")])
def test_the_login_leads_to_https_after_the_site_has_moved(day, scheme):
    client = Client(profile=f"smartqq@{day}")
    assert client.check_sig_url.startswith(f"{scheme}://")
    assert client.check_sig().location.startswith(f"{scheme}://")


@pytest.mark.parametrize(
    ("day", "scheme", "friends", "groups"),
    [("2018-12-04", "http", 0, 0), ("2018-12-05", "http", 100100, 50), ("2018-12-05", "https", 0, 0)],
)
def test_lists_refuse_plain_http_in_the_end(day, scheme, friends, groups):
    client = Client(profile=f"smartqq@{day}").online()
    hashed = FRIENDS_HASHES["P"](DEFAULT_BOT, client.session.ptwebqq)
    body = urllib.parse.urlencode({"r": json.dumps({"hash": hashed, "vfwebqq": client.session.vfwebqq})})
    referer = f"{scheme}://s.web2.qq.com/proxy.html"
    for name, wanted in (("get_user_friends2", friends), ("get_group_name_list_mask2", groups)):
        reply = client._take(f"/api/{name}", "POST", "s.web2.qq.com", referer, body.encode())
        assert retcode(reply) == wanted


async def test_a_bot_of_2018_comes_online_over_the_moved_site(rig):
    async def script(at):
        await at.online()
        at.say()
        await at.settled()
        assert at.bot.handled == [1]

    await rig(profile="smartqq@2018-06-01").add("smartqq").run(script)


async def test_aliases_that_survive_a_login_do_not_confuse_the_bot(rig, profile):
    async def script(at):
        for _ in range(3):
            await at.online()
            at.say()
            await trio.sleep(100)
            at.call("expire")
        await at.online()
        assert sorted(at.bot.handled) == [1, 2, 3]

    await rig(alias_life=250.0).add(profile).run(script)
