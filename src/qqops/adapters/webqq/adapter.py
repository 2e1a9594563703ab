"""WebQQ, both generations: the socket shell over `qqops.protocol.webqq`.

One call of `WebQQ.serve` is one session: log in (or take the last session up again), fetch the lists, then
poll, deliver, send and refresh until something ends it. What must survive a session, and nothing else, is
kept in the adapter: the values for a re-link, and which messages came last.
"""

from __future__ import annotations

import functools
import pathlib
import random
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import trio

from qqops.adapters.base import Directory, Link, Opening, Outgoing
from qqops.adapters.http.client import Http, HttpClient
from qqops.adapters.webqq.account import WebAccount
from qqops.adapters.webqq.actions import actions_in
from qqops.adapters.webqq.options import WebQQOptions
from qqops.adapters.webqq.saved import SavedSession
from qqops.adapters.webqq.sends import INVISIBLE
from qqops.adapters.webqq.session import LiveSession, is_cancelled
from qqops.errors import AdapterError, Mistakes, Refuse
from qqops.model import (
    AccountRef,
    Action,
    Capabilities,
    Clock,
    Delivery,
    Face,
    FileOffered,
    Image,
    Outcome,
    Pace,
    PersonRef,
    Profile,
    Room,
    RoomKind,
    RoomRef,
    SetStatus,
    Text,
    User,
)
from qqops.protocol.webqq.errors import excerpt
from qqops.protocol.webqq.heard import Heard
from qqops.protocol.webqq.profile import Login, profile
from qqops.protocol.webqq.session import Session

#: Re-links in a row that lead to no working poll before a new login (webqq.md §12.3).
RELINKS = 3


