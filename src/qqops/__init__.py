"""qqops: a plugin-driven chatops framework for QQ.

This is the door for plugin authors: everything they need is imported from here, and nothing here starts
anything. The house behind it has floors; `qqops.app` shows how they are wired.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from qqops.errors import (
    AdapterError,
    ConfigError,
    FatalError,
    NeedsHuman,
    PluginError,
    ProtocolError,
    QQOpsError,
    Refuse,
    TransientError,
)
from qqops.model import (
    AccountRef,
    At,
    Connected,
    Delivery,
    Disconnected,
    Draft,
    Event,
    Face,
    FriendRequest,
    Image,
    Joined,
    Left,
    Limits,
    Message,
    MessageRef,
    Other,
    Outcome,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    User,
)
from qqops.plugin import Arg, Build, Group, Opt, Plugin, Rest, hookimpl
from qqops.runtime.context import Context
from qqops.runtime.info import BotInfo, CommandInfo, Commands
from qqops.runtime.observe import LinkState, Phase
from qqops.runtime.rooms import Rooms
from qqops.texts import Say

__version__ = "0.1.0"

#: Short name of `Context` for signatures.
Ctx: TypeAlias = Context
#: The rest of a filter's chain.
Next: TypeAlias = Callable[[], Awaitable[None]]

__all__ = [
    "AccountRef",
    "AdapterError",
    "Arg",
    "At",
    "BotInfo",
    "Build",
    "CommandInfo",
    "Commands",
    "ConfigError",
    "Connected",
    "Context",
    "Ctx",
    "Delivery",
    "Disconnected",
    "Draft",
    "Event",
    "Face",
    "FatalError",
    "FriendRequest",
    "Group",
    "Image",
    "Joined",
    "Left",
    "Limits",
    "LinkState",
    "Message",
    "MessageRef",
    "NeedsHuman",
    "Next",
    "Opt",
    "Other",
    "Outcome",
    "PersonRef",
    "Phase",
    "Plugin",
    "PluginError",
    "ProtocolError",
    "QQOpsError",
    "Refuse",
    "Rest",
    "Room",
    "RoomKind",
    "RoomRef",
    "Rooms",
    "Say",
    "Segment",
    "Text",
    "TransientError",
    "User",
    "hookimpl",
]
