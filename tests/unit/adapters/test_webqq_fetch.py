"""Pictures and files: from where, how large, of what type, and whom they are thanked for."""

import datetime
import random
import urllib.parse

import pytest

from qqops.adapters.http.client import HttpReply
from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.events import EventTranslator
from qqops.adapters.webqq.fetch import Fetch
from qqops.adapters.webqq.lookups import LookUps
from qqops.errors import NotSent, Refuse
from qqops.model import AccountRef, FileOffered, Image, PersonRef, Room, RoomKind, RoomRef, User
from qqops.protocol.webqq.heard import Heard
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Group
from qqops.protocol.webqq.pictures import MAX_PICTURE, download
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.reading import read_item
from qqops.protocol.webqq.roster import Roster
from qqops.protocol.webqq.session import Session
from qqops.runtime.clock import WallClock
from qqops.simulator import pictures

ACCOUNT = AccountRef("webqq", "main")
PNG = pictures.qr("hello")
OK = b'{"retcode":0,"result":"ok"}'


class Service:
    """Answers by the path of the URL: (status, body or Location); keeps what was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def call(self, method, url, headers, body, *, deadline, idempotent, long=False):
        self.asked.append(url)
        path = urllib.parse.urlsplit(url).path.rpartition("/")[2].partition(".")[0]
        answer = self.answers.get(path, (404, b""))
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        location = (("Location", content),) if isinstance(content, str) else ()
        return HttpReply(status=status, headers=location, body=b"" if location else content, elapsed=0.1)


class Events:
    def __init__(self):
        self.seen = []

    def event(self, event):
        self.seen.append(event)


def fetcher(service, endpoints=None, link=None):
    session = Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)
    roster = Roster(account=ACCOUNT, own=100, nick="bot", friends={7: Contact(7, "Ali")}, numbers={7: 20001})
    calls = Calls(ACCOUNT, endpoints or {}, service, link, spread=0, deadline=5)
    return Fetch(session, calls, LookUps(ACCOUNT, session, roster, calls)), roster


PICTURE = Image("/guid", {"kind": "offpic", "sender": 7})


@pytest.mark.parametrize(
    ("where", "there"),
    [
        ("http://x.qq.com/pic", "http://x.qq.com/pic"),
        ("/other/pic?a=1", "http://d.web2.qq.com/other/pic?a=1"),
        ("pic", "http://d.web2.qq.com/channel/pic"),
        ("//x.qq.com/pic", "http://x.qq.com/pic"),
    ],
)
async def test_a_redirect_within_the_service_is_followed(where, there):
    service = Service(get_offpic2=(302, where), pic=(200, PNG))
    fetch, _ = fetcher(service)
    assert await fetch.fetch(PICTURE) == PNG
    assert service.asked[1] == there


@pytest.mark.parametrize(
    "where",
    [
        "http://evil.example/pic", "http://x.qq.com:80@127.0.0.1:8080/pic", "http://127.0.0.1:8080/pic",
        "http://1.2.3.4/pic", "http://x.qq.com:8080/pic", "//evil.example/pic", "http://[::1/pic", "file:///pic", "",
    ],
)  # fmt: skip
async def test_a_redirect_to_anywhere_else_is_refused_and_not_followed(where):
    service = Service(get_offpic2=(302, where), pic=(200, PNG))
    fetch, _ = fetcher(service, {"*": "http://127.0.0.1:8080"})
    with pytest.raises(Refuse):
        await fetch.fetch(PICTURE)
    assert {urllib.parse.urlsplit(url).path for url in service.asked} == {"/channel/get_offpic2"}


async def test_redirects_in_a_circle_end():
    service = Service(get_offpic2=(302, "http://x.qq.com/get_offpic2"))
    fetch, _ = fetcher(service)
    with pytest.raises(Refuse, match="too many redirects"):
        await fetch.fetch(PICTURE)
    assert len(service.asked) == 4


@pytest.mark.parametrize(
    ("content", "type_"),
    [
        (PNG, "png"),
        (b"GIF89a" + bytes(20), "gif"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "jpg"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "bmp"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", ""),
        (b"BMW is not a picture, nor is this", ""),
        (b"GIF8 yes", ""),
        (b"\x89PNG\r\n", ""),
        (b"\xff\xd8\xff", ""),
        (b"MZ", ""),
        (b"", ""),
    ],
)
async def test_a_picture_is_known_by_its_whole_signature(content, type_):
    from qqops.protocol.webqq.pictures import picture_type

    assert picture_type(content) == type_
    fetch, _ = fetcher(Service(get_offpic2=(200, content)))
    if type_:
        assert await fetch.fetch(PICTURE) == content
    else:
        with pytest.raises(Refuse, match=r"not a picture|HTTP 200"):
            await fetch.fetch(PICTURE)


async def test_a_picture_may_not_be_larger_than_one_that_is_sent():
    fetch, _ = fetcher(
        Service(get_offpic2=(200, PNG + bytes(MAX_PICTURE)), getface=(200, PNG + bytes(MAX_PICTURE)))
    )
    for what in (fetch.fetch(PICTURE), fetch.avatar(PersonRef(ACCOUNT, "20001"))):
        with pytest.raises(Refuse, match=f"at most {MAX_PICTURE}"):
            await what


async def test_the_own_avatar_is_asked_for_by_the_own_number():
    service = Service(getface=(200, PNG))
    fetch, _ = fetcher(service)
    assert await fetch.avatar(PersonRef(ACCOUNT, "100")) == PNG
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(service.asked[0]).query)["uin"] == ["100"]


def offered(url="", session="", uin=7):
    room = Room(ref=RoomRef(ACCOUNT, RoomKind.PRIVATE, "20001"), name="Ali")
    sender = User(ref=PersonRef(ACCOUNT, "20001"), name="Ali")
    return FileOffered(
        at=datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC),
        room=room,
        sender=sender,
        name="a b.txt",
        size=5,
        data={"uin": uin, "session": session, "url": url},
    )


def pushed(link, roster, ip, port=8000):
    """Let the service offer a file as its polls do, and return the event."""
    value = {"from_uin": 7, "rkey": "k/1", "ip": ip, "port": port, "name": "a b.txt", "size": 5}
    item = read_item({"poll_type": "push_offfile", "value": value})
    EventTranslator(ACCOUNT, WallClock(), link, Heard()).item(item, roster)
    return link.seen[-1]


async def test_an_offline_file_is_taken_from_where_the_service_said_and_its_sender_learns_it():
    link = Events()
    service = Service(**{"a%20b": (200, b"hello")}, notify_offfile2=(200, OK))
    fetch, roster = fetcher(service, link=link)
    offer = pushed(link, roster, "1.2.3.4")
    assert await fetch.fetch(offer) == b"hello"
    assert service.asked[0] == "http://1.2.3.4:8000/a%20b.txt?ver=2173&rkey=k%2F1&range=0"
    told = urllib.parse.urlsplit(service.asked[1])
    assert told.path == "/channel/notify_offfile2"
    query = urllib.parse.parse_qs(told.query)
    assert [query[key] for key in ("to", "file_name", "file_size", "action")] == [
        ["7"],
        ["a b.txt"],
        ["5"],
        ["1"],
    ]


async def test_a_file_is_there_even_when_its_sender_cannot_be_told():
    link = Events()
    service = Service(**{"a%20b": (200, b"hello")}, notify_offfile2=NotSent("no connection"))
    fetch, roster = fetcher(service, link=link)
    assert await fetch.fetch(pushed(link, roster, "1.2.3.4")) == b"hello"


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
async def test_a_file_within_a_private_network_is_refused(ip):
    link, service = Events(), Service(**{"a%20b": (200, b"secret")})
    fetch, roster = fetcher(service, link=link)
    with pytest.raises(Refuse, match="not a host of the service"):
        await fetch.fetch(pushed(link, roster, ip))
    assert service.asked == []


async def test_an_endpoint_may_stand_for_a_private_address():
    link = Events()
    service = Service(**{"a%20b": (200, b"hello")}, notify_offfile2=(200, OK))
    fetch, roster = fetcher(service, {"10.0.0.1:8000": "http://127.0.0.1:9"}, link)
    assert await fetch.fetch(pushed(link, roster, "10.0.0.1")) == b"hello"
    assert service.asked[0].startswith("http://127.0.0.1:9/a%20b.txt?")


@pytest.mark.parametrize(
    "url", ["http://1.2.3.4:8000/x", "http://1.2.3.4:22/a%20b.txt?ver=2173&rkey=k&range=0", "nonsense"]
)
async def test_an_address_that_the_service_has_not_named_is_refused(url):
    link, service = Events(), Service(x=(200, b"hello"))
    fetch, roster = fetcher(service, link=link)
    pushed(link, roster, "1.2.3.4")
    with pytest.raises(Refuse):
        await fetch.fetch(offered(url))
    assert service.asked == []


@pytest.mark.parametrize("ip", ["a.qq.com:1@127.0.0.1", "1.2.3.4/x?", "1.2.3.4\\", ""])
async def test_an_offer_with_a_crooked_address_is_no_offer(ip):
    value = {"from_uin": 7, "rkey": "k", "ip": ip, "port": 80, "name": "x", "size": 5}
    assert hasattr(read_item({"poll_type": "push_offfile", "value": value}), "error")


async def test_a_direct_file_is_taken_over_the_service():
    service = Service(get_file2=(302, "http://file1.web.qq.com/v2/here"), here=(200, b"hello"))
    fetch, _ = fetcher(service)
    assert await fetch.fetch(offered(session="77")) == b"hello"
    asked = urllib.parse.urlsplit(service.asked[0])
    query = urllib.parse.parse_qs(asked.query)
    assert asked.path == "/channel/get_file2"
    assert [query[key] for key in ("lcid", "guid", "to", "count")] == [["77"], ["a b.txt"], ["7"], ["1"]]


@pytest.mark.parametrize(("listed", "told", "code"), [(True, 5, 62), (False, 63, 63)])
async def test_a_group_picture_is_asked_for_by_the_groups_code(listed, told, code):
    """§11.2: the field is called gid and wants the code; the list of groups knows better than SmartQQ's messages."""
    roster = Roster(account=ACCOUNT, own=100, nick="bot", group_numbers={61: 30001})
    if listed:
        roster.groups = {61: Group(61, 62, "ops")}
    picture = Image("{A}.jpg", {"kind": "cface", "file_id": 22, "server": "124.115.1.1:8000"})
    message = Incoming(kind="group", room=61, sender=7, id="1-2", time=5, segments=(picture,), code=told)
    shown = roster.translate(message, WallClock().now()).segments[0]
    session = Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)
    query = dict(download(session, shown).query)
    assert [query[key] for key in ("gid", "uin", "fid", "rip", "rport")] == [
        str(code), "7", "22", "124.115.1.1", "8000",
    ]  # fmt: skip