class WebQQ:
    """One WebQQ account."""

    def __init__(
        self,
        account: AccountRef,
        options: WebQQOptions,
        *,
        clock: Clock,
        rng: random.Random,
        folder: pathlib.Path | None = None,
        directory: Directory | None = None,
        http: Callable[[], Http] = HttpClient,
    ) -> None:
        _check(options)
        self._http = http
        self._account = account
        self._options = options
        self._profile = profile(options.profile)
        self._clock = clock
        self._rng = rng
        self._directory = directory
        self._saved = SavedSession(account, folder if options.save_session else None, options.status)
        self._heard = Heard()
        most = options.max_bytes
        if most and options.vary_equal:
            most = max(most - len(INVISIBLE.encode()), 1)
        self._can = _capabilities(most, pictures=self._profile.repeats_ids)  # SmartQQ cannot upload any
        self._before: LiveSession | None = None
        self._relinks = 0
        self._loaded = False
        self._live: LiveSession | None = None

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._account

    @property
    def pace(self) -> Pace:
        """How fast it may send."""
        return Pace(gap=self._options.send_gap)

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what the account can do."""
        return self._can[kind]

    def rooms(self) -> Sequence[Room]:
        """Return the rooms of the live session; none while offline."""
        return self._live.roster.rooms() if self._live is not None else []

    async def act(self, action: Action) -> Outcome:
        """Do *action*; see `qqops.runtime.accounts.Accounts`."""
        if self._live is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"{self._account} is offline")
        if isinstance(action, SetStatus):
            return await self._live.set_status(action.status)
        return await self._live.actions.act(action)

    async def fetch(self, thing: Image | FileOffered, room: RoomRef) -> bytes:
        """Return a picture or file that came in this session. Raises `Refuse`."""
        return await self._online.fetch.fetch(thing)

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or group. Raises `Refuse`."""
        return await self._online.fetch.avatar(who)

    async def profile(self, person: PersonRef) -> Profile:
        """Return what the service tells about *person*. Raises `Refuse`."""
        return await self._online.fetch.profile(person)

    @property
    def native(self) -> WebAccount:
        """What the account can do beyond the model; see `qqops.runtime.accounts.Accounts.native`."""
        return self._online.abilities

    @property
    def _online(self) -> LiveSession:
        if self._live is None:
            raise Refuse(f"{self._account} is offline")
        return self._live

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*; nobody while offline or when the service does not tell."""
        if self._live is None:
            return []
        return await self._live.look_ups.members(room)

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room* as far as it is known; nobody while offline."""
        return self._live.look_ups.people(room) if self._live is not None else []

    def heard_before(self, seen: Sequence[tuple[str, str]]) -> None:
        """Take over what an earlier run has accepted, so that a copy is one, whatever can be looked up now."""
        self._heard.before(seen)

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session; see `qqops.adapters.base.Adapter.serve`."""
        before, self._before = self._before, None
        async with self._http() as http:
            live = LiveSession(
                self._account,
                self._options,
                self._clock,
                http,
                link,
                self._saved,
                self._heard,
                self._directory,
            )
            try:
                await self._open(live, before)
                self._live = live
                await live.run(outbox)
            except BaseException as exc:
                if is_cancelled(exc) and not link.lost and not self._saved.kept:
                    with trio.move_on_after(2, shield=True):
                        await live.say_goodbye()
                self._remember(live, exc)
                raise
            finally:
                self._live = None

    async def _open(self, live: LiveSession, before: LiveSession | None) -> None:
        """Take the session *before* up again where that is possible, else log in."""
        session = before.resumable if before is not None else None
        if before is not None and session is not None:
            live.take_over(before.pending)
            if await live.open(session, relinking=True, roster=before.roster):
                return
            live.take_over(deque())
        if before is not None:
            before.flush()
        elif (saved := self._load_saved()) is not None:
            if await live.open(saved, relinking=True):
                return
            self._saved.forget()
        self._relinks = 0
        await live.open(self._new_session(), relinking=False)

    def _load_saved(self) -> Session | None:
        """Return the login that an earlier run has left; only the first session of a run asks for it."""
        if self._loaded:
            return None
        self._loaded = True
        session = self._saved.load(self._profile, self._options.number, self._rng)
        if session is not None:
            session.qr_interval, session.hold = self._options.qr_interval, self._options.poll_hold
        return session

    def _remember(self, live: LiveSession, exc: BaseException) -> None:
        """Keep *live* for a re-link, if that has a chance; what it had received is handled either way.

        A re-link that is dropped again before a poll has worked proves nothing: after three of these a new login
        is due (webqq.md §12.3). After a bug nothing of the session is trusted.
        """
        if live.online:
            self._relinks = 0 if live.proved else self._relinks + 1
        ours = is_cancelled(exc) or all(isinstance(e, AdapterError | trio.Cancelled) for e in _flat(exc))
        if ours and live.resumable is not None and self._relinks <= RELINKS:
            self._before = live
        else:
            live.flush()

    def _new_session(self) -> Session:
        return Session(
            profile=self._profile,
            rng=self._rng,
            number=self._options.number,
            qr_interval=self._options.qr_interval,
            hold=self._options.poll_hold,
            status=self._saved.status,
            cipher=self._options.cipher,
            cipher_found=self._saved.cipher,
            cipher_spent=self._saved.cipher_spent,
        )


@functools.cache
def _capabilities(most: int, *, pictures: bool) -> Mapping[RoomKind, Capabilities]:
    """Return the same objects for all accounts that can do the same; there may be thousands."""
    segments = frozenset({Text, Face, Image} if pictures else {Text, Face})
    return {
        kind: Capabilities(actions=actions_in(kind), segments=segments, max_bytes=most) for kind in RoomKind
    }


def _check(options: WebQQOptions) -> None:
    """Raise `ConfigError` for settings that cannot work; all of it is named."""
    mistakes = Mistakes()
    if profile(options.profile).login is Login.PASSWORD and not (options.number and options.password):
        mistakes.add(f"profile {options.profile} needs number and password")
    for host, base in options.endpoints.items():
        if not _is_base_url(base):
            mistakes.add(f"must be http://HOST:PORT, got {excerpt(base)}", where=f"endpoints.{host}")
    mistakes.check()


def _is_base_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _flat(exc: BaseException) -> list[BaseException]:
    """Return the errors in *exc*, however deep."""
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for one in exc.exceptions for leaf in _flat(one)]
    return [exc]


def open_webqq(opening: Opening, options: WebQQOptions) -> WebQQ:
    """Return the adapter of a WebQQ account."""
    return WebQQ(
        opening.account,
        options,
        clock=opening.clock,
        rng=opening.rng,
        folder=opening.folder,
        directory=opening.directory,
    )


__all__ = ["WebQQ", "WebQQOptions", "open_webqq"]
