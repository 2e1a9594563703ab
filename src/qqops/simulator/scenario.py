"""Scenarios: what shall happen when, from a file. Runs on real and on virtual time alike.

::

    seed = 7

    [[step]]
    at = 5                # seconds after the start
    every = 30            # and again, so often
    times = 10            # at most so many times; for ever without it
    fault = "close"       # a fault with its own keys …
    on = "poll2"

    [[step]]
    at = 12
    call = "inject"       # … or a control call with its own keys
    kind = "group"
    from = "Ali"
    room = "ops"
    text = "/ping"
"""

from __future__ import annotations

import math
import pathlib
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import attrs
import structlog
import trio

from qqops.errors import ConfigError
from qqops.simulator.control import Control
from qqops.simulator.faults import WEBQQ, Faults, Repertoire

log = structlog.get_logger("qqops.simulator")


class Controlled(Protocol):
    """What takes control calls."""

    def call(self, method: str, name: str, data: Mapping[str, Any]) -> Any:
        """Make a call. Raises `ConfigError` when it cannot be done."""


@attrs.frozen(kw_only=True)
class Step:
    """One thing that happens, perhaps again and again.

    Attributes:
        at: Seconds after the start.
        every: Seconds between two times; 0 for once.
        times: How often at most; 0 for ever.
        call: Name of the control call.
    """

    at: float
    every: float = 0.0
    times: int = 0
    call: str
    data: Mapping[str, Any]
    where: str = ""


@attrs.frozen
class Scenario:
    """What shall happen when."""

    steps: tuple[Step, ...]

    async def run(self, control: Controlled) -> None:
        """Let it happen; returns when nothing is left. A step that cannot be done now is logged and left out."""
        async with trio.open_nursery() as nursery:
            for step in self.steps:
                nursery.start_soon(_run_step, step, control)


async def _run_step(step: Step, control: Controlled) -> None:
    await trio.sleep(step.at)
    count = 0
    while True:
        count += 1
        try:
            control.call("POST", step.call, step.data)
        except ConfigError as exc:
            log.warning("a step was left out", step=step.where, reason=str(exc))
        if not step.every or count == step.times:
            return
        await trio.sleep(step.every)


def load_scenario(
    path: pathlib.Path, repertoire: Repertoire = WEBQQ, calls: Collection[str] = Control.CALLS
) -> Scenario:
    """Return the scenario in a TOML file.

    Args:
        repertoire: What can go wrong there.
        calls: What can be asked for.

    Raises:
        ConfigError: The file cannot be read or something in it is wrong; the step is named.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"cannot read the scenario: {exc.strerror}", where=str(path)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the scenario is not valid TOML: {exc}", where=str(path)) from exc
    if unknown := set(data) - {"seed", "step"}:
        raise ConfigError(f"unknown key {min(unknown)!r}", where=str(path), hint="seed or [[step]]")
    rows = data.get("step", [])
    if not isinstance(rows, list) or not rows:
        raise ConfigError("there is no [[step]]", where=str(path))
    steps = [_step(row, f"{path}: step {number}", repertoire, calls) for number, row in enumerate(rows, 1)]
    if "seed" in data:
        seed = Step(at=0.0, call="faults", data={"seed": data["seed"]}, where=f"{path}: seed")
        _check_fault(seed.data, seed.where, repertoire)
        steps.insert(0, seed)
    return Scenario(tuple(steps))


def _step(row: Any, where: str, repertoire: Repertoire, calls: Collection[str]) -> Step:
    if not isinstance(row, dict):
        raise ConfigError("a step is a table", where=where)
    row = dict(row)
    at, every = _seconds(row, "at", where), _seconds(row, "every", where)
    times = row.pop("times", 0)
    if not isinstance(times, int) or isinstance(times, bool) or times < 0:
        raise ConfigError(f"times must be a whole number, got {times!r}", where=where)
    if ("fault" in row) == ("call" in row):
        raise ConfigError("give one of fault and call", where=where)
    if "fault" in row:
        _check_fault(row, where, repertoire)
        return Step(at=at, every=every, times=times, call="faults", data=row, where=where)
    call = row.pop("call")
    if call not in calls:
        raise ConfigError(f"there is no call {call!r}", where=where, hint=f"one of: {', '.join(calls)}")
    return Step(at=at, every=every, times=times, call=call, data=row, where=where)


def _seconds(row: dict[str, Any], key: str, where: str) -> float:
    value = row.pop(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(f"{key} must be seconds, got {value!r}", where=where)
    return float(value)


def _check_fault(row: Mapping[str, Any], where: str, repertoire: Repertoire) -> None:
    try:
        Faults(repertoire).set(row)
    except ConfigError as exc:
        raise ConfigError(exc.message, where=where, hint=exc.hint) from exc
