"""WebQQ, both generations: the socket shell over `qqops.protocol.webqq`.

One call of `WebQQ.serve` is one session: log in (or take the last session up again), fetch the lists, then
poll, deliver, send and refresh until something ends it. What must survive a session, and nothing else, is
kept in the adapter: the values for a re-link.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio

from qqops.adapters._http import HttpClient
from qqops.adapters._webqq_options import Options
from qqops.adapters._webqq_session import LiveSession
from qqops.adapters.base import Link, Network, Opening, Outgoing
from qqops.errors import ConfigError
from qqops.model import AccountRef, Clock, Limits, Room, RoomRef, User
from qqops.protocol.webqq.profile import STATUSES, Login, profile
from qqops.protocol.webqq.session import Session


class WebQQ:
    """One WebQQ account."""

    def __init__(self, account: AccountRef, options: Options, *, clock: Clock, rng: random.Random) -> None:
        self._account = account
        self._options = options
        self._profile = profile(options.profile)
        self._clock = clock
        self._rng = rng
        self._resume: Session | None = None
        self._live: LiveSession | None = None
        if self._profile.login is Login.PASSWORD and not (options.number and options.password):
            raise ConfigError("profile webqq2013 needs number and password")
        if options.on_kick not in ("relogin", "stop"):
            raise ConfigError(f"on_kick must be relogin or stop, got {options.on_kick!r}")
        if options.status not in STATUSES:
            raise ConfigError(f"status must be one of {', '.join(STATUSES)}, got {options.status!r}")
        for key in ("poll_hold", "refresh", "qr_interval"):
            if not getattr(options, key) > 0:
                raise ConfigError(f"{key} must be > 0 seconds, got {getattr(options, key)!r}")

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._account

    @property
    def limits(self) -> Limits:
        """Pace and size of sends."""
        return Limits(gap=self._options.send_gap, max_bytes=self._options.max_bytes)

    def rooms(self) -> Sequence[Room]:
        """Return the rooms of the live session; none while offline."""
        return self._live.roster.rooms() if self._live is not None else []

    async def change_status(self, status: str) -> bool:
        """Be seen as *status* from now on; False while offline, or when the service refuses.

        Raises:
            TransientError: The call failed.
        """
        return self._live is not None and await self._live.change_status(status)

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*; nobody while offline or when the service does not tell."""
        if self._live is None:
            return []
        return await self._live.members(room)

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session; see `qqops.adapters.base.Adapter.serve`."""
        resume, self._resume = self._resume, None
        async with HttpClient() as http:
            live = LiveSession(self._account, self._options, self._clock, http, link)
            try:
                session = await live.open(resume or self._new_session(), relinking=resume is not None)
                if session is None:
                    session = await live.open(self._new_session(), relinking=False)
                self._live = live
                await live.run(outbox)
            except BaseException as exc:
                if live.online and _is_cancelled(exc) and not link.lost:
                    with trio.move_on_after(2, shield=True):
                        await live.say_goodbye()
                self._resume = live.resumable
                raise
            finally:
                self._live = None

    def _new_session(self) -> Session:
        return Session(
            profile=self._profile,
            rng=self._rng,
            number=self._options.number,
            qr_interval=self._options.qr_interval,
            hold=self._options.poll_hold,
            status=self._options.status,
        )


def _is_cancelled(exc: BaseException) -> bool:
    """Whether *exc* is nothing but cancellation; a nursery wraps it in a group."""
    if isinstance(exc, BaseExceptionGroup):
        return all(_is_cancelled(one) for one in exc.exceptions)
    return isinstance(exc, trio.Cancelled)


def open_webqq(opening: Opening, options: Options) -> WebQQ:
    """Return the adapter of a WebQQ account."""
    return WebQQ(opening.account, options, clock=opening.clock, rng=opening.rng)


__all__ = ["Options", "WebQQ", "network", "open_webqq"]

network = Network(name="webqq", options=Options, open=open_webqq)
