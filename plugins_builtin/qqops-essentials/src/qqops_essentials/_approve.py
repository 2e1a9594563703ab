"""Chat commands for approvals, locks and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qqops import Approvals, Audit, Ctx, Locks, Plugin, Rest, Say
from qqops_essentials._text import say

#: Lines of the audit that are shown at most.
MAX_LINES = 20


def declare(plugin: Plugin) -> None:
    """Declare them on *plugin*."""
    plugin.command("approve", aliases=("批准",))(approve)
    plugin.command("reject", aliases=("驳回",), inline=True)(reject)
    plugin.command("approvals", aliases=("待批准",), inline=True)(approvals)
    plugin.command("lock", aliases=("锁定",), permission="locks.set")(lock)
    plugin.command("unlock", aliases=("解锁",))(unlock)
    plugin.command("locks", aliases=("锁",), inline=True)(locks)
    plugin.command("audit", aliases=("审计",), permission="audit.read", inline=True)(audit)


async def approve(ctx: Ctx, number: str = "", *, requests: Approvals) -> Say:
    """Approve what somebody else has asked for. / 批准他人的请求。"""
    return await requests.approve(ctx, number)


def reject(ctx: Ctx, number: str = "", *, requests: Approvals) -> Say:
    """Reject a request, or take back your own. / 驳回请求，或撤回自己的请求。"""
    return requests.reject(ctx, number)


def approvals(ctx: Ctx, *, requests: Approvals) -> str:
    """List what waits for approval. / 列出等待批准的请求。"""
    rows = [
        say(ctx, "approval", id=r.id, line=r.line, name=r.name, have=len(r.approved), count=r.count,
            by=r.by.partition(":")[2])
        for r in requests.open()
    ]  # fmt: skip
    return "\n".join(rows) or say(ctx, "no_approvals")


async def lock(ctx: Ctx, name: str, reason: Rest, *, held: Locks) -> str:
    """Keep out the commands that need this lock, with a reason. / 锁定，并说明原因。"""
    taken = await held.set(ctx, name, reason.strip("\"“”'"))
    return say(ctx, "locked", name=taken.name)


async def unlock(ctx: Ctx, name: str, *, held: Locks) -> str:
    """Open a lock again. / 解锁。"""
    may = getattr(ctx, "may", None)
    was = await held.release(ctx, name, may=may is not None and may("locks.set") is True)
    return say(ctx, "unlocked", name=name, holder=was.holder, reason=was.reason)


def locks(ctx: Ctx, *, held: Locks) -> str:
    """List what is locked, by whom, since when and why. / 列出所有锁。"""
    rows = [
        say(
            ctx,
            "lock",
            name=one.name,
            holder=one.holder,
            since=f"{one.moment:%m-%d %H:%M} UTC",
            reason=one.reason,
        )
        for one in held.held()
    ]
    return "\n".join(rows) or say(ctx, "no_locks")


def audit(ctx: Ctx, count: int = 5, *, record: Audit) -> str:
    """Show the last entries of the audit. / 显示最近的审计记录。"""
    rows = [_row(entry) for entry in record.last(max(1, min(count, MAX_LINES)))]
    if record.problem:
        rows.append(say(ctx, "audit_broken", reason=record.problem))
    return "\n".join(rows) or say(ctx, "no_audit")


def _row(entry: Mapping[str, Any]) -> str:
    what = entry.get("command") or entry.get("lock") or ""
    more = " ".join(str(entry[key]) for key in ("result", "by_whom", "reason") if entry.get(key))
    dry = " (dry)" if entry.get("dry") else ""
    return f"{entry['n']} {str(entry['at'])[5:16]} {entry['what']} {entry.get('name', '')}: {what}{dry} {more}".strip()
