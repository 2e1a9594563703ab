"""The reader of one HTTP answer: whole, in pieces, and whatever else may come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.adapters.http.response import ResponseReader
from qqops.errors import ProtocolError

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_END = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\nhello"


def read(*pieces, max_body=1000):
    answer = ResponseReader(max_body)
    for piece in pieces:
        answer.feed(piece)
    return answer


@given(st.sampled_from([PLAIN, CHUNKED, UNTIL_END]), st.lists(st.integers(0, 120), max_size=8))
def test_it_does_not_matter_how_the_bytes_arrive(data, cuts):
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    answer = read(*(data[a:b] for a, b in itertools.pairwise(edges)))
    whole = answer.end() if data is UNTIL_END else answer.done
    assert (whole, bytes(answer.body)) == (True, b"hello")


def test_what_the_head_says():
    answer = read(PLAIN)
    assert (answer.status, answer.keep, answer.headers) == (
        200, True, [("Content-Length", "5"), ("Set-Cookie", "a=b")],
    )  # fmt: skip
    assert read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep is False
    assert read(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").keep is False
    assert read(UNTIL_END).keep is False
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n").done
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN).status == 200


def test_an_answer_that_nobody_asked_for_ends_the_connection():
    assert read(PLAIN + PLAIN).keep is False


def test_an_answer_that_is_cut_off_is_not_whole():
    for data in (PLAIN, CHUNKED):
        for end in range(len(data)):
            assert not read(data[:end]).end()
    assert not ResponseReader(10).begun
    assert read(b"H").begun


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 999 no\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n" * 7,
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(ProtocolError):
        read(data)


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([PLAIN[:40], CHUNKED[:60], b"\r\n", b"\r\n\r\n", b"0\r\n"]),
        max_size=8,
    )
)
def test_garbage_is_refused_or_waited_for(pieces):
    answer = ResponseReader(1000)
    try:
        for piece in pieces:
            answer.feed(piece)
    except ProtocolError:
        return
    assert len(answer.body) <= 1000
