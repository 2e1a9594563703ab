"""HTTP for plugins: an end for every call, further tries where that is safe, redirects, and nothing left open."""

import base64
import contextlib
import datetime
import json

import pytest
import structlog
import trio
import trio.lowlevel

from qqops import HTTP, Plugin, Secret, TransientError
from qqops.adapters.http import client as _client
from qqops.adapters.http.addresses import Addresses, PrivateAddress
from qqops.app import App, AppPolicy
from qqops.errors import AdapterError, ConfigError, ProtocolError
from qqops.plugin.host import Candidate
from qqops.runtime.web import HttpPolicy
from qqops.settings import load_settings
from qqops.testing.virtual import VirtualClock

HERE = HttpPolicy(private=("127.0.0.0/8",))


async def server(nursery, answer, host="127.0.0.1"):
    """Serve what `answer(number, request)` returns, one request per connection; None never answers."""
    requests = []

    async def handle(stream):
        async with stream:
            text = b""
            while b"\r\n\r\n" not in text:
                got = await stream.receive_some(65536)
                if not got:
                    return
                text += got
            requests.append(text.decode())
            found = answer(len(requests), text.decode())
            if found is None:
                await trio.sleep_forever()
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(found)

    listeners = await trio.open_tcp_listeners(0, host=host)
    nursery.start_soon(trio.serve_listeners, handle, listeners)
    return f"http://{host}:{listeners[0].socket.getsockname()[1]}", requests


def reply(status, body=b"", *headers):
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def against(answer):
    http = HTTP(policy=HERE)
    async with trio.open_nursery() as nursery:
        url, requests = await server(nursery, answer)
        yield http, url, requests
        await http.aclose()
        nursery.cancel_scope.cancel()


async def test_json_goes_out_and_comes_in():
    async with against(lambda n, text: reply(200, b'{"a": [1]}', "X-Kind: test")) as (http, url, requests):
        found = await http.post(f"{url}/hook?x=1", json={"text": "中"}, headers={"Authorization": "Bearer t"})
        assert found.ok
        assert (found.json(), found.headers["x-kind"]) == ({"a": [1]}, "test")
        assert requests[0].startswith("POST /hook?x=1 HTTP/1.1")
        assert "content-type: application/json" in requests[0].lower()


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("PUT", 3), ("POST", 1)])
async def test_what_may_be_repeated_is_repeated(method, tries):
    async with against(lambda n, text: reply(503) if n < 3 else reply(200, b"up")) as (http, url, requests):
        found = await http.request(method, url)
        assert len(requests) == tries
        assert found.status == (200 if tries == 3 else 503)


async def test_every_call_has_an_end():
    async with against(lambda n, text: None) as (http, url, _):
        with pytest.raises(TransientError):
            await http.get(url, deadline=0.3)
        with pytest.raises(TransientError):
            await http.post(url, deadline=0.3)


async def test_redirects_are_followed_and_do_not_carry_secrets_to_another_host():
    async with trio.open_nursery() as nursery:
        other, there = await server(nursery, lambda n, text: reply(200, b"there"))
        async with against(lambda n, text: reply(302, b"", f"Location: {other}/x")) as (http, url, here):
            found = await http.get(url, headers={"Authorization": "secret", "X-Other": "1"})
            assert found.text == "there"
            assert "secret" in here[0]
            assert "secret" not in there[0]
            assert "x-other" in there[0].lower()
            assert (await http.post(url)).status == 302
        nursery.cancel_scope.cancel()


async def test_a_circle_of_redirects_ends():
    async with against(lambda n, text: reply(302, b"", "Location: /again")) as (http, url, _):
        with pytest.raises(ProtocolError, match="redirects more than 3 times"):
            await http.get(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "nothing", "http://"])
async def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match="no http or https address"):
        await HTTP().get(url)


async def test_it_is_injected_and_closed_with_the_bot(bots):
    plugin, seen = Plugin("web"), []

    @plugin.command("x", inline=True)
    def x(*, http: HTTP) -> str:
        seen.append(http)
        return "x"

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/x")
        closed = []

        async def close():
            closed.append(1)

        seen[0].aclose = close
    assert closed == [1]


async def test_what_a_service_asks_to_wait_is_waited_for_within_the_deadline():
    async with against(lambda n, text: reply(503, b"", "Retry-After: 1") if n < 2 else reply(200)) as (
        http,
        url,
        requests,
    ):
        began = trio.current_time()
        assert (await http.get(url, deadline=5)).status == 200
        assert trio.current_time() - began >= 1
        assert len(requests) == 2


async def test_who_asks_for_more_time_than_there_is_gets_no_further_try():
    async with against(lambda n, text: reply(503, b"", "Retry-After: 60")) as (http, url, requests):
        began = trio.current_time()
        assert (await http.get(url, deadline=5)).status == 503
        assert trio.current_time() - began < 1
        assert len(requests) == 1


