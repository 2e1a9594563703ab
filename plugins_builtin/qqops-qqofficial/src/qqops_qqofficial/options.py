"""Settings of an account on the official platform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import attrs

from qqops.adapter import Bytes, Count, CountOrNone, Mistakes, Pause, Seconds, Secret

#: Kinds of events that can be subscribed, and their bits (qq-official.md §2).
INTENTS = {
    "guilds": 0, "guild_members": 1, "guild_messages": 9, "reactions": 10, "direct_messages": 12, "open_forums": 18,
    "audio_members": 19, "group_members": 24, "groups_and_c2c": 25, "interactions": 26, "audits": 27, "forums": 28,
    "audio": 29, "public_guild_messages": 30,
}  # fmt: skip
#: What is asked for unless the settings say otherwise.
USUAL = ("groups_and_c2c", "interactions", "public_guild_messages", "direct_messages", "guilds")
#: Without these the bot would hear nobody: they are never dropped.
NEEDED = ("groups_and_c2c", "public_guild_messages", "guild_messages", "direct_messages")


@attrs.frozen(kw_only=True)
class Options:
    """Settings of an account on the official platform.

    Attributes:
        app_id: AppID of the bot.
        secret: AppSecret of the bot.
        sandbox: Use the sandbox of the platform.
        intents: Kinds of events to ask for.
        shard: Which part of the guilds this process serves, as ``[number, count]``.
        listen: Address on which the platform (or the proxy with the certificate before us) calls us: events then come by
            webhook, and no gateway is dialled.
        path: Path of the webhook, ``/x/*`` for everything beneath ``/x``; empty for any.
        call_deadline: Seconds for an API call.
        upload_deadline: Seconds for an upload.
        room_gap: Seconds between two sends to one chat.
        in_flight: Most sends that wait for their answer at the same time, one of each chat.
        max_bytes: UTF-8 bytes of text in one message; each further part costs one of the five replies.
        api: Base URL of the API instead of the platform's own; for the simulator.
        token_url: URL of the token service instead of the platform's own.
    """

    app_id: str = ""
    secret: Secret = Secret("")  # noqa: RUF009 - immutable
    sandbox: bool = False
    intents: tuple[str, ...] = USUAL
    shard: tuple[CountOrNone, ...] = (0, 1)
    listen: str = ""
    path: str = ""
    call_deadline: Seconds = 15.0
    upload_deadline: Seconds = 120.0
    room_gap: Pause = 0.2
    in_flight: Count = 5
    max_bytes: Bytes = 3000
    api: str = ""
    token_url: str = "https://bots.qq.com/app/getAppAccessToken"

    @property
    def base(self) -> str:
        """Base URL of the API, without a slash at its end."""
        usual = "https://sandbox.api.sgroup.qq.com" if self.sandbox else "https://api.sgroup.qq.com"
        return (self.api or usual).rstrip("/")


def identity(options: Options) -> Mapping[str, Hashable]:
    """Return the AppID: whoever has it gets all that is said to the bot, or one part of the guilds each by the gateway."""
    return {"app_id": (options.app_id, None if options.listen else options.shard)} if options.app_id else {}


def check(options: Options) -> None:
    """Raise `ConfigError` for settings that cannot work; all of it is named."""
    mistakes = Mistakes()
    if not options.app_id or not options.secret.reveal():
        mistakes.add("app_id and secret are needed", hint="they stand in the console of the platform")
    for name in options.intents:
        if name not in INTENTS:
            mistakes.add(f"unknown intent {name!r}", where="intents", hint=f"known are: {', '.join(INTENTS)}")
    if len(options.shard) != 2 or not 0 <= options.shard[0] < options.shard[1]:
        mistakes.add(
            f"must be [number, count], got {list(options.shard)!r}", where="shard", hint="[0, 1] for all"
        )
    mistakes.check()


def bits(intents: tuple[str, ...]) -> int:
    """Return the number that stands for *intents*."""
    return sum(1 << INTENTS[name] for name in set(intents))
