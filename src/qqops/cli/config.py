"""``qqops init``, ``qqops check``, ``qqops config check`` and ``qqops config explain``."""

from __future__ import annotations

import difflib
import os
import pathlib
import textwrap
from collections.abc import Collection, Sequence

from wcwidth import wcswidth

from qqops._accounts import accounts
from qqops._explain import rows
from qqops.cli import exits
from qqops.cli.examine import Examined, examine
from qqops.errors import ConfigError
from qqops.settings import Reading

#: Columns of a value after which the next column is not kept in line.
WIDEST = 40

TEMPLATE = """\
# Settings of a qqops bot. Every key may be left out; what is written here are the defaults.
# 机器人的设置。每一项都可以省略；这里写的是默认值。
#
# The environment overrides this file: QQOPS_BOT__LANGUAGE=zh sets bot.language.
# 环境变量优先于本文件：QQOPS_BOT__LANGUAGE=zh 即 bot.language。

schema = 1

[bot]
language = "en"            # en | zh
prefixes = ["/", "／"]     # what a command begins with / 命令前缀
grace_seconds = 10         # how long a shutdown waits for running commands / 退出时等待命令的秒数
data = "qqops-data"        # folder for pictures and other files / 数据目录

# [plugins]
# off = ["essentials"]     # leave these out / 不加载的插件

# [rooms.ops]              # by name or number / 按名称或群号
# language = "zh"

# This account talks to the simulator: start it with `qqops simulate webqq --port 8013`.
# 这个帐号连接模拟器：先运行 `qqops simulate webqq --port 8013`。
[accounts.demo]
network = "webqq"
profile = "webqq2013"                      # webqq2013: number and password; smartqq: QR code / 扫码
number = 100200300
password = { env = "QQOPS_DEMO_PASSWORD" } # or { file = "secret.txt" }, readable for you only / 或仅自己可读的文件
endpoints = { "*" = "http://127.0.0.1:8013" }
# send_gap = 0.5           # seconds between two sends / 两次发送的间隔
# on_kick = "relogin"      # or "stop" / 被踢下线后：重新登录或停止

# [accounts.demo.link]     # how its connection is held, on every network / 如何保持连接，任何网络都一样
# reconnect = "always"     # always | on-transient | never | exit
# retry_first = 1          # back-off: first window and longest one, in seconds / 重连等待，秒
# retry_cap = 60

# An account on QQ, through NapCat, LLBot, SnowLuma, go-cqhttp …: pip install 'qqops[onebot]'
# 真正的 QQ 账号，经由 NapCat、LLBot、SnowLuma、go-cqhttp 等：pip install 'qqops[onebot]'
# [accounts.main]
# network = "onebot11"
# listen = "127.0.0.1:8080"      # the implementation calls us / 由实现端连接我们
# url = "ws://127.0.0.1:3001/"   # … or we call it / 或由我们连接它
# token = { env = "QQ_TOKEN" }
"""


def init(path: pathlib.Path, *, force: bool) -> int:
    """Write a commented settings file; return the exit code. Raises `ConfigError` rather than overwrite one."""
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already", hint="--force overwrites it")
    try:
        path.write_text(TEMPLATE, "utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
    print(f"{path} written. Next / 接下来:")
    print("  qqops simulate webqq --port 8013 &")
    print(f"  QQOPS_DEMO_PASSWORD=sim-pass-1 qqops run -c {path}")
    return exits.OK


def check(config: pathlib.Path | None, *, strict: bool, traceback: bool) -> int:
    """Validate settings and plugins; return the exit code.

    Without a settings file only the plugins are looked at, unless one was named.

    Args:
        strict: Fail when a plugin is skipped, or has a note that asks for something.
        traceback: Print the whole error of each plugin that is skipped.

    Raises:
        ConfigError: The settings are wrong; all of it is named.
    """
    found = examine(config)
    for one in found.skipped:
        for line in one.mistakes or (one.why,):
            print(f"plugin {one} skipped: {line}")
        if traceback and one.traceback:
            print(textwrap.indent(one.traceback, "  "))
    for report in found.app.host.reports.all():
        for note in report.notes:
            print(f"plugin {report}: {note}")
    for line in found.unowned:
        print(line)
    found.check()
    what = f"{found.path}: {len(found.app.supervisors)} accounts, " if found.file else f"(no {found.path}) "
    commands = len(found.app.registry.commands)
    print(f"{what}{found.loaded} plugins, {commands} commands, {len(found.skipped)} skipped")
    fails = found.skipped or found.unowned or found.unsettled
    return exits.FAILED if strict and fails else exits.OK


def check_settings(config: pathlib.Path) -> int:
    """Validate the settings alone; return the exit code. Raises `ConfigError` that names all that is wrong."""
    found, reading = _examined(config)
    mistakes = [*found.wrong]
    for report in found.skipped:
        mistakes += [ConfigError(line) for line in report.mistakes]
    mistakes += [ConfigError(line) for line in found.unowned]
    if mistakes:
        raise ConfigError.of(mistakes)
    tables = len(reading.settings.plugins.tables)
    print(f"{config}: {len(found.app.supervisors)} accounts, {tables} tables of plugins / {tables} 个插件表")
    return exits.OK


def explain(config: pathlib.Path, key: str) -> int:
    """Print every setting, or those at and below *key* with what they mean: value and where it comes from.

    Raises:
        ConfigError: The settings are wrong, or there is no such key.
    """
    found, reading = _examined(config)
    found.check()
    made = accounts(reading.settings.accounts, reading.file, found.app.host.networks, os.environ)
    every = list(rows(reading, made, found.app.host))
    chosen = [row for row in every if not key or row.key == key or row.key.startswith(f"{key}.")]
    if not chosen:
        known = {row.key for row in every}
        known |= {one.rpartition(".")[0] for one in known if "." in one}
        raise ConfigError(f"there is no setting {key!r}", hint=_nearest(key, known))
    heads = ("setting / 设置项", "value / 值", "from / 来源")
    lines = [(row.key, row.value, row.origin or "default / 默认") for row in chosen]
    widths = [max(wcswidth(line[i]) for line in (heads, *lines)) for i in (0, 1)]
    widths[1] = min(widths[1], WIDEST)
    print(_line(heads, widths))
    for row, line in zip(chosen, lines, strict=True):
        print(_line(line, widths))
        if key and row.meaning:
            print(f"    {row.meaning}")
    return exits.OK


def _examined(config: pathlib.Path) -> tuple[Examined, Reading]:
    found = examine(config)
    assert found.reading is not None
    return found, found.reading


def _nearest(key: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), 1)
    return f"did you mean {near[0]!r}?" if near else "`qqops config explain` lists them"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return *cells* in columns; Chinese characters take two."""
    filled = [f"{cell}{' ' * (width - wcswidth(cell))}" for cell, width in zip(cells, widths, strict=False)]
    return "  ".join([*filled, *cells[len(widths) :]])
