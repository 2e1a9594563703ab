"""What keeps a WebQQ session fresh beside its poll: lists, real numbers of groups, the heartbeat of 2013."""

from __future__ import annotations

import datetime
import math

import structlog
import trio

from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LOOK_UP_GAP, LookUps
from qqops.adapters.webqq.options import WebQQOptions
from qqops.errors import ProtocolError, TransientError
from qqops.model import AccountRef, Clock
from qqops.protocol.webqq import lists
from qqops.protocol.webqq.http import get
from qqops.protocol.webqq.roster import NeedGroup
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Seconds between heartbeats of the 2013 generation, and how long one may take (webqq.md §4.7).
HEARTBEAT, HEARTBEAT_DEADLINE = 60.0, 5.0


#: Seconds after which the wall clock is looked at again: it can be set, and a suspended machine sleeps past it.
GLANCE = 60.0


def planned(hour: str, after: datetime.datetime) -> datetime.datetime:
    """Return the first moment after *after* at which the clocks of this place show *hour*, ``04:30``."""
    hours, minutes = (int(part) for part in hour.split(":"))
    # Without a zone, so that the offset is that of the day itself and not that of today.
    day = after.astimezone().replace(tzinfo=None)
    at = day.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    while at.astimezone() <= after:
        at += datetime.timedelta(days=1)
    return at.astimezone()


async def wait_for_hour(hour: str, clock: Clock) -> None:
    """Wait until the wall clock shows *hour*, or has passed it, whatever happens to that clock meanwhile."""
    since = clock.now()
    while True:
        now = clock.now()
        since = min(since, now)  # it was set back: the hour comes again
        left = (planned(hour, since) - now).total_seconds()
        if left <= 0:
            return
        await trio.sleep(min(left, GLANCE))


class ListRefresher:
    """Keeps one session fresh."""

    def __init__(
        self, account: AccountRef, options: WebQQOptions, session: Session, calls: Calls, look_ups: LookUps
    ) -> None:
        self._account = account
        self._options = options
        self._session = session
        self._calls = calls
        self._look_ups = look_ups
        self._roster = look_ups.roster
        self._beats = 0

    async def fetch_lists(self, within: float | None = None) -> None:
        """Fetch friends, groups and discussion groups.

        Args:
            within: Seconds until the next proof of life that each answer is worth; None for none.
        """
        session, roster = self._session, self._roster
        roster.friends = await self._calls.drive(session, lists.friends(session), within)
        roster.groups = await self._calls.drive(session, lists.groups(session), within)
        try:
            roster.discussions = await self._calls.drive(session, lists.discussions(session), within)
        except (ProtocolError, TransientError) as exc:
            # Discussion groups came and went with the years; nothing else depends on them.
            log.info("no discussion groups", account=str(self._account), reason=str(exc))
        roster.asked.clear()
        self._look_ups.report_cut()

    async def run(self) -> None:
        """Learn the groups' real numbers, so that rooms are found by name; refresh the lists; beat."""
        now = trio.current_time()
        refresh_at = now + self._options.refresh
        # Thousands of accounts that came online together need not beat together.
        first = HEARTBEAT * self._session.rng.uniform(0.5, 1)
        beat_at = now + first if self._session.profile.heartbeat else math.inf
        unknown = self._unknown_groups()
        while True:
            if unknown:
                await self._look_ups.look_up(unknown.pop())
                await trio.sleep(LOOK_UP_GAP)
            else:
                await self._calls.rest()
                await trio.sleep_until(min(refresh_at, beat_at))
            if trio.current_time() >= beat_at:
                await self._beat()
                beat_at = trio.current_time() + HEARTBEAT
            if trio.current_time() >= refresh_at:
                await self._refresh()
                refresh_at = trio.current_time() + self._options.refresh
                unknown = self._unknown_groups()

    def _unknown_groups(self) -> list[NeedGroup]:
        """Return the groups whose real number nobody has asked for yet, the first one last."""
        known, asked = self._roster.group_numbers, self._roster.asked
        needs = [NeedGroup(gid) for gid in self._roster.groups if gid not in known]
        return [need for need in reversed(needs) if need not in asked]

    async def _refresh(self) -> None:
        try:
            await self.fetch_lists()
            self._roster.members.clear()
        except (ProtocolError, TransientError) as exc:
            log.warning("the lists could not be refreshed", account=str(self._account), reason=str(exc))

    async def _beat(self) -> None:
        """Do as the 2013 page did; nobody knows whether it was needed, and its errors do not matter."""
        self._beats += 1
        query = {
            "uin": "",
            "tp": 1,
            "id": 0,
            "retype": 1,
            "rc": self._beats,
            "lv": 3,
            "t": self._session.noise(),
        }
        request = get(
            "get_msg_tip",
            "http://web.qq.com/web2/get_msg_tip",
            query,
            referer="http://web2.qq.com/webqq.html",
            deadline=HEARTBEAT_DEADLINE,
        )
        try:
            await self._calls.call(self._session, request)
        except (TransientError, ProtocolError) as exc:
            log.debug("heartbeat failed", account=str(self._account), reason=str(exc))
