"""The trouble that soak and torture make, by the dice: on the wire, in the service, to the process and its machine."""

from __future__ import annotations

import resource
import signal
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from tests.torture.scene import Scene

Kind: TypeAlias = Callable[[], Awaitable[None]]

#: Part of a path → return codes that its calls may be answered with, without being obeyed. Source: webqq.md §12.1. The
#: two that mean "never again", 106 and 111, are left out: after them no bot would be left to torture.
CODES = {
    "poll2": (
        6, 50, 60, 100, 101, 102, 103, 108, 109, 110, 112, 113, 114, 115, 120, 121, 122, 1202, 100000, 100001, 100002,
        100003, 100006, 100012, 100100,
    ),
    "login2": (103, 108, 112, 113, 114, 115, 100000, 100001, 100002),
    "get_": (6, 50, 60, 103, 108, 100000, 100001, 100002, 100100, 100101),
    "send_": (103, 108, 114, 120, 121, 1202, 100000, 100001),
}  # fmt: skip
#: Return codes of a send that was obeyed (§11).
OBEYED = (1202, 100003, 100100)


class Trouble:
    """Makes trouble for one run.

    Args:
        at: What it works on.
    """

    def __init__(self, at: Scene) -> None:
        self._at = at

    async def make(self, seconds: float, kinds: list[Kind]) -> None:
        """Make trouble for so many seconds."""
        self._at.traffic.set()
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await trio.sleep(self._at.rng.uniform(0.2, 2.0))
            action = self._at.rng.choice(kinds)
            name = action.__name__.lstrip("_")
            self._at.ledger.actions[name] += 1
            self._at.note(f"{name} at t{self._at.said}")
            await action()

    def gentle(self) -> list[Kind]:
        """Return what goes wrong on the wire and in the service."""
        return [
            self.wire_fault, self.wire_fault, self.wire_fault, self.wire_fault, self._message_fault,
            self._message_fault, self._code, self._code, self._nothing, self._lose, self._late, self.drop,
            self.expire, self._kick, self._renew, self._port, self._no_names,
            *([self._captcha] if self._at.plan.profile == "webqq2013" else []),
        ]  # fmt: skip

    def rough(self) -> list[Kind]:
        """Return what is done to the process and its machine."""
        return [
            self._kill,
            self._kill_early,
            self._stop,
            self._suspend,
            self._move_clock,
            self._full_disk,
            self._lock_file,
        ]

    async def _fault(self, **data: object) -> None:
        await trio.lowlevel.checkpoint()
        self._at.note(f"  {data}")
        self._at.server.control.call("POST", "faults", data)

    async def wire_fault(self) -> None:
        """Break one to three requests."""
        where = self._at.rng.choice(["poll2", "poll2", "send_", "get_", "login", "check_sig", ""])
        kind = self._at.rng.choice(["close", "close", "http", "stall", "html"])
        data: dict[str, object] = {"fault": kind, "on": where, "count": self._at.rng.randint(1, 3)}
        if kind == "close":
            data["after"] = self._at.rng.random() < 0.5
        if kind == "http":
            data["status"] = self._at.rng.choice([502, 504, 404, 403, 500])
        if kind == "stall":
            data["seconds"] = self._at.plan.hold * 3
        await self._fault(**data)

    async def _message_fault(self) -> None:
        """Deliver twice, shuffle, or answer 1202."""
        kind = self._at.rng.choice(["duplicate", "reorder", "1202"])
        more: dict[str, object] = {"delivered": self._at.rng.random() < 0.5} if kind == "1202" else {}
        await self._fault(fault=kind, count=self._at.rng.randint(1, 4), **more)

    async def _code(self) -> None:
        """Answer one to three calls with a return code."""
        rng = self._at.rng
        where = rng.choice(["poll2", "poll2", *CODES])
        data: dict[str, object] = {"code": rng.choice(CODES[where]), "on": where, "count": rng.randint(1, 3)}
        if where == "send_" and rng.random() < 0.3:
            data |= {"code": rng.choice(OBEYED), "after": True}
        if where == "poll2" and rng.random() < 0.5:
            data["seconds"] = self._at.plan.hold * 0.9
        await self._fault(fault="retcode", **data)

    async def _nothing(self) -> None:
        """Say "nothing new" at once, so often that it means a dead session."""
        await self._fault(fault="empty", count=self._at.rng.randint(1, 6))

    async def _lose(self) -> None:
        """Lose messages on the way to a poll."""
        await self._fault(fault="lose", count=self._at.rng.randint(1, 3))

    async def _late(self) -> None:
        """Deliver late for a while."""
        await self._fault(fault="late", seconds=self._at.rng.uniform(1.0, 4.0))
        await trio.sleep(self._at.rng.uniform(1.0, 3.0))
        await self._fault(clear="late")

    async def _captcha(self) -> None:
        """Ask for a captcha, and end the login."""
        await self._set("captcha", on=True)
        await self._call("expire")
        await trio.sleep(self._at.rng.uniform(1.0, 3.0))
        await self._set("captcha", on=False)

    async def _set(self, name: str, **data: object) -> None:
        await trio.lowlevel.checkpoint()
        self._at.server.control.call("POST", name, data)

    async def _call(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        state = self._at.service.state
        if any(not session.code for session in state.live.values()):
            self._at.server.control.call("POST", name, {})

    async def drop(self) -> None:
        """Let the next poll answer 121."""
        await self._call("drop")

    async def expire(self) -> None:
        """End the login."""
        await self._call("expire")

    async def _kick(self) -> None:
        await self._call("kick")

    async def _renew(self) -> None:
        await self._call("ptwebqq")

    async def _port(self) -> None:
        await self._fault(fault="port", seconds=self._at.rng.uniform(0.3, 3.0))

    async def _no_names(self) -> None:
        """Let name look-ups fail, and break the connection so that they are needed."""
        flag = self._at.folder / "nodns"
        flag.touch()
        await self._fault(fault="close", count=2)
        await trio.sleep(self._at.rng.uniform(0.5, 3.0))
        flag.unlink(missing_ok=True)

    async def _kill(self) -> None:
        await self._at.end_process(signal.SIGKILL)

    async def _kill_early(self) -> None:
        """Kill it while it starts and logs in."""
        await self._at.end_process(signal.SIGKILL)
        await self._at.until_started()
        if self._at.rng.random() < 0.5:
            (self._at.folder / "webqq-main.session.json").unlink(missing_ok=True)
        await trio.sleep(self._at.rng.uniform(0.0, 1.6))
        await self._at.end_process(signal.SIGKILL)

    async def _stop(self) -> None:
        """SIGTERM, at any time, also while it logs in."""
        if self._at.rng.random() < 0.5:
            await self._at.end_process(signal.SIGKILL)
            await self._at.until_started()
            with trio.move_on_after(3):
                await self._at.ready.wait()  # before that there is no signal handler, and SIGTERM is a kill
            await trio.sleep(self._at.rng.uniform(0.0, 0.6))
        elif not self._at.ready.is_set():
            return
        await self._at.end_process(signal.SIGTERM)

    async def _suspend(self) -> None:
        """Stop the process for longer than the hold and every deadline."""
        process = self._at.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGSTOP)
        await trio.sleep(self._at.plan.hold * self._at.rng.uniform(1.0, 4.0))
        process.send_signal(signal.SIGCONT)

    async def _move_clock(self) -> None:
        """Move the wall clock: a minute, an hour or a day, either way; then back."""
        seconds = self._at.rng.choice([60, -60, 3600, -3600, 86_400, -86_400])
        (self._at.folder / "clock").write_text(str(seconds))
        await trio.sleep(self._at.rng.uniform(1.0, 4.0))
        (self._at.folder / "clock").unlink(missing_ok=True)

    async def _full_disk(self) -> None:
        """Let every write to a file fail for a while."""
        process = self._at.process
        if process is None or process.returncode is not None:
            return
        limits = (2048, resource.RLIM_INFINITY)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        await trio.sleep(self._at.rng.uniform(1.0, 3.0))
        if process.returncode is None:
            resource.prlimit(
                process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        await trio.sleep(1.0)  # what could not be written is tried again with the next write

    async def _lock_file(self) -> None:
        """Make the session file impossible to replace, and let the login be saved meanwhile."""
        file = self._at.folder / "webqq-main.session.json"
        file.unlink(missing_ok=True)
        file.mkdir(exist_ok=True)
        await self._call("drop")
        await trio.sleep(self._at.rng.uniform(0.5, 2.0))
        if file.is_dir():
            file.rmdir()
