"""What these commands say, in both languages."""

from __future__ import annotations

from qqops import Ctx

_TEXTS = {
    "no_command": ("there is no command {name!r}; /help lists them", "没有命令 {name!r}；/help 列出所有命令"),
    "no_command_hint": (
        "there is no command {name!r}; did you mean {near}?",
        "没有命令 {name!r}，是不是想用 {near}？",
    ),
    "no_page": ("there are {pages} pages", "共有 {pages} 页"),
    "page": (
        "page {page} of {pages}; {line} shows another",
        "第 {page}/{pages} 页；{line} 查看另一页",
    ),
    "about": ("qqops {version}; plugins: {plugins}", "qqops {version}；插件：{plugins}"),
    "uptime": ("up for {time}", "已运行 {time}"),
    "sends": (
        "{room}: {sent} sent, {partial} in part, {unknown} unknown, {refused} refused",
        "{room}：已发送 {sent}，部分 {partial}，未知 {unknown}，被拒 {refused}",
    ),
    "no_sends": ("nothing was sent yet", "还没有发送过消息"),
    "who": ("{count} here: {names}", "共 {count} 人：{names}"),
    "who_private": ("just you and me, {name}", "只有你和我，{name}"),
    "no_question": (
        "{account} asks nothing here",
        "{account} 没有在这里提问",
    ),
    "answered": ("thank you; {account} goes on", "谢谢；{account} 继续登录"),
    "no_approvals": ("nothing waits for approval", "没有等待批准的请求"),
    "approval": (
        "{id}. {line} – {name}, {have} of {count} approvals from {by}",
        "{id}. {line} – {name}，已有 {by} 的 {have}/{count} 个批准",
    ),
    "locked": ("{name} is locked now", "{name} 已锁定"),
    "unlocked": (
        "{name} is open again; it was locked by {holder}: {reason}",
        "{name} 已解锁；此前由 {holder} 锁定：{reason}",
    ),
    "lock": ("{name}: {holder}, since {since}: {reason}", "{name}：{holder}，自 {since}：{reason}"),
    "no_locks": ("nothing is locked", "没有锁"),
    "no_audit": ("nothing was recorded yet", "还没有记录"),
    "audit_broken": ("the audit cannot be written: {reason}", "审计记录无法写入：{reason}"),
    "account_off": ("{name} is off its service now", "{name} 已离线"),
    "account_last": (
        "{name} is the only account by which I can be reached now: nobody could start it again. /account restart connects it anew",
        "{name} 是目前唯一能联系到我的账号：停止后没有人能再启动它。用 /account restart 可以重新连接",
    ),
    "network_last": (
        "{name} brings the network of the only account by which I can be reached now: nobody could load it again",
        "{name} 提供目前唯一能联系到我的账号所在的网络：卸载后没有人能再加载它",
    ),
    "account_on": ("{name} is being connected", "正在连接 {name}"),
    "is_loaded": ("{name} is loaded ({ms} ms)", "{name} 已加载（{ms} 毫秒）"),
    "is_unloaded": (
        "{name} is unloaded everywhere, also after a restart ({ms} ms)",
        "{name} 已在所有房间卸载，重启后仍然如此（{ms} 毫秒）",
    ),
    "is_reloaded": ("{name} is reloaded ({ms} ms)", "{name} 已重新加载（{ms} 毫秒）"),
    "old_stays": ("not reloaded, the old copy goes on: {reason}", "没有重新加载，原来的继续运行：{reason}"),
    "needs_restart": ("needs a restart: {keys}", "需要重启才生效：{keys}"),
    "left": ("left running: {what}", "仍在运行：{what}"),
    "not_mine": (
        "{name} brings the command that would load it again; leave it out in the settings",
        "{name} 带有重新加载它的命令；请在设置中停用",
    ),
    "not_loaded": ("{name}: not loaded", "{name}：没有加载"),
    "skipped": ("{name}: skipped: {reason}", "{name}：已跳过：{reason}"),
    "needs": (
        "you may not do that: it needs the permission {permission}",
        "你不能这样做：需要权限 {permission}",
    ),
    "state_loaded": ("loaded", "已加载"),
    "state_skipped": ("skipped", "已跳过"),
    "state_off": ("not loaded", "没有加载"),
    "count_commands": ("{count} command(s)", "{count} 个命令"),
    "count_listeners": ("{count} listener(s)", "{count} 个监听器"),
    "count_filters": ("{count} filter(s)", "{count} 个过滤器"),
    "count_jobs": ("{count} job(s)", "{count} 个任务"),
    "count_services": ("{count} service(s)", "{count} 个服务"),
    "count_tasks": ("{count} background task(s)", "{count} 个后台任务"),
    "count_none": ("it declares nothing", "没有声明任何东西"),
    "not_done": ("not done: {reason}", "没有执行：{reason}"),
    "no_owner": (
        "no: that is not the code, there is an owner already, or this is not a private chat",
        "不行：代码不对、已有所有者，或这里不是私聊",
    ),
    "owner": ("welcome, {name}: you are the owner now", "欢迎，{name}：你现在是所有者"),
    "granted": ("{person} has the role {role} now", "{person} 现在拥有角色 {role}"),
    "had_role": ("{person} has the role {role} already", "{person} 已经拥有角色 {role}"),
    "revoked": ("{person} does not have the role {role} any more", "{person} 不再拥有角色 {role}"),
    "had_no_role": ("{person} was not given the role {role} here", "{person} 没有被授予角色 {role}"),
    "your_roles": ("you: {roles}", "你：{roles}"),
    "rule_added": ("from now on: {rule}", "即刻生效：{rule}"),
    "rule_removed": ("the rule {rule} is gone", "规则 {rule} 已删除"),
    "no_rule": ("there is no rule {rule!r}; /rule list shows them", "没有规则 {rule!r}；/rule list 列出规则"),
    "no_rules": ("there are no rules", "没有规则"),
    "no_changes": ("nothing was changed yet", "还没有改动"),
    "broken": ("{name} cannot be read: only owners get in", "{name} 无法读取：只有所有者可以使用"),
    "page_of": (
        "page {page} of {pages}; --page N shows another",
        "第 {page}/{pages} 页；--page N 查看其他页",
    ),
    "is_on": ("{name} is on here", "{name} 在此处已启用"),
    "is_off": ("{name} is off here", "{name} 在此处已停用"),
    "on": ("{name}: on", "{name}：启用"),
    "off": ("{name}: off", "{name}：停用"),
    "no_person": (
        "I do not know who {text!r} is; mention one person, or write the number",
        "不知道 {text!r} 是谁；请 @ 一个人，或写号码",
    ),
    "nothing_known": ("I remember no decision about that", "没有记住关于它的判断"),
    "not_asked": ("{name} was not asked: {reason}", "没有询问 {name}：{reason}"),
    "why_not_yours": ("that is for those with the permission access.why", "这需要权限 access.why"),
    "was_done": ("it ran", "已执行"),
    "was_refused": ("refused", "被拒绝"),
    "was_filtered": ("stopped by a filter", "被过滤器拦下"),
    "was_failed": ("it ran and failed", "执行出错"),
    "was_timeout": ("it took too long and was stopped", "超时被停止"),
    "was_cancelled": ("it was cut off", "被中断"),
    "was_unloaded": ("it was cut off", "被中断"),
    "alias_added": ("from now on {row}", "从现在起 {row}"),
    "alias_removed": ("forgotten: {row}", "已删除：{row}"),
    "alias_everywhere": ("{row} (everywhere)", "{row}（所有房间）"),
    "no_aliases": ("there are no aliases here", "这里没有别名"),
    "no_alias": ("there is no alias {name!r} of this kind", "没有这样的别名 {name!r}"),
    "alias_name": (
        "{name!r} is not a name for an alias: one short word",
        "{name!r} 不能作别名：应为一个短词",
    ),
    "alias_line": (
        "say what {name!r} stands for: NAME = COMMAND …, at most 500 characters",
        "请说明 {name!r} 代表什么：名字 = 命令 …，最多 500 个字符",
    ),
    "alias_taken": ("{name!r} is a command already", "{name!r} 已经是命令"),
    "alias_many": ("there are 200 aliases already; remove one first", "已有 200 个别名，请先删除一个"),
    "alias_loop": ("{name!r} would lead back to itself", "{name!r} 会指回自己"),
    "alias_nowhere": ("there is no command {line!r}", "没有命令 {line!r}"),
    "job_run": ("{job} is started", "{job} 已启动"),
    "job_not_run": ("{job} is not started: {reason}", "{job} 没有启动：{reason}"),
    "job_paused": ("{job} is paused", "{job} 已暂停"),
    "job_resumed": ("{job} goes on", "{job} 已恢复"),
    "job_removed": ("{job} is removed", "{job} 已删除"),
    "job_made": ("job {job}: {next}", "任务 {job}：{next}"),
    "job_of_plugin": (
        "{job} belongs to a plugin; /jobs pause stops it",
        "{job} 属于插件；可用 /jobs pause 暂停",
    ),
    "no_job": ("there is no job {job!r}; /jobs lists them", "没有任务 {job!r}；/jobs 列出所有任务"),
    "no_jobs": ("nothing runs by the clock", "没有定时任务"),
    "more": ("and {count} more", "还有 {count} 个"),
    "job_is_running": ("running", "运行中"),
    "job_is_paused": ("paused", "已暂停"),
    "job_last": ("ran last at {moment}", "上次运行：{moment}"),
    "job_skipped": ("was skipped at {moment}: {reason}", "{moment} 未运行：{reason}"),
    "skip_still_running": ("the last run had not ended", "上一次尚未结束"),
    "skip_missed_while_the_bot_could_not_run": ("the bot could not run", "当时机器人无法运行"),
    "skip_paused": ("it was paused", "当时已暂停"),
    "skip_there_is_no_such_command": ("there was no such command", "没有这个命令"),
    "skip_its_account_is_gone": ("its account is gone", "它的账号已经没有了"),
    "skip_cut_off_by_the_end_of_the_bot": ("the bot ended while it ran", "运行时机器人停止了"),
    "skip_its_moment_had_passed_before_it_was_known": (
        "that moment had passed when the bot first saw the job",
        "机器人第一次见到该任务时，这个时刻已过",
    ),
    "bad_span": (
        "{word!r} is not a time from now; write 10m, 1h30m or 2d, at most a year",
        "{word!r} 不是时长；请写 10m、1h30m 或 2天，最长一年",
    ),
    "bad_cron": ('{reason}; five fields, as "0 9 * * 1-5"', '{reason}；请写五个字段，如 "0 9 * * 1-5"'),
    "aliases": ("also: {names}", "别名：{names}"),
}

_UNITS = ((86400, " d", " 天"), (3600, " h", " 小时"), (60, " min", " 分钟"), (1, " s", " 秒"))


def say(ctx: Ctx, key: str, **args: object) -> str:
    """Return the text *key* in the language of the room."""
    english, chinese = _TEXTS[key]
    return (chinese if ctx.language == "zh" else english).format(**args)


def duration(seconds: float, language: str) -> str:
    """Return *seconds* as at most two units: ``3 h 5 min``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, english, chinese in _UNITS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size}{chinese if language == 'zh' else english}")
            left %= size
    return " ".join(parts) or f"0{_UNITS[-1][2 if language == 'zh' else 1]}"
