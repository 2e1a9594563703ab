"""What these commands say, in both languages."""

from __future__ import annotations

from qqops import Ctx

_TEXTS = {
    "no_command": ("there is no command {name!r}; /help lists them", "没有命令 {name!r}；/help 列出所有命令"),
    "no_page": ("there are {pages} pages", "共有 {pages} 页"),
    "page": (
        "page {page} of {pages}; /help --page {page} shows a page",
        "第 {page}/{pages} 页；/help --page {page} 查看某页",
    ),
    "about": ("qqops {version}; plugins: {plugins}", "qqops {version}；插件：{plugins}"),
    "uptime": ("up for {time}", "已运行 {time}"),
    "who": ("{count} here: {names}", "共 {count} 人：{names}"),
    "who_private": ("just you and me, {name}", "只有你和我，{name}"),
    "no_question": (
        "{account} asks nothing here",
        "{account} 没有在这里提问",
    ),
    "answered": ("thank you; {account} goes on", "谢谢；{account} 继续登录"),
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
