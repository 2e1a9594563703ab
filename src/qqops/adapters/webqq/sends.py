"""Sending in one WebQQ session: messages, the pictures in them, and what strangers need."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs
import trio

from qqops.adapters.base import OnWire
from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LookUps
from qqops.errors import NotSent, ProtocolError, Refuse, TransientError
from qqops.model import Delivery, Draft, Image, Later, Outcome, Scope, Segment, Text
from qqops.protocol.webqq import manage, pictures, send
from qqops.protocol.webqq.classify import Verdict
from qqops.protocol.webqq.flow import Flow, T
from qqops.protocol.webqq.http import Request
from qqops.protocol.webqq.pictures import MAX_PICTURE, Uploaded
from qqops.protocol.webqq.session import Session

#: Kind and alias of a room within a session; see `qqops.protocol.webqq.roster.Roster.target`.
Target: TypeAlias = tuple[str, int]

#: What makes two equal messages differ: a zero-width space.
INVISIBLE = "\u200b"
#: Seconds after which a room is looked up again, a connection is tried again, a doubt is looked at again.
LOOK_UP_AGAIN, CONNECT_AGAIN, DOUBT_AGAIN = 10.0, 2.0, 1.0
#: Seconds between the two tries of what a message needs before it can be sent.
PREPARE_AGAIN = 1.0
#: Seconds for which the signature of a chat with a stranger is used again (webqq.md §12.3).
SIGNATURE_LIFE = 300.0


@attrs.frozen
class _Doubt:
    """A send was answered as if the session were over; whether it is, the poll knows.

    Attributes:
        at: When the answer came, on trio's clock.
        believed: Whether the session lives all the same: then such an answer is about that room.
    """

    reason: str
    at: float
    believed: bool = False


class Sends:
    """Sends of one session.

    Args:
        vary: Whether the second of two equal messages in a row is marked.
        proved: Tells whether a poll that began at a moment or later has shown that the session works.
    """

    def __init__(
        self,
        session: Session,
        calls: Calls,
        look_ups: LookUps,
        *,
        vary: bool,
        proved: Callable[[float], bool],
    ) -> None:
        self._session = session
        self._calls = calls
        self._look_ups = look_ups
        self._vary = vary
        self._proved = proved
        self._doubts: dict[Target, _Doubt] = {}
        self._signatures: dict[int, tuple[float, str]] = {}
        self._last_sent: dict[Target, tuple[Segment, ...]] = {}
        self._leaving = False
        self._wire_free = trio.Event()
        self._wire_free.set()

    async def quiet(self) -> None:
        """Wait until nothing is on the wire."""
        await self._wire_free.wait()

    async def leave(self) -> None:
        """Let nothing further go out, and wait until nothing is on the wire. What is queued stays queued."""
        self._leaving = True
        await self.quiet()

    async def send(self, draft: Draft, on_wire: OnWire) -> Outcome | Later:
        """Send one part; see `qqops.adapters.base.Sender`."""
        try:
            target = await self._look_ups.target(draft.room)
        except TransientError as exc:
            return Later(LOOK_UP_AGAIN, Scope.ROOM, str(exc))
        if target is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"the account knows no room {draft.room.id!r}")
        if (doubted := self._doubted(target)) is not None:
            return doubted
        try:
            pictures = await self._upload(draft.segments, *target)
            more = await self._send_more(*target)
            if pictures:
                more |= self._picture_fields(*target)
            segments = self._varied(target, draft.segments)
            request = send.request(self._session, *target, segments, pictures, more)
        except Refuse as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=exc.text)
        except (ProtocolError, TransientError) as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        await on_wire()
        if self._leaving:
            return Later(1.0, Scope.ACCOUNT, "the session is being ended")
        result = await self._exchange(target, request)
        if isinstance(result, Outcome) and result.delivery is not Delivery.REFUSED:
            self._last_sent[target] = segments
        return result

    async def _exchange(self, target: Target, request: Request) -> Outcome | Later:
        self._wire_free = trio.Event()
        try:
            response = await self._calls.call(self._session, request)
        except NotSent as exc:
            return Later(
                CONNECT_AGAIN, Scope.ACCOUNT, str(exc)
            )  # if nothing can be reached, the poll says so
        except (TransientError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        finally:
            self._wire_free.set()
        outcome, verdict = send.read(self._session, response)
        if outcome.ok:
            self._doubts.pop(target, None)
        if verdict not in (Verdict.RELINK, Verdict.LOGIN) or target in self._doubts:
            return outcome
        # If the session is dead the message went nowhere and waits for the next one. But a single room can answer
        # so for ever, too: then it is about that room, and not worth a login.
        self._doubts[target] = _Doubt(outcome.reason, trio.current_time())
        return self._doubted(target) or outcome

    def _doubted(self, target: Target) -> Later | None:
        """Return for how long a room must wait because it is in doubt whether the session is over; None for not at all.

        If it is not, the next send is tried once more; then the code is believed, and is that message's outcome.
        """
        doubt = self._doubts.get(target)
        if doubt is None or doubt.believed:
            return None
        if self._proved(doubt.at):
            self._doubts[target] = attrs.evolve(doubt, believed=True)
            return None
        return Later(
            DOUBT_AGAIN, Scope.ROOM, f"{doubt.reason}, and no poll has said yet whether the session is over"
        )

    async def _prepare(self, flow: Callable[[], Flow[T]]) -> T:
        """Do *flow*, and once again if the service stumbled: a second look is cheaper than a lost message."""
        try:
            return await self._calls.drive(self._session, flow())
        except TransientError:
            await trio.sleep(PREPARE_AGAIN)
            return await self._calls.drive(self._session, flow())

    def _varied(self, target: Target, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Return *segments*, marked when they are what was sent to *target* last."""
        same = self._vary and self._last_sent.get(target) == segments
        return (*segments, Text(INVISIBLE)) if same else segments

    async def _send_more(self, kind: str, target: int) -> dict[str, object]:
        """Return the further fields of a send: the signature for a stranger (§11).

        Raises:
            ProtocolError: The service gives none.
        """
        room = self._look_ups.roster.common_room(target) if kind == "sess" else None
        if room is None:
            return {}
        made, value = self._signatures.get(target, (0.0, ""))
        if not value or trio.current_time() - made > SIGNATURE_LIFE:
            value = await self._prepare(
                lambda: manage.session_signature(self._session, room[0], target, room[1])
            )
            self._signatures[target] = (trio.current_time(), value)
        return {"group_sig": value, "service_type": room[1]}

    async def _upload(self, segments: Sequence[Segment], kind: str, target: int) -> dict[Image, Uploaded]:
        """Give the service the pictures in *segments*.

        Raises:
            Refuse: One of them cannot be sent; the reason says why.
        """
        images = [segment for segment in segments if isinstance(segment, Image) and segment.content]
        if not images:
            return {}
        if not self._session.profile.repeats_ids:
            raise Refuse("SmartQQ cannot send pictures")
        uploaded = {}
        for image in images:
            if len(image.content) > MAX_PICTURE:
                raise Refuse(f"the picture has {len(image.content)} bytes, at most {MAX_PICTURE} can be sent")
            if not pictures.picture_type(image.content):
                raise Refuse("this is not a picture: png, gif, jpg, bmp or webp")
            try:
                uploaded[image] = await self._prepare(
                    functools.partial(self._upload_one, kind, target, image.content)
                )
            except (ProtocolError, TransientError) as exc:
                raise Refuse(f"the picture was not taken: {exc}") from exc
        await trio.sleep(self._calls.spread)
        return uploaded

    def _upload_one(self, kind: str, target: int, content: bytes) -> Flow[Uploaded]:
        if kind in ("buddy", "sess"):
            return pictures.upload_for_friend(self._session, target, content)
        return pictures.upload_for_group(self._session, content)

    def _picture_fields(self, kind: str, target: int) -> dict[str, object]:
        """Return what a send with a picture says about its group (§11)."""
        group = self._look_ups.roster.groups.get(target)
        return {"group_code": group.code} if kind == "group" and group is not None else {}
