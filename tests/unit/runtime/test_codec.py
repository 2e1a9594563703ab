"""What the journal writes of messages and drafts: whatever a network put into them, and nothing that ends a session."""

import datetime

import pytest

from qqops.errors import StoreError
from qqops.model import (
    AccountRef,
    Draft,
    Message,
    Other,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Text,
    User,
)
from qqops.runtime.storage import codec
from qqops.runtime.storage.journal import Journal, JournalPolicy
from qqops.runtime.storage.store import Write
from qqops.testing.virtual import EPOCH, VirtualClock

ME = AccountRef("onebot11", "main")
ROOM = Room(ref=RoomRef(ME, RoomKind.GROUP, "30001"), name="ops")


def message(data):
    return Message(
        id="1", room=ROOM, sender=User(ref=PersonRef(ME, "2"), name="Ali"),
        segments=(Text("hi"), Other("card", data)), at=EPOCH + datetime.timedelta(seconds=0.25),
    )  # fmt: skip


def nested(depth):
    data = value = []
    for _ in range(depth):
        value.append([])
        value = value[0]
    return data


@pytest.mark.parametrize(
    "data", [None, {"a": [1, 2.5, "x", None, True]}, "\ud800", {"\ud800": "\udc00"}, nested(50), 10**400]
)
def test_what_a_network_named_itself_comes_back(data):
    assert codec.load_message(codec.dump(message(data))) == message(data)


@pytest.mark.parametrize("data", [nested(100_000), object(), {1, 2}], ids=["deep", "object", "set"])
def test_what_cannot_be_written_or_read_is_said(data):
    with pytest.raises(StoreError):
        codec.load_message(codec.dump(message(data)))


class Written:
    """A store that remembers."""

    def __init__(self):
        self.writes = []

    def write(self, statement, values, first=None):
        self.writes.append(values)
        return Write(self, ((statement, values),), True, first)


async def test_what_cannot_be_stored_is_handled_and_sent_without_a_journal(capsys):
    store = Written()
    journal = Journal(store, VirtualClock(), JournalPolicy())
    assert journal.accepted(message(nested(100_000)), [("a:b", -1), ("a:c", -1)]) == [0, 0]
    assert journal.queued(ME, Draft(room=ROOM.ref, segments=(Other("card", object()),)), "a", "1") == 0
    assert store.writes == []
    assert capsys.readouterr().out.count("a restart would not know") == 2
    assert all(journal.accepted(message(None), [("a:b", -1), ("a:c", -1)]))
