"""Commands for what runs by the clock."""

from __future__ import annotations

import datetime
import re
import zoneinfo

import attrs

from qqops import ConfigError, Ctx, JobInfo, Jobs, Plugin, Refuse, Rest
from qqops_essentials._text import say

#: Jobs on one page, and the longest time ahead of a reminder.
PAGE, FARTHEST = 12, datetime.timedelta(days=366)

_SPAN = re.compile(r"(\d{1,6})(w|d|h|min|m|s|周|天|小时|分钟|分|秒)")
_SECONDS = {
    "w": 604800, "d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1,
    "周": 604800, "天": 86400, "小时": 3600, "分钟": 60, "分": 60, "秒": 1,
}  # fmt: skip


@attrs.frozen(kw_only=True)
class Config:
    """Table ``[plugins.essentials]``.

    Attributes:
        tz: Time zone in which people's jobs are meant and moments are shown; "" for the room's.
    """

    tz: str = ""

    def __attrs_post_init__(self) -> None:
        """Raises `ConfigError` for a time zone that does not exist."""
        try:
            zoneinfo.ZoneInfo(self.tz or "UTC")
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ConfigError(f"unknown time zone {self.tz!r}", hint="names look like Asia/Shanghai") from exc


def declare(plugin: Plugin) -> None:
    """Add the commands to *plugin*."""
    plugin.config(Config)
    group, own = plugin.group("jobs"), plugin.group("job")

    @plugin.command("jobs", aliases=("定时任务",), inline=True)
    def jobs_(ctx: Ctx, *, jobs: Jobs, cfg: Config) -> str:
        """List what runs by the clock: the plugins' jobs, and yours. / 列出定时任务：插件的，以及你自己的。"""
        return _list(ctx, jobs, cfg)

    @group.command("list", inline=True)
    def list_(ctx: Ctx, *, jobs: Jobs, cfg: Config) -> str:
        """List what runs by the clock. / 列出定时任务。"""
        return _list(ctx, jobs, cfg)

    @group.command("run", permission="jobs.manage", effects=True, inline=True)
    def run(ctx: Ctx, job: str, *, jobs: Jobs) -> str:
        """Run a job now. / 立即运行一个任务。"""
        if why := jobs.run(job):
            raise Refuse(say(ctx, "job_not_run", job=job, reason=say(ctx, _skip(why))))
        return say(ctx, "job_run", job=job)

    @group.command("pause", permission="jobs.manage", effects=True, inline=True)
    def pause(ctx: Ctx, job: str, *, jobs: Jobs) -> str:
        """Skip a job's moments until it is resumed. / 暂停一个任务。"""
        jobs.pause(job)
        return say(ctx, "job_paused", job=job)

    @group.command("resume", permission="jobs.manage", effects=True, inline=True)
    def resume(ctx: Ctx, job: str, *, jobs: Jobs) -> str:
        """Run a paused job at its moments again. / 恢复一个任务。"""
        jobs.resume(job)
        return say(ctx, "job_resumed", job=job)

    @group.command("why", inline=True)
    def why(ctx: Ctx, job: str, *, jobs: Jobs, cfg: Config) -> str:
        """Say when a job ran, when it will, and why it did not. / 任务何时运行过、何时运行、为何没有运行。"""
        return _why(ctx, _visible(ctx, jobs.get(job)), cfg)

    @plugin.command("remind", aliases=("提醒",))
    async def remind(ctx: Ctx, when: str, text: Rest, *, jobs: Jobs, cfg: Config) -> str:
        """Remind you of something: /remind 1h30m tea. / 提醒你：/remind 1小时30分钟 喝茶。"""
        wait = _span(when)
        if wait is None or not datetime.timedelta() < wait <= FARTHEST:
            raise Refuse(say(ctx, "bad_span", word=when))
        made = await jobs.at(ctx.message, text, ctx.now.astimezone(datetime.UTC) + wait, reminder=True)
        return say(ctx, "job_made", job=made.id, next=_moment(ctx, made.next, cfg))

    @own.command("add")
    async def add(ctx: Ctx, cron: str, line: Rest, *, jobs: Jobs, cfg: Config) -> str:
        """Run a command in your name: /job add "0 9 * * 1-5" /standup. / 以你的名义定时运行命令。"""
        try:
            made = await jobs.add(ctx.message, line, cron, str(_zone(ctx, cfg)))
        except ConfigError as exc:
            raise Refuse(say(ctx, "bad_cron", reason=exc.message)) from None
        return say(ctx, "job_made", job=made.id, next=_moment(ctx, made.next, cfg))

    @own.command("remove", inline=True)
    def remove(ctx: Ctx, job: str, *, jobs: Jobs) -> str:
        """Remove one of your jobs. / 删除你的一个定时任务。"""
        found = _visible(ctx, jobs.get(job))
        if not found.creator:
            raise Refuse(say(ctx, "job_of_plugin", job=job))
        jobs.remove(found.id)
        return say(ctx, "job_removed", job=job)


def _visible(ctx: Ctx, job: JobInfo) -> JobInfo:
    """Return *job* when it is a plugin's or the asker's own; else it does not exist for them."""
    if job.creator_id not in ("", str(ctx.sender.proven)):
        raise Refuse(say(ctx, "no_job", job=job.id))
    return job


def _list(ctx: Ctx, jobs: Jobs, cfg: Config) -> str:
    mine = [job for job in jobs.list() if job.creator_id in ("", str(ctx.sender.proven))]
    lines = [
        f"{job.id} – {_state(ctx, job, cfg)}{f' – {job.what}' if job.what else ''}" for job in mine[:PAGE]
    ]
    if len(mine) > PAGE:
        lines.append(say(ctx, "more", count=len(mine) - PAGE))
    return "\n".join(lines) or say(ctx, "no_jobs")


def _state(ctx: Ctx, job: JobInfo, cfg: Config) -> str:
    if job.running:
        return say(ctx, "job_is_running")
    return say(ctx, "job_is_paused") if job.paused else _moment(ctx, job.next, cfg)


def _why(ctx: Ctx, job: JobInfo, cfg: Config) -> str:
    lines = [f"{job.id}{f' ({job.when})' if job.when else ''}: {_state(ctx, job, cfg)}"]
    if job.last is not None:
        lines.append(say(ctx, "job_last", moment=_moment(ctx, job.last, cfg)))
    if job.skipped:
        reason = say(ctx, _skip(job.skipped))
        lines.append(say(ctx, "job_skipped", moment=_moment(ctx, job.skipped_at, cfg), reason=reason))
    return "\n".join(lines)


def _skip(why: str) -> str:
    """Return the key of the text that says *why*."""
    return f"skip_{why.replace(' ', '_')}"


def _moment(ctx: Ctx, moment: datetime.datetime | None, cfg: Config) -> str:
    return moment.astimezone(_zone(ctx, cfg)).strftime("%Y-%m-%d %H:%M") if moment else "–"


def _zone(ctx: Ctx, cfg: Config) -> datetime.tzinfo:
    return zoneinfo.ZoneInfo(cfg.tz) if cfg.tz else ctx.zone


def _span(text: str) -> datetime.timedelta | None:
    parts = _SPAN.findall(text.lower())
    if "".join(number + unit for number, unit in parts) != text.lower():
        return None
    return datetime.timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))
