"""What holds for the whole bot, and how a run of it ended."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from qqops.runtime.dispatch_policy import DispatchPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.questions import Place
from qqops.runtime.storage.blobs import BlobPolicy
from qqops.runtime.storage.journal import JournalPolicy
from qqops.runtime.web import HttpPolicy


class End(enum.Enum):
    """How a run of the bot ended."""

    #: Asked to stop, and everything was finished.
    CLEAN = "clean"
    #: Asked to stop, and the grace time was not enough for what still ran.
    CUT = "cut"
    #: No account can go on.
    NO_ACCOUNTS = "no accounts"


@attrs.frozen(kw_only=True)
class AppPolicy:
    """What holds for the whole bot.

    Attributes:
        commands: Which plugin a command's plain name belongs to, where several have one of it.
        grace_seconds: How long a shutdown waits for handlers and replies.
        http: What plugins may call.
        access: Who may do what, by the settings.
        claim_owner: Whether a bot without an owner puts a code into the log that makes somebody its owner.
        ask_in: Rooms in which questions to a person are put, besides the terminal.
        ask_missing: Whether a command that lacks an argument asks for it.
        seed: Seed of the random generator (jitter), or None for a different one each time.
    """

    prefixes: tuple[str, ...] = ("/", "／")
    commands: Mapping[str, str] = attrs.field(factory=dict)
    rooms: RoomSettings = attrs.field(factory=RoomSettings)
    dispatch: DispatchPolicy = attrs.field(factory=DispatchPolicy)
    journal: JournalPolicy = attrs.field(factory=JournalPolicy)
    blobs: BlobPolicy = attrs.field(factory=BlobPolicy)
    http: HttpPolicy = attrs.field(factory=HttpPolicy)
    access: AccessPolicy = attrs.field(factory=AccessPolicy)
    claim_owner: bool = False
    grace_seconds: float = 10.0
    ask_in: tuple[Place, ...] = ()
    ask_missing: bool = True
    seed: int | None = None
