"""What a network calls a secret is in no error of it; the floors that networks share know no such name."""

import ast
import inspect
import pathlib

import pytest

import qqops
from qqops import errors
from qqops.adapters.http.response import ResponseReader
from qqops.errors import ProtocolError, Redaction, excerpt
from qqops.protocol.onebot11.errors import OneBotProtocolError
from qqops.protocol.webqq.errors import WebQQProtocolError

SOURCES = pathlib.Path(qqops.__file__).parent


@pytest.mark.parametrize(
    "written",
    ['{"NAME": "S3CR3T", "uin": 1}', "{'NAME': 'S3CR3T'}", "a=1&NAME=S3CR3T&b=2", "NAME=S3CR3T; Path=/", "NAME : S3CR3T"],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    ["psessionid", "vfwebqq", "ptwebqq", "skey", "p_skey", "pskey", "_skey", "ptsigx", "superkey", "supertoken", "superuin",
     "pt4_token", "token", "access_token", "verifysession", "pt_verifysession", "qrsig", "password", "PSESSIONID"],
)  # fmt: skip
def test_what_opens_a_session_of_webqq_is_not_shown(name, written):
    for payload in (written.replace("NAME", name), written.replace("NAME", name).encode()):
        shown = str(WebQQProtocolError("bad", payload=payload))
        assert "S3CR3T" not in shown
        assert f"{name}" in shown


def test_the_new_ptwebqq_of_a_poll_is_not_shown_and_other_words_with_a_p_are():
    shown = WebQQProtocolError("bad", payload={"retcode": 116, "p": "S3CR3T"}).payload
    assert shown == "{'retcode': 116, 'p': 'S3CR3T'}", "a dict is not written as JSON"
    assert (
        WebQQProtocolError("bad", payload=b'{"retcode":116,"p":"S3CR3T"}').payload
        == '{"retcode":116,"p":"***"}'
    )
    assert WebQQProtocolError("bad", payload="p=1&map=2").payload == "p=1&map=2"


def test_cookies_of_qq_are_not_shown_by_onebot_either():
    shown = OneBotProtocolError(
        "bad", payload=b'{"data":{"cookies":"p_skey=S3CR3T; skey=S3CR3T","csrf_token":"S3CR3T"}}'
    )
    assert "S3CR3T" not in str(shown)


def test_a_network_names_its_own_secrets_and_no_other_is_concerned():
    class ParleyError(ProtocolError):
        redaction = Redaction({"ticket", "pass*"})

    data = b'{"ticket":"S3CR3T","passphrase":"S3CR3T","token":"S3CR3T","pass":"shown"}'
    assert ParleyError("bad", payload=data).payload == (
        '{"ticket":"***","passphrase":"***","token":"***","pass":"shown"}'
    )
    assert ProtocolError("bad", payload=data).payload == data.decode().replace('n":"S3CR3T', 'n":"***')
    assert excerpt("ticket=S3CR3T token=S3CR3T") == "ticket=S3CR3T token=***"


@pytest.mark.parametrize(
    "data",
    [
        b"ptwebqq=S3CR3T\r\n\r\n",
        b'{"psessionid":"S3CR3T"}\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nSet-Cookie ptwebqq=S3CR3T\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n ptwebqq: S3CR3T\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b'{"vfwebqq":"S3CR3T"}\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nxptwebqq=S3CR3T\r\n",
        b"Set-Cookie: ptwebqq=S3CR3T; " + b"x" * 70_000,
    ],
)  # fmt: skip
def test_what_is_no_http_shows_no_value_whatever_it_is_called(data):
    with pytest.raises(ProtocolError) as caught:
        ResponseReader(1000).feed(data)
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize("network", ["webqq", "onebot11"])
def test_a_network_makes_no_excerpt_but_its_own(network):
    """Whoever raises the error of all networks shows what only this one knows to be secret."""
    found = [
        f"{path.name}:{node.lineno}"
        for floor in ("protocol", "adapters")
        for path in (SOURCES / floor / network).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ProtocolError")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "qqops.errors"
            and "excerpt" in [name.name for name in node.names]
        )
    ]
    assert found == []


def test_the_errors_of_all_networks_know_no_name_of_one():
    names = WebQQProtocolError.redaction.names - {"super*"}  # which is Python's as well
    assert [name for name in names if name in inspect.getsource(errors)] == []
