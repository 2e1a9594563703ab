"""Sending in one WebQQ session: messages, the pictures in them, and what strangers need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from qqops.adapters._webqq_calls import Calls
from qqops.adapters._webqq_lookups import LookUps
from qqops.errors import NotSent, ProtocolError, Refuse, TransientError
from qqops.model import Delivery, Draft, Image, Outcome, Segment, Text
from qqops.protocol.webqq import manage, pictures, send
from qqops.protocol.webqq.classify import Verdict
from qqops.protocol.webqq.flow import Flow
from qqops.protocol.webqq.pictures import MAX_PICTURE, Uploaded
from qqops.protocol.webqq.session import Session

#: What makes two equal messages differ: a zero-width space.
INVISIBLE = "\u200b"
#: Seconds for which the signature of a chat with a stranger is used again (webqq.md §12.3).
SIGNATURE_LIFE = 300.0


class Sends:
    """Sends of one session.

    Args:
        vary: Whether the second of two equal messages in a row is marked.
        give_up: Called when the service has said that the session is gone.
    """

    def __init__(
        self, session: Session, calls: Calls, look_ups: LookUps, *, vary: bool, give_up: Callable[[], None]
    ) -> None:
        self._session = session
        self._calls = calls
        self._look_ups = look_ups
        self._vary = vary
        self._give_up = give_up
        self._signatures: dict[int, tuple[float, str]] = {}
        self._last_sent: dict[tuple[str, int], tuple[Segment, ...]] = {}
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

    async def send(self, draft: Draft, started: Callable[[], None]) -> Outcome:
        """Send one part; see `qqops.adapters.base.Sender`."""
        target = await self._look_ups.target(draft.room)
        if target is None:
            return Outcome(delivery=Delivery.REFUSED, reason=f"the account knows no room {draft.room.id!r}")
        session = self._session
        try:
            pictures = await self._upload(draft.segments, *target)
            more = await self._send_more(*target)
        except Refuse as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=exc.text)
        except ProtocolError as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        except TransientError as exc:
            raise NotSent(str(exc)) from exc
        if pictures:
            more |= self._picture_fields(*target)
        request = send.request(session, *target, self._varied(target, draft.segments), pictures, more)
        if self._leaving:
            await trio.sleep_forever()  # it stays in the queue: the next session sends it
        started()
        self._wire_free = trio.Event()
        try:
            response = await self._calls.call(session, request)
        except NotSent:
            raise
        except (TransientError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        finally:
            self._wire_free.set()
        outcome, verdict = send.read(session, response)
        if verdict in (Verdict.RELINK, Verdict.LOGIN):
            # The session is dead, and so the message went nowhere: it waits for the next one.
            if verdict is Verdict.LOGIN:
                self._give_up()
            raise NotSent(f"a send was refused: {outcome.reason}")
        return outcome

    def _varied(self, target: tuple[str, int], segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Return *segments*, marked when they are what was sent to *target* last."""
        if self._vary and self._last_sent.get(target) == segments:
            segments = (*segments, Text(INVISIBLE))
        self._last_sent[target] = segments
        return segments

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
            flow = manage.session_signature(self._session, room[0], target, room[1])
            value = await self._calls.drive(self._session, flow)
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
                raise Refuse("this is no picture: png, gif, jpg, bmp or webp")
            flow: Flow[Uploaded]
            if kind in ("buddy", "sess"):
                flow = pictures.upload_for_friend(self._session, target, image.content)
            else:
                flow = pictures.upload_for_group(self._session, image.content)
            try:
                uploaded[image] = await self._calls.drive(self._session, flow)
            except ProtocolError as exc:
                raise Refuse(str(exc)) from exc
        await trio.sleep(self._calls.spread)
        return uploaded

    def _picture_fields(self, kind: str, target: int) -> dict[str, object]:
        """Return what a send with a picture says about its group (§11)."""
        group = self._look_ups.roster.groups.get(target)
        return {"group_code": group.code} if kind == "group" and group is not None else {}
