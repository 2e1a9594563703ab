"""The web as a test has it: answers that it gives, calls that the bot makes, and no network."""

from __future__ import annotations

import inspect
import json as json_
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import attrs
import trio

from qqops.runtime.web import Reply

if TYPE_CHECKING:
    from qqops.adapters.http.client import Http, HttpReply


@attrs.frozen(kw_only=True)
class HttpCall:
    """A call that a plugin has made.

    Attributes:
        headers: By name in lower case.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body's JSON. Raises `ValueError` when it is none."""
        return json_.loads(self.body)


#: What is answered: a reply, an error that the call ends in, or a function of the call, ``async`` or not, that returns a reply.
Answer: TypeAlias = "Reply | Exception | Callable[[HttpCall], Reply | Awaitable[Reply]]"


class UnexpectedCall(AssertionError):
    """A call to which the test gives no answer."""


class HttpUnderTest:
    """What the bot under test has in place of the web; it is `BotUnderTest.http`.

    Attributes:
        calls: Every call, further tries and redirects included.
        unexpected: Those that nobody has an answer to, for people; one that is left when the bot ends fails the test.
    """

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []
        self.unexpected: list[str] = []
        self._answers: dict[tuple[str, str | re.Pattern[str]], list[Answer]] = {}

    def answer(
        self,
        method: str,
        url: str | re.Pattern[str],
        *replies: Answer,
        status: int = 200,
        json: Any = None,
        text: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer calls of *url* from now on.

        Args:
            url: All of it; without a ``?`` it stands for any query; or a pattern that is searched in it.
            replies: One for each call, the last one for all further ones; without any it is made of what follows.
            json: Answered as JSON, instead of *text*.
        """
        if not replies:
            body = json_.dumps(json).encode() if json is not None else text.encode()
            kind = {"content-type": "application/json"} if json is not None else {}
            replies = (Reply(status=status, headers={**kind, **(headers or {})}, body=body),)
        key = method.upper(), url
        self._answers.pop(key, None)  # the newest goes first
        self._answers[key] = list(replies)

    def client(self) -> Http:
        """Return what carries the calls of one plugin."""
        return _Client(self)

    def _find(self, call: HttpCall) -> Answer:
        """Return the answer to *call*; the newest that fits. Raises `UnexpectedCall`."""
        for (method, url), left in reversed(self._answers.items()):
            if method == call.method and _fits(url, call.url):
                return left.pop(0) if len(left) > 1 else left[0]
        text = (
            f"nobody answers {call.method} {call.url}: bot.http.answer({call.method!r}, {call.url!r}, text=…)"
        )
        self.unexpected.append(text)
        raise UnexpectedCall(text)

    async def _call(self, call: HttpCall) -> Reply:
        self.calls.append(call)
        found = self._find(call)
        await trio.lowlevel.checkpoint()
        if isinstance(found, Reply):
            return found
        if isinstance(found, Exception):
            raise found
        made = found(call)
        return await made if inspect.isawaitable(made) else made


class _Client:
    """Stands for `HttpClient`; *held* tells who has not closed it."""

    def __init__(self, web: HttpUnderTest) -> None:
        self._web = web
        self.held = 0

    async def __aenter__(self) -> Self:
        self.held = 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held = 0

    async def rest(self) -> None:
        """There is nothing to close."""

    async def call(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        deadline: float,
        idempotent: bool,
        long: bool = False,
    ) -> HttpReply:
        """Return what the test answers."""
        from qqops.adapters.http.client import HttpReply  # here: httpx is slow to import

        began = trio.current_time()
        reply = await self._web._call(HttpCall(method=method, url=url, headers=dict(headers), body=body))
        return HttpReply(
            status=reply.status, headers=tuple(reply.headers.items()), body=reply.body,
            elapsed=trio.current_time() - began,
        )  # fmt: skip


def _fits(wanted: str | re.Pattern[str], url: str) -> bool:
    if isinstance(wanted, re.Pattern):
        return wanted.search(url) is not None
    return wanted in (url, url.partition("?")[0])
