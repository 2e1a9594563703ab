"""What an account can be asked to do, besides sending."""

from __future__ import annotations

import attrs

from qqops.model.events import FileOffered
from qqops.model.message import File, Segment
from qqops.model.people import AccountRef, MessageRef, PersonRef, RequestRef, RoomKind, RoomRef


@attrs.frozen(kw_only=True)
class Action:
    """Something an account is asked to do. A network may have actions of its own: subclasses."""

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        raise NotImplementedError

    @property
    def kind(self) -> RoomKind:
        """In what kind of room; private for what concerns a person, or the account alone."""
        return RoomKind.PRIVATE


@attrs.frozen(kw_only=True)
class OfAccount(Action):
    """An action on the account itself."""

    account: AccountRef


@attrs.frozen(kw_only=True)
class OnPerson(Action):
    """An action on a person, wherever they are."""

    person: PersonRef

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        return self.person.account


@attrs.frozen(kw_only=True)
class InRoom(Action):
    """An action in or on a room."""

    room: RoomRef

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        return self.room.account

    @property
    def kind(self) -> RoomKind:
        """In what kind of room."""
        return self.room.kind


@attrs.frozen(kw_only=True)
class OnMessage(Action):
    """An action on a message."""

    message: MessageRef

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        return self.message.room.account

    @property
    def kind(self) -> RoomKind:
        """In what kind of room."""
        return self.message.room.kind


@attrs.frozen(kw_only=True)
class Answer(Action):
    """Accept or refuse a `FriendRequest`, `JoinRequest` or `GroupInvite`.

    Attributes:
        text: Why not, where the network passes that on.
        remark: What a new friend is to be called.
    """

    request: RequestRef
    accept: bool
    text: str = ""
    remark: str = ""

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        return self.request.account


@attrs.frozen(kw_only=True)
class RefuseFile(Action):
    """Do not take an offered file. To take it, fetch it."""

    offer: FileOffered

    @property
    def account(self) -> AccountRef:
        """Which account shall do it."""
        return self.offer.room.ref.account


@attrs.frozen(kw_only=True)
class AddFriend(OnPerson):
    """Ask *person* to become a friend."""

    text: str = ""


@attrs.frozen(kw_only=True)
class RemoveFriend(OnPerson):
    """End a friendship; *both* also takes the account out of the other's list."""

    both: bool = False


@attrs.frozen(kw_only=True)
class SetRemark(OnPerson):
    """Call a friend *text* in the account's own list."""

    text: str


@attrs.frozen(kw_only=True)
class SetRoomRemark(InRoom):
    """Call a room *text* in the account's own list."""

    text: str


@attrs.frozen(kw_only=True)
class SetCard(InRoom):
    """Be called *text* in a room."""

    text: str


@attrs.frozen(kw_only=True)
class JoinRoom(InRoom):
    """Ask to be let into a room, by its permanent number."""

    text: str = ""


@attrs.frozen(kw_only=True)
class LeaveRoom(InRoom):
    """Leave a room."""


@attrs.frozen(kw_only=True)
class SetStatus(OfAccount):
    """Be seen as *status*: online, away, busy, callme, silent or hidden."""

    status: str


@attrs.frozen(kw_only=True)
class SetSignature(OfAccount):
    """Have *text* as the line below the account's name."""

    text: str


@attrs.frozen(kw_only=True)
class ShowTyping(InRoom):
    """Let the other side of a private chat see that the account is writing."""


@attrs.frozen(kw_only=True)
class Poke(InRoom):
    """Shake the window of *person* in a room, or of the other side of a private chat."""

    person: PersonRef | None = None


@attrs.frozen(kw_only=True)
class Edit(OnMessage):
    """Let a message of the account say something else."""

    segments: tuple[Segment, ...]


@attrs.frozen(kw_only=True)
class Upload(InRoom):
    """Put a file where the people of a room find it."""

    file: File


@attrs.frozen(kw_only=True)
class Recall(OnMessage):
    """Take a message back: the account's own, or another's where it may."""


@attrs.frozen(kw_only=True)
class Mute(InRoom):
    """Let *person* not speak for *seconds*; 0 lifts it. Without a person, everybody: any seconds but 0 mean until lifted."""

    person: PersonRef | None = None
    seconds: int = 600


@attrs.frozen(kw_only=True)
class Kick(InRoom):
    """Put somebody out of a room; *ban* keeps them from asking to come in again."""

    person: PersonRef
    ban: bool = False


@attrs.frozen(kw_only=True)
class SetAdmin(InRoom):
    """Make somebody an administrator of a room, or no longer one."""

    person: PersonRef
    on: bool = True


@attrs.frozen(kw_only=True)
class SetMemberCard(InRoom):
    """Call *person* *text* in a room."""

    person: PersonRef
    text: str


@attrs.frozen(kw_only=True)
class SetTitle(InRoom):
    """Give *person* the title *text* in a room; "" takes it away."""

    person: PersonRef
    text: str


@attrs.frozen(kw_only=True)
class SetRoomName(InRoom):
    """Call a room *text*, for everybody."""

    text: str


@attrs.frozen(kw_only=True)
class React(OnMessage):
    """Put the sign *code* to a message, or take it away; codes are the network's own."""

    code: str
    on: bool = True


@attrs.frozen(kw_only=True)
class Highlight(OnMessage):
    """Keep a message in view for the room, or no longer."""

    on: bool = True


@attrs.frozen(kw_only=True)
class Announce(InRoom):
    """Put *text* on the notice board of a room."""

    text: str
