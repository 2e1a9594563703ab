"""What keeps a WebQQ session fresh beside its poll: lists, real numbers of groups, the heartbeat of 2013."""

from __future__ import annotations

import datetime

import structlog
import trio

from qqops.adapters._webqq_calls import Calls
from qqops.adapters._webqq_lookups import LOOK_UP_GAP, LookUps
from qqops.adapters._webqq_options import Options
from qqops.errors import NotSent, ProtocolError, TransientError
from qqops.model import AccountRef
from qqops.protocol.webqq import lists
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.http import get
from qqops.protocol.webqq.roster import NeedGroup
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Seconds between heartbeats of the 2013 generation, and how long one may take (webqq.md §4.7).
HEARTBEAT, HEARTBEAT_DEADLINE = 60.0, 5.0


def seconds_until(hour: str, now: datetime.datetime) -> float:
    """Return the seconds from *now* to the next *hour*, ``04:30``, in the time zone of *now*."""
    hours, minutes = (int(part) for part in hour.split(":"))
    at = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    if at <= now:
        at += datetime.timedelta(days=1)
    return (at - now).total_seconds()


class Upkeep:
    """Keeps one session fresh."""

    def __init__(
        self, account: AccountRef, options: Options, session: Session, calls: Calls, look_ups: LookUps
    ) -> None:
        self._account = account
        self._options = options
        self._session = session
        self._calls = calls
        self._look_ups = look_ups
        self._roster = look_ups.roster

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

    async def keep_lists(self) -> None:
        """Learn the groups' real numbers, so that rooms are found by name; then refresh from time to time."""
        while True:
            for gid in list(self._roster.groups):
                need = NeedGroup(gid)
                if gid not in self._roster.group_numbers and need not in self._roster.asked:
                    await self._look_ups.look_up(need)
                    await trio.sleep(LOOK_UP_GAP)
            await trio.sleep(self._options.refresh)
            try:
                await self.fetch_lists()
                self._roster.members.clear()
            except (NotSent, SessionGone):
                raise
            except (ProtocolError, TransientError) as exc:
                log.warning("the lists could not be refreshed", account=str(self._account), reason=str(exc))

    async def heartbeat(self) -> None:
        """The 2013 page's own heartbeat; nobody knows whether it was needed, and its errors do not matter."""
        count = 0
        while True:
            await trio.sleep(HEARTBEAT)
            count += 1
            query = {
                "uin": "",
                "tp": 1,
                "id": 0,
                "retype": 1,
                "rc": count,
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
