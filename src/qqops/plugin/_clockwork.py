"""The decorator for jobs."""

from __future__ import annotations

import datetime
import difflib
import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import attrs

from qqops.errors import ConfigError, PluginError
from qqops.plugin import _checking as checking
from qqops.plugin._note import Declared, make_handler, note, read_signature
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import location
from qqops.runtime import agenda
from qqops.runtime.agenda import Misfire, Overlap, Schedule
from qqops.runtime.registry import Job
from qqops.runtime.zones import time_zone

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=enum.Enum)


class Clockwork:
    """The part of `Plugin` that is about the clock."""

    def __init__(self) -> None:
        self._jobs: list[Declared] = []

    def job(
        self,
        when: None = None,
        /,
        *,
        name: str | None = None,
        cron: str | None = None,
        tz: str | None = None,
        every: float | datetime.timedelta | None = None,
        once: datetime.datetime | None = None,
        jitter: float | datetime.timedelta = 0.0,
        misfire: Literal["skip", "once", "all"] = "once",
        overlap: Literal["skip", "queue", "allow"] = "skip",
        timeout: float | None = None,
        inline: bool = False,
    ) -> Callable[[F], F]:
        """Declare a job: by *cron* (five fields), *every* so many seconds, or *once*.

        Args:
            name: What people call it by, and what is known about it is kept by, over restarts. Without one it has that
                of the function, and ``-2``, ``-3`` and so on behind that when it is not the first of the plugin.
            tz: Time zone of *cron* and of ``ctx.now``; without one the bot's.
            every: Seconds; the grid begins with the first start of the bot and outlives restarts. It goes by the time
                that passes, whatever the computer's clock is set to.
            jitter: Most seconds by which a run is late on purpose, by chance; no more than lie between two runs.
            misfire: What becomes of moments that passed while the bot could not run: none is made up for, one run for
                all of them, or one for each.
            overlap: What becomes of a run that is due while the last one has not ended: it is skipped, waits, or
                runs beside it.
        """
        if when is not None:
            raise checking.wrong(
                '@plugin.job needs a time by its name: @plugin.job(every=60) or (cron="0 9 * * *")'
            )
        more = {
            "name": name, "cron": cron, "tz": tz, "every": every, "once": once, "jitter": jitter, "misfire": misfire,
            "overlap": overlap,
        }  # fmt: skip

        def declare(function: F) -> F:
            checking.function(function, "job")
            self._jobs.append(note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    @hookimpl
    def qqops_jobs(self, build: Build) -> list[Job]:
        """Return the declared jobs."""
        found: dict[str, Job] = {}
        for d in self._jobs:
            try:
                name = _name(d, found)
                found[name] = _job(attrs.evolve(d, name=name), build)
            except ConfigError as exc:
                raise PluginError(f"the job {d.name}(): {exc}", where=location(d.function)) from exc
        return list(found.values())


def _job(d: Declared, build: Build) -> Job:
    """Return the job that *d* declares. Raises `ConfigError` for what is wrong about its moments."""
    signature = read_signature(d, build, None)
    schedule = _schedule(d.more)
    zone = time_zone(d.more["tz"]) if d.more["tz"] is not None else None
    return Job(
        name=d.name,
        schedule=schedule,
        handler=attrs.evolve(make_handler(d, build, signature.for_event()), zone=zone),
        jitter=agenda.jitter(d.more["jitter"], schedule),
        misfire=_one_of(Misfire, "misfire", d.more["misfire"]),
        overlap=_one_of(Overlap, "overlap", d.more["overlap"]),
    )


def _name(d: Declared, taken: Mapping[str, Job]) -> str:
    """Return what the job is called. Raises `ConfigError` when that is no name, or another has it."""
    name = d.more["name"]
    if name is None:
        others = (f"{d.name}-{number}" for number in range(2, len(taken) + 2))
        return next(one for one in (d.name, *others) if one not in taken)
    if not isinstance(name, str) or not re.fullmatch(r"[^\s:]+", name) or name.isdigit():
        raise ConfigError(f"name must be one word without a colon that is not a number, got {name!r}")
    if name in taken:
        raise ConfigError(
            f"the name {name!r} is taken by the job at {taken[name].handler.where}", hint="give another name"
        )
    return name


def _schedule(more: Mapping[str, Any]) -> Schedule:
    given = [name for name in ("cron", "every", "once") if more[name] is not None]
    if len(given) != 1:
        raise ConfigError(
            "give one of cron, every and once" + (f", not {' and '.join(given)}" if given else "")
        )
    if given == ["cron"]:
        return agenda.cron(more["cron"], more["tz"])
    return agenda.every(more["every"]) if given == ["every"] else agenda.once(more["once"])


def _one_of(kind: type[E], what: str, word: object) -> E:
    words = [one.value for one in kind]
    try:
        return kind(word)
    except ValueError:
        near = difflib.get_close_matches(str(word).lower(), words, 1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{what} is one of {', '.join(words)}, got {word!r}", hint=hint) from None
