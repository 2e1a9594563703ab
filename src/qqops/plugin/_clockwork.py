"""The decorator for jobs."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from qqops.errors import ConfigError, PluginError
from qqops.plugin._note import Declared, make_handler, note, read_signature
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import location
from qqops.runtime.agenda import Misfire, Overlap, Schedule, cron, every, once
from qqops.runtime.registry import Job

F = TypeVar("F", bound=Callable[..., Any])


class Clockwork:
    """The part of `Plugin` that is about the clock."""

    def __init__(self) -> None:
        self._jobs: list[Declared] = []

    def job(
        self,
        *,
        cron: str | None = None,  # noqa: A002, RUF100 - the author's word
        tz: str = "UTC",
        every: float | datetime.timedelta | None = None,
        once: datetime.datetime | None = None,
        jitter: float = 0.0,
        misfire: Literal["skip", "once", "all"] = "once",
        overlap: Literal["skip", "queue", "allow"] = "skip",
        timeout: float | None = None,
        inline: bool = False,
    ) -> Callable[[F], F]:
        """Declare a job: by *cron* (five fields, in time zone *tz*), *every* so many seconds, or *once*.

        Args:
            every: Seconds; the grid begins with the first start of the bot and outlives restarts.
            jitter: Most seconds by which a run is late on purpose, by chance.
            misfire: What becomes of moments that passed while the bot could not run: none is made up for, one run for
                all of them, or one for each.
            overlap: What becomes of a run that is due while the last one has not ended: it is skipped, waits, or
                runs beside it.
        """
        more = {
            "cron": cron, "tz": tz, "every": every, "once": once, "jitter": jitter, "misfire": misfire,
            "overlap": overlap,
        }  # fmt: skip

        def declare(function: F) -> F:
            self._jobs.append(note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    @hookimpl
    def qqops_jobs(self, build: Build) -> list[Job]:
        """Return the declared jobs."""
        found: list[Job] = []
        for d in self._jobs:
            where = location(d.function)
            if any(job.name == d.name for job in found):
                raise PluginError(f"there are two jobs {d.name!r}; their state is kept by name", where=where)
            signature = read_signature(d, build)
            try:
                schedule = _schedule(d.more)
                if not d.more["jitter"] >= 0:
                    raise ConfigError(f"jitter must be >= 0 seconds, got {d.more['jitter']:g}")
                misfire, overlap = Misfire(d.more["misfire"]), Overlap(d.more["overlap"])
            except (ConfigError, ValueError) as exc:
                raise PluginError(f"the job {d.name}(): {exc}", where=where) from exc
            found.append(
                Job(
                    name=d.name, schedule=schedule, handler=make_handler(d, build, signature.for_event()),
                    jitter=d.more["jitter"], misfire=misfire, overlap=overlap,
                )
            )  # fmt: skip
        return found


def _schedule(more: Mapping[str, Any]) -> Schedule:
    given = [name for name in ("cron", "every", "once") if more[name] is not None]
    if len(given) != 1:
        raise ConfigError(
            "give one of cron, every and once" + (f", not {' and '.join(given)}" if given else "")
        )
    if given == ["cron"]:
        return cron(more["cron"], more["tz"])
    if given == ["every"]:
        interval = more["every"]
        return every(interval.total_seconds() if isinstance(interval, datetime.timedelta) else interval)
    return once(more["once"])
