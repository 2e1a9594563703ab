"""qqops: a plugin-driven chatops framework for QQ.

This is the door for plugin authors: everything they need is imported from here, and nothing here starts
anything. The house behind it has floors; `qqops.app` shows how they are wired.

A name is loaded when it is asked for, so that who takes two of them, or a module below, does not wait for all the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from qqops import _light  # noqa: F401 - first of all

if TYPE_CHECKING:
    from qqops.adapters.http.exchange import HttpAnswer, HttpRequest
    from qqops.errors import (
        AdapterError,
        AnswerCancelled,
        AnswerExpired,
        ConfigError,
        ContentLost,
        FatalError,
        NeedsHuman,
        NoAnswer,
        PluginError,
        ProtocolError,
        QQOpsError,
        Refuse,
        RunEnded,
        StoreError,
        TransientError,
    )
    from qqops.model import (
        AccountEvent,
        AccountRef,
        Action,
        AddFriend,
        AdminChanged,
        Announce,
        Answer,
        At,
        AtAll,
        Blob,
        Capabilities,
        CardChanged,
        Connected,
        Delivery,
        Disconnected,
        Draft,
        Edit,
        Edited,
        Event,
        Face,
        File,
        FileOffered,
        Forward,
        FriendAdded,
        FriendRemoved,
        FriendRequest,
        GroupInvite,
        Highlight,
        Highlighted,
        Image,
        Joined,
        JoinRequest,
        JoinRoom,
        Kick,
        LeaveRoom,
        Left,
        Medium,
        MemberRole,
        Message,
        MessageRef,
        Mute,
        Muted,
        Node,
        Notice,
        Other,
        Outcome,
        Pace,
        PersonEvent,
        PersonRef,
        Poke,
        Poked,
        Presence,
        Profile,
        Quoted,
        React,
        Reacted,
        Recall,
        Recalled,
        RefuseFile,
        RemoveFriend,
        RequestRef,
        Room,
        RoomEvent,
        RoomKind,
        RoomRef,
        RoomRenamed,
        Secret,
        Segment,
        SetAdmin,
        SetCard,
        SetMemberCard,
        SetRemark,
        SetRoomName,
        SetRoomRemark,
        SetSignature,
        SetStatus,
        SetTitle,
        ShowTyping,
        Text,
        Typing,
        Upload,
        User,
        Video,
        Voice,
        fit,
    )
    from qqops.plugin import Arg, Build, Conversion, Group, Json, Opt, Plugin, Quote, Rest, Url, hookimpl
    from qqops.plugin._reports import PluginReport, PluginState
    from qqops.plugin.plugins import PluginChange, PluginInfo, Plugins
    from qqops.runtime.access import Access, Change
    from qqops.runtime.accounts import Accounts
    from qqops.runtime.aliases import Alias, Aliases
    from qqops.runtime.approvals import Approvals
    from qqops.runtime.audit import Audit
    from qqops.runtime.context import Context, Ctx
    from qqops.runtime.declared import Approval, Limit
    from qqops.runtime.files import Files
    from qqops.runtime.gate import Request
    from qqops.runtime.info import BotInfo, CommandInfo, Commands
    from qqops.runtime.jobs import JobInfo, Jobs
    from qqops.runtime.links import Links
    from qqops.runtime.listener import Listeners
    from qqops.runtime.locks import Lock, Locks
    from qqops.runtime.observe import Expired, Interrupted, LinkState, Overflow, Phase
    from qqops.runtime.questions import Questions
    from qqops.runtime.rooms import Rooms
    from qqops.runtime.rules import Effect, Rule
    from qqops.runtime.shelves import Logger
    from qqops.runtime.storage.blobs import Blobs
    from qqops.runtime.storage.kv import KV, Transaction
    from qqops.runtime.sync_context import SyncCtx
    from qqops.runtime.web import HTTP, Reply
    from qqops.runtime.why import Decision
    from qqops.texts import Say

__version__ = "0.1.0"

#: The rest of a filter's chain.
Next: TypeAlias = Callable[[], Awaitable[None]]

#: Where a name comes from, below this package; what is not listed here comes from `model`.
_HOMES = {
    "HttpAnswer": "adapters.http.exchange", "HttpRequest": "adapters.http.exchange",
    "AdapterError": "errors", "AnswerCancelled": "errors", "AnswerExpired": "errors", "ConfigError": "errors",
    "ContentLost": "errors", "FatalError": "errors", "NeedsHuman": "errors", "NoAnswer": "errors",
    "PluginError": "errors", "ProtocolError": "errors", "QQOpsError": "errors", "Refuse": "errors",
    "RunEnded": "errors", "StoreError": "errors", "TransientError": "errors",
    "Arg": "plugin", "Build": "plugin", "Conversion": "plugin", "Group": "plugin", "Json": "plugin",
    "Opt": "plugin", "Plugin": "plugin", "Quote": "plugin", "Rest": "plugin", "Url": "plugin",
    "hookimpl": "plugin",
    "PluginReport": "plugin._reports", "PluginState": "plugin._reports",
    "PluginChange": "plugin.plugins", "PluginInfo": "plugin.plugins", "Plugins": "plugin.plugins",
    "Access": "runtime.access", "Change": "runtime.access",
    "Accounts": "runtime.accounts",
    "Alias": "runtime.aliases", "Aliases": "runtime.aliases",
    "Approvals": "runtime.approvals",
    "Audit": "runtime.audit",
    "Context": "runtime.context", "Ctx": "runtime.context",
    "Approval": "runtime.declared", "Limit": "runtime.declared",
    "Files": "runtime.files",
    "Request": "runtime.gate",
    "BotInfo": "runtime.info", "CommandInfo": "runtime.info", "Commands": "runtime.info",
    "JobInfo": "runtime.jobs", "Jobs": "runtime.jobs",
    "Links": "runtime.links",
    "Listeners": "runtime.listener",
    "Lock": "runtime.locks", "Locks": "runtime.locks",
    "Expired": "runtime.observe", "Interrupted": "runtime.observe", "LinkState": "runtime.observe",
    "Overflow": "runtime.observe", "Phase": "runtime.observe",
    "Questions": "runtime.questions",
    "Rooms": "runtime.rooms",
    "Effect": "runtime.rules", "Rule": "runtime.rules",
    "Logger": "runtime.shelves",
    "Blobs": "runtime.storage.blobs",
    "KV": "runtime.storage.kv", "Transaction": "runtime.storage.kv",
    "SyncCtx": "runtime.sync_context",
    "HTTP": "runtime.web", "Reply": "runtime.web",
    "Decision": "runtime.why",
    "Say": "texts",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
    globals()[name] = found  # so that this is the only time
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "HTTP",
    "KV",
    "Access",
    "AccountEvent",
    "AccountRef",
    "Accounts",
    "Action",
    "AdapterError",
    "AddFriend",
    "AdminChanged",
    "Alias",
    "Aliases",
    "Announce",
    "Answer",
    "AnswerCancelled",
    "AnswerExpired",
    "Approval",
    "Approvals",
    "Arg",
    "At",
    "AtAll",
    "Audit",
    "Blob",
    "Blobs",
    "BotInfo",
    "Build",
    "Capabilities",
    "CardChanged",
    "Change",
    "CommandInfo",
    "Commands",
    "ConfigError",
    "Connected",
    "ContentLost",
    "Context",
    "Conversion",
    "Ctx",
    "Decision",
    "Delivery",
    "Disconnected",
    "Draft",
    "Edit",
    "Edited",
    "Effect",
    "Event",
    "Expired",
    "Face",
    "FatalError",
    "File",
    "FileOffered",
    "Files",
    "Forward",
    "FriendAdded",
    "FriendRemoved",
    "FriendRequest",
    "Group",
    "GroupInvite",
    "Highlight",
    "Highlighted",
    "HttpAnswer",
    "HttpRequest",
    "Image",
    "Interrupted",
    "JobInfo",
    "Jobs",
    "JoinRequest",
    "JoinRoom",
    "Joined",
    "Json",
    "Kick",
    "LeaveRoom",
    "Left",
    "Limit",
    "LinkState",
    "Links",
    "Listeners",
    "Lock",
    "Locks",
    "Logger",
    "Medium",
    "MemberRole",
    "Message",
    "MessageRef",
    "Mute",
    "Muted",
    "NeedsHuman",
    "Next",
    "NoAnswer",
    "Node",
    "Notice",
    "Opt",
    "Other",
    "Outcome",
    "Overflow",
    "Pace",
    "PersonEvent",
    "PersonRef",
    "Phase",
    "Plugin",
    "PluginChange",
    "PluginError",
    "PluginInfo",
    "PluginReport",
    "PluginState",
    "Plugins",
    "Poke",
    "Poked",
    "Presence",
    "Profile",
    "ProtocolError",
    "QQOpsError",
    "Questions",
    "Quote",
    "Quoted",
    "React",
    "Reacted",
    "Recall",
    "Recalled",
    "Refuse",
    "RefuseFile",
    "RemoveFriend",
    "Reply",
    "Request",
    "RequestRef",
    "Rest",
    "Room",
    "RoomEvent",
    "RoomKind",
    "RoomRef",
    "RoomRenamed",
    "Rooms",
    "Rule",
    "RunEnded",
    "Say",
    "Secret",
    "Segment",
    "SetAdmin",
    "SetCard",
    "SetMemberCard",
    "SetRemark",
    "SetRoomName",
    "SetRoomRemark",
    "SetSignature",
    "SetStatus",
    "SetTitle",
    "ShowTyping",
    "StoreError",
    "SyncCtx",
    "Text",
    "Transaction",
    "TransientError",
    "Typing",
    "Upload",
    "Url",
    "User",
    "Video",
    "Voice",
    "fit",
    "hookimpl",
]
