"""Runs jobs at their moments."""

from __future__ import annotations

import datetime

import structlog
import trio

from qqops.model import Clock
from qqops.runtime.dispatch import Dispatcher, Ticket
from qqops.runtime.observe import Observers, Skipped
from qqops.runtime.registry import Job

log = structlog.get_logger("qqops.scheduler")

#: Longest sleep in seconds. The wall clock may be set forward or the machine suspended; looking up from
#: time to time bounds how late a job can be because of that.
LONGEST_SLEEP = 60.0


class Scheduler:
    """One task per job: sleep until it is due, submit it, again.

    A job whose last run has not ended is skipped, and observers are told. A moment that has passed while
    the bot could not run is run once, late.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Clock, observers: Observers) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._observers = observers

    async def run(self, jobs: list[Job]) -> None:
        """Run *jobs* until cancelled."""
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(self._keep, job, name=f"job {job.handler.plugin}:{job.name}")

    async def _keep(self, job: Job) -> None:
        last: Ticket | None = None
        moment = self._clock.now()
        while True:
            due = job.schedule.after(moment)
            if due is None:
                return
            await self._sleep_until(due)
            # Moments that passed meanwhile (a suspended machine) are covered by this one run.
            moment = max(due, self._clock.now())
            if last is not None and last.done is not None and not last.done.is_set():
                log.warning("job skipped", plugin=job.handler.plugin, job=job.name, reason="still running")
                self._observers.tell(Skipped(plugin=job.handler.plugin, job=job.name, reason="still running"))
                continue
            last = self._dispatcher.submit(job.handler)

    async def _sleep_until(self, due: datetime.datetime) -> None:
        # Not one long sleep: see LONGEST_SLEEP.
        while (left := (due - self._clock.now()).total_seconds()) > 0:  # noqa: ASYNC110
            await trio.sleep(min(left, LONGEST_SLEEP))
