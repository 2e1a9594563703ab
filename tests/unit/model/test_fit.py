"""From a draft to what a network can take."""

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qqops.model import (
    AccountRef,
    At,
    AtAll,
    Capabilities,
    Draft,
    Face,
    File,
    Forward,
    Image,
    MessageRef,
    Node,
    Other,
    PersonRef,
    Quoted,
    RoomKind,
    RoomRef,
    Text,
    Video,
    Voice,
    fit,
    plain,
)  # fmt: skip

ME = AccountRef("memory", "main")
ROOM = RoomRef(ME, RoomKind.GROUP, "1")
ALI = At(PersonRef(ME, "20001"), "Ali")
SMALL = Capabilities(segments=frozenset({Text, At, AtAll, Face, Image}), max_bytes=40)


def draft(*segments):
    return Draft(room=ROOM, segments=tuple(Text(s) if isinstance(s, str) else s for s in segments))


def said(parts):
    return [plain(part.segments) for part in parts]


@pytest.mark.parametrize(("segment", "words"), [
    (ALI, "@Ali "),
    (AtAll(), "@all "),
    (Face(14), "🙂"),
    (Face(9999), "[face:9999]"),
    (Image("a.png", content=b"1"), "[image]"),
    (Image("a.png", url="https://x.org/a.png"), " https://x.org/a.png "),
    (Image("a.png", url="file:///etc/passwd"), "[image]"),
    (Voice("v"), "[voice]"),
    (Video(url="http://x.org/v"), " http://x.org/v "),
    (File(name="a.txt", url="https://x.org/a.txt"), "[file:a.txt] https://x.org/a.txt "),
    (Forward(nodes=(Node("1", "Ali", (Text("hello"),)), Node("2", "", (Face(14),)))), "Ali: hello\n2: [face:14]"),
    (Other("dice"), "[dice]"),
])  # fmt: skip
def test_what_a_network_does_not_know_is_said_in_words(segment, words):
    [part] = fit(draft("a", segment, "b"), Capabilities())
    assert "".join(one.text for one in part.segments) == f"a{words}b"
    every = Capabilities(segments=frozenset({Text, type(segment)}))
    assert fit(draft("a", segment), every) == [draft("a", segment)]


QUOTED = Quoted(MessageRef(ROOM, "m1"), "Ali", "first\nsecond")


def test_a_quote_is_the_networks_own_where_it_has_them():
    can = Capabilities(segments=frozenset({Text, Quoted}))
    assert fit(draft(QUOTED, "yes"), can) == [attrs.evolve(draft("yes"), reply_to=QUOTED.message)]
    assert fit(draft(QUOTED, " "), can) == [], "a quote alone says nothing"


def test_a_quote_is_lines_where_there_are_none():
    for can in (Capabilities(), Capabilities(max_bytes=1000)):
        [part] = fit(draft(QUOTED, "yes"), can)
        assert plain(part.segments) == "> Ali: first\n> second\nyes"
        assert part.reply_to is None


def test_a_quote_of_another_room_is_lines_everywhere():
    elsewhere = attrs.evolve(QUOTED, message=MessageRef(attrs.evolve(ROOM, id="2"), "m1"))
    [part] = fit(draft(elsewhere, "yes"), Capabilities(segments=frozenset({Text, Quoted})))
    assert plain(part.segments) == "> Ali: first\n> second\nyes"


def test_of_a_long_quote_a_few_lines_are_shown():
    long = attrs.evolve(QUOTED, text="\n".join(["x" * 100] * 5))
    lines = long.words.splitlines()
    assert [len(line) for line in lines] == [83, 83, 85]
    assert lines[0] == f"> Ali: {'x' * 75}…"
    assert attrs.evolve(QUOTED, name="", text="").words == ""


@pytest.mark.parametrize("segments", [(), ("",), ("  \n\t",), ("", " "), ("\u3000",)])
def test_blanks_are_nothing(segments):
    assert fit(draft(*segments), Capabilities()) == []
    assert fit(draft(*segments), SMALL) == []


