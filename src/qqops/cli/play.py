"""The lines of the demo and the console: speak as anybody, break things, expect answers.

A line is said in the current room by the current person; one that begins with ``:`` is for the play itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import trio

from qqops.app import App
from qqops.cli.stage import Stage
from qqops.errors import ConfigError
from qqops.runtime.observe import LinkState, Phase, Record

HELP = """\
A line is said in the current room as the current person. / 一行即以当前身份在当前房间说话。
:as NAME in ROOM          speak as somebody else / 换一个人、一个房间
:as NAME                  … to the bot alone / 与机器人私聊
:drop :kick :expire       break the connection / 断线、被踢、登录过期
:online                   bring a kicked account back (OneBot) / 让被踢的账号重新上线（OneBot）
:faults close on=poll2 count=2   break requests; kinds: http close stall html duplicate reorder 1202 port; :faults clear
:state                    what is going on / 查看状态
:expect REGEX [within SECONDS]   wait for an answer / 等待回答
:help  :quit"""

#: Seconds that ``:expect`` waits, and that a script waits for things to settle.
PATIENCE = 10.0


class ExpectationFailed(Exception):
    """An ``:expect`` was not met; the text says what came instead."""


class Play:
    """Interprets lines on a stage.

    Args:
        write: Shows a line of the transcript.
        echo: Whether to show what is said; a prompt has it on the screen already.
    """

    def __init__(self, app: App, stage: Stage, write: Callable[[str], None], *, echo: bool) -> None:
        self._app = app
        self._stage = stage
        self._write = write
        self._echo = echo
        self.who, self.room = stage.people()[0], stage.rooms()[0]
        self._unread: list[str] = []
        self._news = trio.Event()
        app.observers.add(self._observe)

    @property
    def prompt(self) -> str:
        """Who speaks where, as it stands before a line."""
        return f"{self.who} in {self.room}> " if self.room else f"{self.who}> "

    def heard(self, place: str, private: bool, text: str) -> None:
        """Show what the bot said; the place only when it is not where we are."""
        here = place == (self.who if private else self.room) and private == (not self.room)
        where = "" if here else f" to {place}" if private else f" in {place}"
        first, *more = text.split("\n")
        self._write("\n".join([f"bot{where}> {first}", *(f"     {line}" for line in more)]))
        self._unread.append(text)
        self._news.set()

    def _observe(self, record: Record) -> None:
        if isinstance(record, LinkState):
            self._write(f"* connection: {record}")
            self._news.set()

    async def online(self, within: float) -> None:
        """Wait until the bot is online. Raises `ExpectationFailed`."""
        with trio.move_on_after(within):
            while not all(s.state.phase is Phase.ONLINE for s in self._app.supervisors):
                self._news = trio.Event()
                await self._news.wait()
            return
        states = "; ".join(str(s.state) for s in self._app.supervisors)
        raise ExpectationFailed(f"the bot did not come online within {within:g} s: {states}")

    async def line(self, text: str) -> bool:
        """Do what a line says; False when it was ``:quit``.

        Raises:
            ExpectationFailed: An expectation was not met.
            ConfigError: The line makes no sense here.
        """
        text = text.rstrip("\r\n")
        if not text.strip():
            return True
        if self._echo:
            self._write(text if text.startswith(":") else self.prompt + text)
        if not text.startswith(":"):
            self._stage.say(self.who, self.room, text)
            return True
        name, _, arguments = text[1:].strip().partition(" ")
        arguments = arguments.strip()
        match name:
            case "quit" | "q":
                return False
            case "help":
                self._show(HELP)
            case "as":
                self._become(arguments)
            case "drop" | "kick" | "expire" | "faults":
                self._show(self._stage.upset(name, arguments))
            case "online":
                self._show(self._stage.online())
            case "state":
                self._show(
                    "\n".join(
                        [
                            *(f"{s.state.account}: {s.state}" for s in self._app.supervisors),
                            *self._stage.state(),
                        ]
                    )
                )
            case "expect":
                await self._expect(arguments)
            case _:
                raise ConfigError(f"unknown line :{name}", hint=":help lists them")
        return True

    def _show(self, text: str) -> None:
        for line in text.splitlines():
            self._write(f"* {line}")

    def _become(self, arguments: str) -> None:
        match = re.fullmatch(r"(\S+)(?:\s+in\s+(\S+))?", arguments)
        if match is None:
            raise ConfigError("write :as NAME in ROOM, or :as NAME")
        self.who, self.room = self._stage.find(match[1], match[2] or "")

    async def _expect(self, arguments: str) -> None:
        match = re.fullmatch(r"(?P<pattern>.+?)(?:\s+within\s+(?P<seconds>[\d.]+)(?:\s*s)?)?", arguments)
        try:
            pattern = re.compile(match["pattern"] if match else "")
            within = float(match["seconds"] or PATIENCE) if match else 0.0
        except (re.error, ValueError) as exc:
            raise ConfigError(f"cannot expect {arguments!r}: {exc}") from exc
        if match is None:
            raise ConfigError("write :expect REGEX, or :expect REGEX within SECONDS")
        with trio.move_on_after(within):
            while True:
                for index, answer in enumerate(self._unread):
                    if pattern.search(answer):
                        del self._unread[: index + 1]
                        return
                self._news = trio.Event()
                await self._news.wait()
        came = "\n".join(f"  {answer}" for answer in self._unread) or "  (nothing)"
        raise ExpectationFailed(f"expected {pattern.pattern!r} within {within:g} s; instead came:\n{came}")

    async def settle(self) -> None:
        """Wait until what was said is answered and the bot is online, at most `PATIENCE` seconds."""
        with trio.move_on_after(PATIENCE):
            # Looks at a client, a network and a bot at once; none of them has one event for "nothing left".
            while not self._settled():  # noqa: ASYNC110
                await trio.sleep(0.005)

    def _settled(self) -> bool:
        states = [s.state.phase for s in self._app.supervisors]
        if all(phase is Phase.STOPPED for phase in states):
            return True
        online = all(phase in (Phase.ONLINE, Phase.STOPPED) for phase in states)
        return online and self._app.idle() and self._stage.settled(self._app.dispatcher.messages)
