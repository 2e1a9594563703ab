"""Frozen values that all floors speak: people, messages, events, actions."""

from qqops.model.actions import Delivery, Limits, Outcome, combine
from qqops.model.clock import Clock
from qqops.model.events import IN_ROOM, Connected, Disconnected, Event, FriendRequest, Joined, Left
from qqops.model.message import At, Draft, Face, Image, Message, Other, Segment, Text, plain
from qqops.model.people import AccountRef, MessageRef, PersonRef, Room, RoomKind, RoomRef, User
from qqops.model.secret import Secret

__all__ = [
    "IN_ROOM",
    "AccountRef",
    "At",
    "Clock",
    "Connected",
    "Delivery",
    "Disconnected",
    "Draft",
    "Event",
    "Face",
    "FriendRequest",
    "Image",
    "Joined",
    "Left",
    "Limits",
    "Message",
    "MessageRef",
    "Other",
    "Outcome",
    "PersonRef",
    "Room",
    "RoomKind",
    "RoomRef",
    "Secret",
    "Segment",
    "Text",
    "User",
    "combine",
    "plain",
]
