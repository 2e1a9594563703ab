"""How the implementations of OneBot v11 differ, as seen from an application. Source: onebot11.md §1, §2, §5."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Make:
    """One implementation.

    Attributes:
        app_name: What ``get_version_info`` says.
        heartbeat: Seconds between heartbeats; 0 for none.
        lifecycle: Whether the event side is opened with a lifecycle event.
        refusal: How a wrong token is told: ``frame`` (upgrade, 1403, close), ``close`` (upgrade, close 1008) or
            ``http`` (401 or 403).
        paths: ``any`` (whatever is not ``/api`` is for events), ``silent`` (others open and stay silent) or
            ``strict`` (others get HTTP 400).
        failed: retcode of an action that failed.
        missing: retcode of an action that is not known.
        negative: Whether message ids may be negative.
        text: Whether messages come as CQ strings.
        roles: What the header X-Client-Role says, for both, actions and events.
        scheme: Word before the token in reverse connections.
        string_echo: Whether a request with another echo than a string is dropped without an answer.
        reconnect: Seconds between two tries of a reverse connection.
        reaction: Action that puts a sign to a message.
        farewell: Whether a lifecycle event ``disable`` comes before a connection is closed in good order.
        file_hash: Whether the URL of a private file is told only to who names its hash.
    """

    app_name: str
    heartbeat: float = 30.0
    lifecycle: bool = True
    refusal: str = "frame"
    paths: str = "any"
    failed: int = 1200
    missing: int = 1404
    negative: bool = False
    text: bool = False
    roles: tuple[str, str, str] = ("Universal", "API", "Event")
    scheme: str = "Bearer"
    string_echo: bool = False
    reconnect: float = 5.0
    reaction: str = "set_msg_emoji_like"
    farewell: bool = False
    file_hash: bool = False


MAKES: Mapping[str, Make] = {
    "napcat": Make(app_name="NapCat.Onebot"),
    "llbot": Make(app_name="LLBot", heartbeat=60.0, refusal="close", paths="silent", reconnect=3.0),
    "lagrange": Make(
        app_name="Lagrange.OneBot", refusal="http", failed=200, missing=404, reaction="set_group_reaction"
    ),
    "gocq": Make(
        app_name="go-cqhttp", heartbeat=5.0, refusal="http", failed=100, missing=1404, negative=True, text=True,
        scheme="Token", reconnect=3.0, reaction="",
    ),
    "snowluma": Make(
        app_name="SnowLuma", refusal="close", paths="strict", failed=100, negative=True,
        roles=("Universal", "Api", "Event"), farewell=True, file_hash=True,
    ),
    "euler": Make(app_name="euler-onebot", heartbeat=0.0, lifecycle=False, refusal="http", string_echo=True,
                  reaction="set_group_reaction"),
}  # fmt: skip
