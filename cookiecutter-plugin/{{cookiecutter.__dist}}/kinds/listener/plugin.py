"""{{ cookiecutter.description }}"""

from __future__ import annotations

import attrs

from qqops import Message, Plugin

plugin = Plugin("{{ cookiecutter.plugin_name }}")


@plugin.config
@attrs.frozen(kw_only=True)
class Config:
    """Table ``[plugins.{{ cookiecutter.plugin_name }}]`` of the settings.

    Attributes:
        url: What is put before the number of a ticket.
    """

    url: str = "https://tickets.example.org/"


@plugin.on(Message, regex=r"\b(?P<ticket>[A-Z]{2,8}-\d+)\b")
async def link(ticket: str, *, cfg: Config) -> str:
    """Answer with the address of a ticket that somebody mentions."""
    return f"{cfg.url}{ticket}"