def test_a_picture_alone_is_something():
    assert len(fit(draft(Image("a")), SMALL)) == 1
    assert len(fit(draft(Image("a"), " "), SMALL)) == 1


def test_only_the_first_part_carries_the_reply():
    one = Draft.of(ROOM, "word " * 30, reply_to=MessageRef(ROOM, "7"))
    parts = fit(one, SMALL)
    assert len(parts) > 1
    assert [part.reply_to is None for part in parts] == [False] + [True] * (len(parts) - 1)


def test_faces_and_pictures_stay_where_they_are_and_weigh_nothing():
    parts = fit(draft("a" * 30, Face(14), "b" * 30), SMALL)
    assert [part.segments for part in parts] == [
        (Text("a" * 30), Face(14), Text("b" * 10)),
        (Text("b" * 20),),
    ]


def test_mentions_weigh_what_is_seen_of_them():
    parts = fit(draft(*[ALI] * 20), SMALL)
    assert [len(part.segments) for part in parts] == [8, 8, 4]


def test_a_mention_that_is_longer_than_a_message_becomes_text():
    long = At(PersonRef(ME, "1"), "名" * 50)
    parts = fit(draft(long), SMALL)
    assert "".join(said(parts)).strip() == "@" + "名" * 50
    assert all(len(text.encode()) <= 40 for text in said(parts))


@pytest.mark.parametrize("most", [1, 2, 8])
def test_a_megabyte_is_cut_and_says_so(most):
    can = Capabilities(max_bytes=718, max_parts=most)
    parts = fit(draft("word and more " * 80_000), can)
    assert len(parts) == most
    texts = said(parts)
    last = texts[-1].splitlines()[-1]
    left = int(last.removeprefix("[… ").removesuffix(" characters left out]").replace(",", ""))
    kept = len("\n".join([*texts[:-1], texts[-1].removesuffix(last)]).rstrip())
    assert abs(kept + left - 14 * 80_000) <= 2 * most
    assert all(len(text.encode()) <= 718 for text in texts)


def test_a_text_of_just_so_many_parts_is_not_cut():
    can = Capabilities(max_bytes=10, max_parts=3)
    assert said(fit(draft("aaaa bbbb cccc dddd eeee ffff"), can)) == ["aaaa bbbb", "cccc dddd", "eeee ffff"]
    assert len(fit(draft("aaaa bbbb cccc dddd eeee ffff g"), can)) == 3


def test_what_is_too_long_becomes_a_file_where_there_are_files():
    can = Capabilities(segments=frozenset({Text, Image, File}), max_bytes=718)
    text = "中文 and more " * 10_000
    [part] = fit(draft(text, Image("a.png")), can)
    picture, file = part.segments
    assert picture == Image("a.png")
    assert file.content.decode() == f"{text}[image]"


PIECES = st.lists(
    st.one_of(
        st.text(st.characters(blacklist_categories=["Cs"]), max_size=60).map(Text),
        st.sampled_from([ALI, AtAll(), Face(14), Image("a"), Other("x"), Voice("v")]),
    ),
    max_size=12,
)


@given(PIECES, st.integers(20, 80), st.integers(1, 5))
@example([Text("\x80" + "𐀀" * 7)], 29, 1)
@example([At(PersonRef(ME, "1"), "x" * 45)] * 3, 50, 1)
def test_no_message_is_above_the_limits(segments, most_bytes, most_parts):
    segments = [
        s for s in segments if not isinstance(s, Text) or ("```" not in s.text and "~~~" not in s.text)
    ]
    can = Capabilities(
        segments=frozenset({Text, At, Face, Image}), max_bytes=most_bytes, max_parts=most_parts
    )
    parts = fit(draft(*segments), can)
    assert len(parts) <= most_parts
    for part in parts:
        assert all(type(one) in can.segments for one in part.segments)
        seen = sum(len(plain((one,)).encode()) for one in part.segments if isinstance(one, Text | At))
        assert seen <= most_bytes
        assert any(not isinstance(one, Text) or one.text.strip() for one in part.segments)
