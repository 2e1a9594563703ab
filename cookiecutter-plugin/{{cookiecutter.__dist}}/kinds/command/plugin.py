"""{{ cookiecutter.description }}"""

from __future__ import annotations

from typing import Annotated

from qqops import Arg, Ctx, Opt, Plugin

plugin = Plugin("{{ cookiecutter.plugin_name }}")


@plugin.command("{{ cookiecutter.plugin_name }}")
async def greet(
    ctx: Ctx,
    whom: Annotated[str, Arg(help="who is greeted")] = "",
    *,
    loud: Annotated[bool, Opt("-l", "--loud", help="in capitals")] = False,
) -> str:
    """Greet somebody."""
    text = f"hello, {whom or ctx.sender.name}"
    return text.upper() if loud else text
