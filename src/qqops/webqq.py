"""What accounts on WebQQ can do beyond the model.

::

    from qqops import Accounts, Ctx
    from qqops.webqq import WebAccount

    @plugin.command("quiet")
    async def quiet(ctx: Ctx, *, accounts: Accounts) -> str:
        outcome = await accounts.native(ctx.account, WebAccount).hear(ctx.room.ref, "silent")
        return "done" if outcome.ok else outcome.reason
"""

from qqops.adapters.webqq.account import Card, Found, PublicInfo, WebAccount

__all__ = ["Card", "Found", "PublicInfo", "WebAccount"]