async def test_a_moment_counts_as_well():
    now = datetime.datetime(2026, 1, 5, 10, 0, 0, tzinfo=datetime.UTC)

    def asked(n, text):
        return reply(503, b"", "Retry-After: Mon, 05 Jan 2026 10:01:00 GMT")

    async with against(asked) as (http, url, requests):
        http._now = lambda: now
        assert (await http.get(url, deadline=30)).status == 503
        assert len(requests) == 1  # a minute is more than there is
        http._now = lambda: now + datetime.timedelta(minutes=5)
        assert (await http.get(url, deadline=30)).status == 503
        assert len(requests) == 4  # it is over: three tries


async def test_nobody_there_is_tried_three_times():
    async with trio.open_nursery() as nursery:
        url, _ = await server(nursery, lambda n, text: reply(200))
        nursery.cancel_scope.cancel()
    began = trio.current_time()
    with pytest.raises(TransientError, match=r"cannot connect to 127\.0\.0\.1"):
        await HTTP(policy=HERE).get(f"{url}?token=t0p")
    assert trio.current_time() - began >= 1.2


async def test_an_answer_has_a_size(monkeypatch):
    monkeypatch.setattr(_client, "MAX_BODY", 1000)
    async with against(lambda n, text: reply(200, b"x" * 1001)) as (http, url, requests):
        with pytest.raises(ProtocolError, match="larger than 1000 bytes"):
            await http.get(url)
        assert len(requests) == 1


@pytest.mark.parametrize("deadline", [0, -1, float("inf"), float("nan")])
async def test_a_deadline_that_is_none_is_refused(deadline):
    with pytest.raises(ValueError, match="every call has an end"):
        await HTTP().get("http://127.0.0.1/", deadline=deadline)


async def test_name_and_password_of_a_url_go_as_a_header():
    async with against(lambda n, text: reply(200)) as (http, url, requests):
        await http.get(url.replace("http://", "http://ali:p%40ss@") + "/x?y=1#z")
        assert requests[0].startswith("GET /x?y=1 HTTP/1.1")
        pair = base64.b64encode(b"ali:p@ss").decode()
        assert f"authorization: Basic {pair}" in requests[0]
        assert "ali" not in requests[0]


async def test_a_secret_may_be_a_header():
    async with against(lambda n, text: reply(200)) as (http, url, requests):
        await http.get(url, headers={"X-Token": Secret("t0p")})
        assert "x-token: t0p" in requests[0]


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (lambda n, text: None, {"deadline": 0.3}),
        (lambda n, text: b"nonsense\r\n\r\n", {}),
        (lambda n, text: reply(302, b"", f"Location: http://a:{SECRET}@[::1/?t={SECRET}"), {}),
        (lambda n, text: reply(302, b"", f"Location: ftp://a:{SECRET}@x/?t={SECRET}"), {}),
        (lambda n, text: reply(302, b"", "Location: /again?t=" + SECRET), {}),
        (lambda n, text: b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n", {}),
        (lambda n, text: reply(200), {"headers": {"X-Key": f"{SECRET}\r\nX: y"}}),
        (lambda n, text: reply(200), {"path": f"/{SECRET}\x00"}),
    ],
)  # fmt: skip
async def test_no_error_and_no_line_of_the_log_shows_more_of_a_url_than_its_host(answer, call):
    more = {"headers": {"Authorization": SECRET}, "path": "/", "deadline": 3, **call}
    path = more.pop("path")
    async with against(answer) as (http, url, _):
        url = url.replace("http://", f"http://zed9:{SECRET}@") + f"{path}?token={SECRET}"
        with (
            structlog.testing.capture_logs() as lines,
            pytest.raises((ProtocolError, TransientError)) as caught,
        ):
            await http.get(url, **more)
    shown, error = [json.dumps(lines)], caught.value
    while error is not None:
        shown.append(f"{error!r} {error}")
        error = error.__cause__
    assert "127.0.0.1" in shown[0]
    assert not [one for one in shown if SECRET in one or "zed9" in one]


