"""What accounts on OneBot v11 can do beyond the model. Needs the extra ``qqops[onebot]``.

::

    from qqops import Accounts, Ctx
    from qqops.onebot import OneBot

    @plugin.command("files")
    async def files(ctx: Ctx, *, accounts: Accounts) -> str:
        found = await accounts.native(ctx.account, OneBot).files.list(ctx.room.ref)
        return "\\n".join(file.name for file in found) or "none"
"""

from qqops.adapters.onebot11.actions import GroupFile, OneBot

__all__ = ["GroupFile", "OneBot"]
