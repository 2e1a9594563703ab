"""The cores of the official platform: settings, tickets, events of any shape."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qqops import (
    AccountRef,
    ConfigError,
    ProtocolError,
    Text,
)
from qqops.adapter import Secret
from qqops_qqofficial import wire
from qqops_qqofficial.events import Reader
from qqops_qqofficial.options import Options, check, identity
from qqops_qqofficial.passive import MAX_REPLIES, Passive

ME = AccountRef("qqofficial", "main")
GOOD = {"app_id": "102000001", "secret": Secret("DG5g3B4j9X2KOErG"), "api": "http://sim", "room_gap": 0.0,
        "token_url": "http://sim/app/getAppAccessToken"}  # fmt: skip


def test_settings_that_cannot_work():
    for options in (Options(), Options(**{**GOOD, "intents": ("x",)}), Options(**{**GOOD, "shard": (1, 1)})):  # fmt: skip
        with pytest.raises(ConfigError):
            check(options)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.booleans(), st.floats(0, 50)), max_size=80
    )
)
def test_a_ticket_is_given_once_and_never_too_late(steps):
    passive, now, given_, heard = Passive(), 0.0, set(), {}
    for chat, message, hears, pause in steps:
        now += pause
        if hears:
            heard.setdefault((chat, str(message)), now)
            passive.heard(chat, str(message), now)
        elif (ticket := passive.claim(chat, str(message), 300.0, now)) is not None:
            assert (chat, ticket.id, ticket.seq) not in given_
            given_.add((chat, ticket.id, ticket.seq))
            assert 1 <= ticket.seq <= MAX_REPLIES
            assert now - heard[chat, ticket.id] < 300.0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["<@!BOT>", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["id", "user_openid", "member_openid", "username", "url", "content_type", "is_you", "nick"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
KINDS = ["C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE", "FRIEND_ADD",
         "DIRECT_MESSAGE_CREATE", "GROUP_MEMBER_ADD", "MESSAGE_REACTION_ADD", "OF_TOMORROW", ""]  # fmt: skip


@settings(max_examples=settings.default.max_examples * 3)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(
    ["id", "content", "timestamp", "author", "group_openid", "channel_id", "guild_id", "mentions", "attachments", "member",
     "message_reference", "openid", "op_member_openid", "target", "emoji"]), ANYTHING, max_size=8))  # fmt: skip
def test_wrong_types_in_every_field_are_no_error(kind, data):
    reader = Reader(ME, lambda: datetime.datetime.now(datetime.UTC))
    reader.self_id = "BOT"
    event = reader.read(kind, data)
    assert event is None or event


def read(kind, **data):
    reader = Reader(ME, lambda: datetime.datetime.now(datetime.UTC))
    reader.self_id = "BOT"
    return reader.read(kind, {"id": "1", "author": {"id": "U", "member_openid": "U"}, **data})


def test_contents():
    at = read("GROUP_AT_MESSAGE_CREATE", group_openid="G", content=" /ping ")
    assert (at.text, at.at_me) == ("/ping ", True)
    everything = read(
        "GROUP_MESSAGE_CREATE", group_openid="G", content="<@ME> hi <@X> there",
        mentions=[{"is_you": True, "member_openid": "ME"}, {"member_openid": "X", "username": "Xi"}],
    )  # fmt: skip
    assert (everything.text, everything.at_me) == ("hi @Xi there", True)
    assert not read("GROUP_MESSAGE_CREATE", group_openid="G", content="hi").at_me
    guild = read(
        "AT_MESSAGE_CREATE",
        channel_id="C",
        content="<@!BOT> /x",
        attachments=[{"url": "a.b/c", "content_type": "image/png"}],
    )
    assert guild.segments[0] == Text("/x")
    assert guild.segments[1].url == "https://a.b/c"
    assert read("AT_MESSAGE_CREATE", channel_id="C", content="x", author={"id": "BOT"}) is None


def test_what_resumes_a_session_is_in_no_error():
    for data in (b'{"session_id":"S3CR3T","clientSecret":"S3CR3T"', b'["session_id=S3CR3T"]'):
        with pytest.raises(ProtocolError) as caught:
            wire.decode(data)
        assert "session_id" in str(caught.value)
        assert "S3CR3T" not in str(caught.value)


def test_a_bot_is_known_by_its_app_id_and_by_its_part_of_the_guilds():
    one = identity(Options(app_id="1"))
    assert identity(Options(app_id="1", room_gap=1.0)) == one
    assert identity(Options(app_id="2")) != one
    assert identity(Options(app_id="1", shard=(0, 2))) != identity(Options(app_id="1", shard=(1, 2)))
    hooks = [identity(Options(app_id="1", listen="a:1", shard=(part, 2))) for part in (0, 1)]
    assert hooks[0] == hooks[1], "all comes by the webhook"
    assert identity(Options()) == {}
