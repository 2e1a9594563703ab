"""Test kit for plugin authors: a whole bot on an in-memory network and on virtual time."""

from qqops.testing.bot import BotUnderTest
from qqops.testing.bots import Bots
from qqops.testing.heard import Said
from qqops.testing.http import HttpCall, HttpUnderTest
from qqops.testing.people import RoomUnderTest, UserUnderTest
from qqops.testing.virtual import VirtualClock, run_virtual

__all__ = [
    "BotUnderTest",
    "Bots",
    "HttpCall",
    "HttpUnderTest",
    "RoomUnderTest",
    "Said",
    "UserUnderTest",
    "VirtualClock",
    "run_virtual",
]
