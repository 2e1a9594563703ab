"""What may be said: a string, a segment, or several of both."""

import pytest

from qqops.model import AccountRef, Draft, Face, RoomKind, RoomRef, Text

ROOM = RoomRef(AccountRef("memory", "test"), RoomKind.GROUP, "1")


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        ("a", (Text("a"),)),
        (Face(1), (Face(1),)),
        ((Face(1), Text("a")), (Face(1), Text("a"))),
        (("a", Face(1), "b"), (Text("a"), Face(1), Text("b"))),
    ],
)
def test_strings_are_texts_wherever_they_stand(content, segments):
    assert Draft.of(ROOM, content).segments == segments
