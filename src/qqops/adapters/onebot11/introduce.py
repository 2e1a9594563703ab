"""The beginning of every session: who we are, and whom we talk to."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from qqops.adapters.onebot11.actions import Caller
from qqops.adapters.websocket.socket import Unauthorized
from qqops.errors import NotSent, TransientError
from qqops.protocol.onebot11.answers import ActionFailed
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import flavor_of
from qqops.protocol.onebot11.wire import Frame, fields, text

log = structlog.get_logger("qqops.onebot11")

#: Seconds for the first answers; a path that opens and stays silent is found out by them.
PROBE = 10.0


async def introduce(calls: Caller, reader: Reader, expected: int = 0) -> Sequence[str]:
    """Learn who we are and whom we talk to; return what people call us.

    Args:
        expected: The number that the settings say; 0 for any.

    Raises:
        TransientError: Nobody answers, or somebody else's account does.
    """
    names: list[str] = []
    login = fields(await _ask(calls, "get_login_info"))
    if login.get("user_id"):
        reader.self_id = text(login["user_id"])
        names.append(text(login.get("nickname")))
    if expected and reader.self_id != str(expected):
        found, reader.self_id = reader.self_id, str(expected)
        raise TransientError(
            f"the implementation has logged in as {found}, the settings say self_id = {expected}"
        )
    version = fields(await _ask(calls, "get_version_info"))
    calls.flavor = flavor_of(text(version.get("app_name")))
    groups = await _ask(calls, "get_group_list")
    for group in groups if type(groups) is list else ():
        row: Frame = fields(group)
        reader.names[text(row.get("group_id"))] = text(row.get("group_name"))
    log.info(
        "talking to",
        implementation=text(version.get("app_name")) or "?",
        version=text(version.get("app_version")),
        number=reader.self_id,
        groups=len(reader.names),
    )
    return names


async def _ask(calls: Caller, action: str) -> object:
    try:
        return await calls.call(action, {}, PROBE)
    except ActionFailed as exc:
        log.info("not told", action=action, reason=str(exc))
        return None
    except (NotSent, Unauthorized):
        raise
    except TransientError as exc:
        raise TransientError(f"{exc}: it opens and stays silent; is the path of the URL right?") from exc
