"""Where long texts are cut."""

import re
import unicodedata

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from qqops.model.cut import pieces

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAGS = "🇨🇳🇩🇪🇫🇷"


def cut(text, most):
    return [piece for piece, _ in pieces(text, lambda index: most)]


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize(("text", "most", "wanted"), [
    ("one two three four", 10, ["one two", "three four"]),
    ("甲乙丙丁戊己庚辛", 9, ["甲乙丙", "丁戊己", "庚辛"]),
    ("first line\nsecond line", 14, ["first line", "second line"]),
    ("Well then. This is it", 14, ["Well then.", "This is it"]),
    ("你好朋友。我们走吧", 24, ["你好朋友。", "我们走吧"]),
    ("我们都很喜欢写python编程", 24, ["我们都很喜欢写", "python编程"]),
    ("你们好吗，我很好", 14, ["你们好", "吗，我很", "好"]),  # no line begins with a comma
    ("a" * 25, 10, ["a" * 10, "a" * 10, "a" * 5]),
    ("  indented\n    more\n  end", 13, ["  indented", "    more", "  end"]),
    ("x\n\n\n\n\n\n\n\n\n\n\n\n\ny", 5, ["x", "y"]),
    (" \n \n  ", 4, []),
    ("", 4, []),
])  # fmt: skip
def test_a_text_is_cut_on_borders(text, most, wanted):
    assert cut(text, most) == wanted


@pytest.mark.parametrize("whole", [
    "https://example.org/a?b=1;c=2,d=3#e.f", "1,234,567", "192.168.100.200", "2026-12-01", "12:30:45.123",
    "ftp://files.example.org/pub/x.tar.gz",
])  # fmt: skip
@pytest.mark.parametrize("before", range(0, 40, 3))
@pytest.mark.parametrize("glue", [" ", "看这里：", "("])
def test_addresses_and_numbers_stay_whole(whole, before, glue):
    found = cut("x" * before + glue + whole + " and so on, and so on", 45)
    assert sum(whole in piece for piece in found) == 1, found


def test_an_address_that_is_longer_than_a_message_is_cut_all_the_same():
    address = "https://example.org/" + "a" * 100
    found = cut(f"see {address} now", 50)
    assert squeezed("".join(found)) == f"see{address}now"
    assert all(len(piece) <= 50 for piece in found)


@pytest.mark.parametrize("sign", [FAMILY, "🇨🇳", "👍🏽", "e\u0301", "❤\ufe0f", "한", "क्षि", "1️⃣"])
@pytest.mark.parametrize("most", [25, 26, 27, 31, 40])
def test_what_is_seen_as_one_sign_stays_whole(sign, most):
    text = sign * 20
    for piece in cut(text, most):
        assert piece.count(sign) * len(sign) == len(piece)


def test_flags_in_a_row_keep_their_pairs():
    for most in range(8, 60):
        for piece in cut(FLAGS * 7, most):
            assert all(flag in (FLAGS[:2], FLAGS[2:4], FLAGS[4:]) for flag in wcwidth.iter_graphemes(piece))


def test_a_sign_that_is_longer_than_a_message_does_not_explode():
    monster = "a" + "\u0301" * 5000
    found = cut(monster, 718)
    assert (len(found), "".join(found)) == (14, monster)


CODE = """Look at this:
```python
def f(x):
    if x:
        return 1
    return 2

for i in range(10):
    print(f(i))
```
That is it."""


@pytest.mark.parametrize("most", range(60, 200, 7))
def test_a_block_of_code_keeps_its_indentation_and_its_fence(most):
    found = cut(CODE, most)
    lines = []
    for piece in found:
        assert len(piece) <= most
        fences = re.findall(r"^```\w*$", piece, re.MULTILINE)
        assert len(fences) % 2 == 0, piece
        assert all(fence == ("```python", "```")[i % 2] for i, fence in enumerate(fences)), piece
        assert "```python\n```" not in piece, "no block is empty"
        lines += [line for line in piece.splitlines() if line and not line.startswith("```")]
    assert lines == [line for line in CODE.splitlines() if line and not line.startswith("```")]


def test_a_fence_that_costs_too_much_is_left_alone():
    assert "".join("".join(cut(CODE, 20)).split()) == squeezed(CODE)


TEXTS = st.text(
    st.sampled_from([*"ab.,:;!?()1 2\n\t`~#", "。", "，", "中", "文", "\u0301", "\u200d", "👍", "🏽", "🇨", "🇳", "é"]),
    max_size=300,
)  # fmt: skip


@given(st.one_of(TEXTS, st.text(st.characters(blacklist_categories=["Cs"]))), st.integers(8, 100))
def test_pieces_fit_and_lose_nothing_but_white_space_at_the_cuts(text, most):
    text = text.replace("```", "").replace("~~~", "")
    at, found = 0, []
    for piece, end in pieces(text, lambda index: most):
        start = text.index(piece.strip(), at)
        assert not text[at:start].strip()
        found.append(piece)
        at = end
    assert not text[at:].strip()
    assert all(piece.strip() and len(piece.encode()) <= most for piece in found)
    assert squeezed("".join(found)) == squeezed(text)


@given(
    st.lists(st.sampled_from(["x", "word", "中文", FAMILY, "🇨🇳", "e\u0301", " ", "\n", ". "]), max_size=80),
    st.integers(25, 60),
)
def test_no_sign_is_torn(parts, most):
    text = "".join(parts)
    whole = [sign for sign in wcwidth.iter_graphemes(text) if not sign.isspace()]
    seen = [sign for piece in cut(text, most) for sign in wcwidth.iter_graphemes(piece) if not sign.isspace()]
    assert seen == whole


@given(
    st.lists(st.sampled_from(["\ud800", "\ud801", "word ", "中", "x" * 30]), max_size=40), st.integers(20, 60)
)
def test_marks_weigh_what_they_stand_for(parts, most):
    marks = {chr(0xD800): 17, chr(0xD801): 0}
    found = [piece for piece, _ in pieces("".join(parts), lambda index: most, marks)]
    for piece in found:
        assert sum(marks[c] if c in marks else len(c.encode()) for c in piece) <= most
    assert squeezed("".join(found)) == squeezed("".join(parts))


def test_every_piece_has_a_limit_of_its_own():
    found = [piece for piece, _ in pieces("aaaa bbbb cccc", lambda index: (10, 4)[index > 0])]
    assert found == ["aaaa bbbb", "cccc"]


def test_no_category_of_characters_is_a_surprise():
    every = {unicodedata.category(chr(c)): chr(c) for c in range(0x11000) if not 0xD800 <= c < 0xE000}
    text = "".join(every.values()) * 10
    assert squeezed("".join(cut(text, 40))) == squeezed(text)
