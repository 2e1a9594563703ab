"""{{ cookiecutter.description }}"""

from __future__ import annotations

import attrs

from qqops import Plugin, Rooms, Store

plugin = Plugin("{{ cookiecutter.plugin_name }}")


@plugin.config
@attrs.frozen(kw_only=True)
class Config:
    """Table ``[plugins.{{ cookiecutter.plugin_name }}]`` of the settings.

    Attributes:
        room: Name or id of the room that is greeted.
    """

    room: str = "ops"


@plugin.job(cron="0 9 * * 1-5")
async def morning(*, cfg: Config, rooms: Rooms, store: Store) -> None:
    """Say good morning on working days, and count them; the count outlives a restart."""
    days = await store.get("days", int, 0) + 1
    await store.put("days", days)
    await rooms.send(cfg.room, f"good morning, this is day {days}")
