"""Test kit for plugin authors: a whole bot on an in-memory network and on virtual time."""

from qqops.testing.bots import Bots, BotUnderTest, RoomUnderTest, UserUnderTest
from qqops.testing.virtual import VirtualClock, run_virtual

__all__ = ["BotUnderTest", "Bots", "RoomUnderTest", "UserUnderTest", "VirtualClock", "run_virtual"]