@pytest.mark.parametrize(
    "url", [f"http://a:{SECRET}/x@host", f"{SECRET}://host", SECRET, f"http://a:{SECRET}@[::1"]
)
async def test_what_is_no_url_is_not_shown_either(url):
    with pytest.raises(ValueError, match="no http or https address") as caught:
        await HTTP().get(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# -- private addresses -----------------------------------------------------------------------------------------


async def test_private_addresses_are_called_only_where_the_settings_say_so():
    async with against(lambda n, text: reply(200)) as (_, url, requests):
        for name in ("127.0.0.1", "localhost", "127.1"):
            http = HTTP()
            with pytest.raises(
                AdapterError, match=r"no public address; the settings may allow it by \[http\] private"
            ):
                await http.get(url.replace("127.0.0.1", name))
            assert http.connections == 0
        assert requests == []
        for private in ("127.0.0.1", "127.0.0.0/8", "LOCALHOST"):
            http = HTTP(policy=HttpPolicy(private=(private,)))
            name = "localhost" if private == "LOCALHOST" else "127.0.0.1"
            assert (await http.get(url.replace("127.0.0.1", name))).ok
            await http.aclose()


async def test_a_redirect_into_a_private_network_is_not_followed():
    async with trio.open_nursery() as nursery:
        away, there = await server(nursery, lambda n, text: reply(200), "127.0.0.2")
        async with against(lambda n, text: reply(302, b"", f"Location: {away}/x")) as (_, url, here):
            http = HTTP(policy=HttpPolicy(private=("127.0.0.1",)))
            with pytest.raises(AdapterError, match=r"127\.0\.0\.2 is no public address"):
                await http.get(url)
            assert (len(here), there) == (1, [])
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("10.1.2.3", False), ("192.168.0.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("::ffff:10.0.0.1", False), ("::ffff:127.0.0.1", False),
        ("2002:0a00:0001::1", False), ("224.0.0.1", False), ("0.0.0.0", False), ("::", False),
    ],
)  # fmt: skip
def test_which_addresses_everybody_may_reach(address, fine):
    if fine:
        Addresses().admit("host", address)
    else:
        with pytest.raises(PrivateAddress):
            Addresses().admit("host", address)


def test_networks_and_names_that_are_allowed():
    some = Addresses(["10.0.0.0/8", "ci.example.org", "fd00::/8", "192.168.1.5"])
    for host, address in (
        ("x", "10.9.9.9"),
        ("CI.example.org", "192.168.9.9"),
        ("x", "fd00::5"),
        ("x", "192.168.1.5"),
        ("x", "::ffff:10.0.0.1"),
    ):
        some.admit(host, address)
    for host, address in (
        ("x", "192.168.1.6"),
        ("evil.ci.example.org", "172.16.0.1"),
    ):
        with pytest.raises(PrivateAddress):
            some.admit(host, address)


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "http://ci", "ci:8080", "10.0.0", "", "a b", "300.1.1.1"])
def test_a_setting_that_is_neither_is_named_with_its_line(tmp_path, wrong):
    path = tmp_path / "qqops.toml"
    path.write_text(f'[http]\nprivate = ["10.0.0.0/8", "{wrong}"]\n')
    with pytest.raises(ConfigError, match=r"qqops.toml:2: http.private: .*is neither a network"):
        load_settings(path, {})


# -- the end ---------------------------------------------------------------------------------------------------


async def test_nothing_is_open_after_an_unload_and_a_reload():
    plugin, seen = Plugin("web"), []

    @plugin.command("x", inline=True)
    def x(*, http: HTTP) -> str:
        seen.append(http)
        return "x"

    def kept(n, text):
        return reply(200).replace(b"Connection: close", b"X: y")

    ends = []

    async def keeping(stream):
        """Answer as often as it is asked, and tell when the other side has closed."""
        async with stream:
            while await stream.receive_some(65536):
                await stream.send_all(kept(0, ""))
            ends.append(1)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, keeping, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        app = App(AppPolicy(seed=1, http=HERE), clock=VirtualClock(), operator=[])
        app.host.load(Candidate(name="web", load=lambda: plugin))
        http = app.shelves.own("web")[HTTP]
        stop = trio.Event()
        with trio.fail_after(10):
            await nursery.start(app.run, stop)
            for end in (app.plugins.reload, app.plugins.unload):
                assert (await http.get(url)).ok
                assert app.shelves.connections() == {"web": 1}
                await end("web")
                assert app.shelves.connections() == {}
            assert (await http.get(url)).ok
            stop.set()
            await app.ended.wait()
            while len(ends) < 3:
                await trio.sleep(0.01)
        assert app.shelves.connections() == {}
        nursery.cancel_scope.cancel()


async def test_a_call_that_ends_after_its_client_was_closed_keeps_no_connection():
    asked, gate = trio.Event(), trio.Event()

    async def slow(stream):
        async with stream:
            await stream.receive_some(65536)
            asked.set()
            await gate.wait()
            await stream.send_all(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, slow, listeners)
        http = HTTP(policy=HERE)
        async with trio.open_nursery() as calls:
            calls.start_soon(http.get, f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
            with trio.fail_after(10):
                await asked.wait()
            client = http._client
            await http.aclose()
            gate.set()
        assert client.held == 0
        nursery.cancel_scope.cancel()
