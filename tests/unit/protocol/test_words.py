import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.protocol.words import MAX_WORDS, option_text, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b", ["a", "b"]),
        ("  a\u3000b\t c\n", ["a", "b", "c"]),
        ('"my svc" x', ["my svc", "x"]),
        ("“my svc” 「你 好」", ["my svc", "你 好"]),
        ("--env='a b'", ["--env=a b"]),
        ("it's fine", ["it's", "fine"]),
        ('"never closed', ['"never', "closed"]),
        ('""', [""]),
        ("", []),
    ],
)
def test_words(line, words):
    assert [w.text for w in split(line)] == words


def test_words_remember_where_they_stood():
    line = 'x "a b" c'
    assert [line[w.start : w.end] for w in split(line)] == ["x", '"a b"', "c"]


def test_more_words_than_anybody_means_become_one():
    """Ten thousand words are split in bounded work, and nothing is lost."""
    words = split("w " * 10_000)
    assert len(words) == MAX_WORDS
    assert words[-1].text.split().count("w") == 10_000 - MAX_WORDS + 1


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("--env", "--env"), ("-e", "-e"), ("——env", "--env"), ("—env", "--env"), ("－e", "-e"),
        ("-5", None), ("-.5", None), ("-", None), ("--", None), ("a-b", None), ("--env=x", "--env=x"),
    ],
)  # fmt: skip
def test_options(word, option):
    """Dashes that an input method joined count as two; negative numbers are values."""
    assert option_text(split(word)[0]) == option


def test_quoted_words_are_values():
    assert option_text(split('"--env"')[0]) is None


@given(st.text())
def test_any_text_is_split_and_positions_hold(line):
    last = 0
    for word in split(line):
        assert last <= word.start < word.end <= len(line)
        last = word.end
