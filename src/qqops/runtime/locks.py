"""Locks that people hold for a while: ``prod`` is closed, by whom, since when and why. They survive a restart."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

import attrs
import structlog
import trio

from qqops.errors import Refuse, StoreError
from qqops.model import Clock
from qqops.runtime.audit import Audit, is_dry, told
from qqops.runtime.context import Content, Context
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler, Hit
from qqops.runtime.storage.drawers import Drawers
from qqops.runtime.verdicts import Stage
from qqops.texts import Say

log = structlog.get_logger("qqops.locks")

#: Under what they are kept.
KIND = "lock"
#: Seconds a command waits for the store, when it could not be read before.
LOOK_AGAIN = 2.0


@attrs.frozen(kw_only=True)
class Lock:
    """A lock that is held.

    Attributes:
        who: Address of the person, and *holder* what they are called.
        since: Moment it was set, ISO 8601.
    """

    name: str
    who: str
    holder: str
    since: str
    reason: str

    @property
    def moment(self) -> datetime.datetime:
        """When it was set."""
        return datetime.datetime.fromisoformat(self.since)


class Locks:
    """All locks of a bot; a door of the gate. Injected into handlers that ask for it."""

    stage = Stage.LOCK

    def __init__(self, keep: Drawers, audit: Audit, clock: Clock) -> None:
        self._keep = keep
        self._audit = audit
        self._clock = clock
        self._held: dict[str, Lock] | None = None

    async def load(self) -> None:
        """Read which are held. Until that has succeeded, every command that a lock may keep out is refused."""
        try:
            kept = await self._keep.all(KIND)
            self._held = {name: Lock(**json.loads(text)) for name, text in kept.items()}
        except (StoreError, ValueError, TypeError) as exc:
            log.error("the locks cannot be read; what they guard is refused", reason=str(exc))  # noqa: TRY400

    def held(self) -> Sequence[Lock]:
        """Return the locks that are held, by name. Raises `Refuse` while that is not known."""
        return sorted(self._known().values(), key=lambda lock: lock.name)

    def _known(self) -> dict[str, Lock]:
        if self._held is None:
            raise Refuse("the locks are not known: the store cannot be read")
        return self._held

    async def set(self, ctx: Context, name: str, reason: str) -> Lock:
        """Close *name* for everybody. Raises `Refuse` when it is held, or cannot be kept."""
        held = self._known()
        if (other := held.get(name)) is not None:
            raise Refuse(ctx.render(_says("lock.taken", other)))
        lock = Lock(
            name=name, who=str(ctx.sender.proven), holder=ctx.sender.name,
            since=self._clock.now().astimezone(datetime.UTC).isoformat(timespec="seconds"), reason=reason,
        )  # fmt: skip
        held[name] = lock  # at once, and only then to the disk: nothing slips through meanwhile
        try:
            await self._keep.put(KIND, name, json.dumps(attrs.asdict(lock), ensure_ascii=False))
        except StoreError as exc:
            del held[name]
            raise Refuse(str(exc)) from exc
        self._note("lock", ctx, lock)
        return lock

    async def release(self, ctx: Context, name: str, *, may: bool) -> Lock:
        """Open *name* again.

        Args:
            may: Whether the person may open what somebody else has closed.

        Raises:
            Refuse: It is not held, it is somebody else's, or the store cannot be written.
        """
        held = self._known()
        lock = held.get(name)
        if lock is None:
            raise Refuse(ctx.render(Say("lock.open", {"name": name})))
        if not may and (lock.who != str(ctx.sender.proven) or not ctx.sender.verified):
            raise Refuse(ctx.render(_says("lock.others", lock)))
        try:
            await self._keep.drop(KIND, name)
        except StoreError as exc:
            raise Refuse(str(exc)) from exc
        held.pop(name, None)
        self._note("unlock", ctx, lock)
        return lock

    def _note(self, what: str, ctx: Context, lock: Lock) -> None:
        who = {"who": str(ctx.sender.proven), "name": ctx.sender.name, "room": str(ctx.room.ref)}
        self._audit.note(what, lock=lock.name, reason=lock.reason, **who)

    # -- as a stage of the gate -----------------------------------------------------------------

    def concerns(self, handler: Handler) -> bool:
        """Whether a lock can keep *handler* out."""
        return bool(handler.guards.lock)

    async def before(self, ctx: Context, hit: Hit) -> Content | None:
        """Return why not, while the lock of *hit* is held."""
        guards = hit.handler.guards
        if not guards.lock or is_dry(ctx, hit.handler):
            return None
        if self._held is None:
            with trio.move_on_after(LOOK_AGAIN):
                await self.load()
        lock = self._known().get(guards.lock)
        if lock is None:
            return None
        if guards.effects:
            self._audit.note("refused", reason=f"lock {lock.name}", **told(ctx, hit))
        return _says("lock.held", lock)

    def after(self, ctx: Context, hit: Hit, result: Result) -> None:
        """Nothing is left to do."""


def _says(key: str, lock: Lock) -> Say:
    since = f"{lock.moment:%Y-%m-%d %H:%M} UTC"
    return Say(key, {"name": lock.name, "holder": lock.holder, "since": since, "reason": lock.reason})
