"""Where requests may go: one place decides, and what it has looked at is what is connected to."""

import urllib.parse

import pytest

from qqops.errors import ProtocolError
from qqops.protocol.webqq.address import destination, split
from qqops.protocol.webqq.http import get

ENDPOINTS = {"d.web2.qq.com": "http://127.0.0.1:8001/", "files.example:8080": "http://127.0.0.1:8002"}


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://s.web2.qq.com/api/x", "http://s.web2.qq.com"),
        ("https://s.web2.qq.com/api/x", "https://s.web2.qq.com"),
        ("HTTP://S.Web2.QQ.com/api/x", "http://s.web2.qq.com"),
        ("http://s.web2.qq.com:80/", "http://s.web2.qq.com"),
        ("http://s.web2.qq.com:443/", "http://s.web2.qq.com:443"),
        ("https://s.web2.qq.com:80", "https://s.web2.qq.com:80"),
        ("http://qq.com?x", "http://qq.com"),
        ("http://D.web2.qq.com/x", "http://127.0.0.1:8001"),
        ("https://d.web2.qq.com:80/x", "http://127.0.0.1:8001"),
        ("http://files.example:8080/x", "http://127.0.0.1:8002"),
        ("http://s.web2.qq.com/a:1@127.0.0.1/", "http://s.web2.qq.com"),
    ],
)
def test_the_service_and_the_endpoints_are_reached(url, base):
    assert destination(split(url), ENDPOINTS) == base


@pytest.mark.parametrize(
    "url",
    [
        "http://x.qq.com:80@127.0.0.1:8001/",
        "http://a.qq.com:1@127.0.0.1:80/f",
        "http://x.qq.com@evil.example/",
        "http://@x.qq.com/",
        "http://evil.example\\@x.qq.com/",
        "http://127.0.0.1\\.qq.com/",
        "http://evil.example\\.qq.com/",
        "http://evil.example#.qq.com/",
        "http://evil.example?.qq.com/",
        "http://127.0.0.1:8001/",
        "http://127.0.0.1:8002/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]:80/",
        "http://[::1].qq.com/",
        "http://files.example/",
        "http://files.example:8081/",
        "http://d.web2.qq.com:8080/",
        "http://s.web2.qq.com:8001/",
        "http://s.web2.qq.com:0/",
        "http://s.web2.qq.com:65536/",
        "http://s.web2.qq.com:/",
        "http://s.web2.qq.com:８０/",
        "http://s.web2.qq.com./",
        "http://evilqq.com/",
        "http://qq.com.evil.example/",
        "http://.qq.com/",
        "http://x..qq.com/",
        "http://x.ｑｑ.com/",
        "http://x.qq。com/",
        "http://évil.qq.com/",
        "http://x.qq.com\t.evil.example/",
        "http://x.qq.com\n/",
        " http://x.qq.com/",
        "http:x.qq.com/",
        "http:///x.qq.com/",
        "//x.qq.com/",
        "/path",
        "",
        "ftp://x.qq.com/",
        "file:///etc/passwd",
        "http://*/",
        "http://1.2.3.4/",
    ],
)
def test_all_else_is_refused(url):
    with pytest.raises(ProtocolError):
        destination(split(url), ENDPOINTS)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://1.2.3.4:8000/f", "http://1.2.3.4:8000"),
        ("http://1.2.3.4/f", "http://1.2.3.4"),
        ("http://files.example:8080/x", "http://127.0.0.1:8002"),
        ("http://127.0.0.1:8001/f", None),
        ("http://10.1.2.3:80/f", None),
        ("http://192.168.0.1:80/f", None),
        ("http://169.254.169.254/f", None),
        ("http://100.64.0.1/f", None),
        ("http://224.0.0.1/f", None),
        ("http://0.0.0.0/f", None),
        ("http://255.255.255.255/f", None),
        ("http://[2400:3200::1]/f", None),
        ("http://[::ffff:10.0.0.1]/f", None),
        ("http://evil.example/f", None),
    ],
)
def test_an_address_that_the_service_named_for_a_file_must_be_a_public_one(url, base):
    if base is not None:
        assert destination(split(url), ENDPOINTS, named=True) == base
    else:
        with pytest.raises(ProtocolError):
            destination(split(url), ENDPOINTS, named=True)


def test_the_star_takes_all_others_and_opens_no_further_host():
    star = {"*": "http://127.0.0.1:9000"}
    assert destination(split("http://s.web2.qq.com/"), star) == "http://127.0.0.1:9000"
    assert destination(split("http://1.2.3.4:8000/"), star, named=True) == "http://127.0.0.1:9000"
    for url in ("http://127.0.0.1:9000/", "http://evil.example/", "http://1.2.3.4:8000/"):
        with pytest.raises(ProtocolError):
            destination(split(url), star)


def test_path_and_query_stay_what_they_are_and_cannot_break_the_request():
    request = get("x", "http://s.web2.qq.com/a%20b/文件 1\\..?q=%2F&r=a b#part", {})
    assert request.path == "/a%20b/%E6%96%87%E4%BB%B6%201%5C.."
    assert urllib.parse.parse_qsl(request.target.partition("?")[2]) == [("q", "/"), ("r", "a b")]
    assert (request.host, request.hostname) == ("s.web2.qq.com", "s.web2.qq.com")
    assert get("x", "http://s.web2.qq.com:443/", {}).hostname == "s.web2.qq.com"
