"""``qqops init`` and ``qqops check``."""

from __future__ import annotations

import os
import pathlib
import textwrap

from qqops._file import SettingsFile
from qqops.app import App
from qqops.assemble import add_accounts, make_app
from qqops.cli import exits
from qqops.cli.operators import Terminal
from qqops.errors import ConfigError
from qqops.plugin.host import PluginState
from qqops.settings import Settings, load_settings

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


def check(path: pathlib.Path, *, strict: bool, traceback: bool) -> int:
    """Validate settings and plugins; return the exit code.

    Without a settings file only the plugins are looked at.

    Args:
        strict: Fail when a plugin is skipped, or has a note that asks for something.
        traceback: Print the whole error of each plugin that is skipped.

    Raises:
        ConfigError: The settings are wrong.
    """
    app, file = load_for_check(path)
    reports = app.host.reports.all()
    skipped = [one for one in reports if one.state is PluginState.SKIPPED]
    for one in skipped:
        print(f"plugin {one} skipped: {one.why}")
        if traceback and one.traceback:
            print(textwrap.indent(one.traceback, "  "))
    for one in reports:
        for note in one.notes:
            print(f"plugin {one}: {note}")
    unowned = app.registry.unowned()
    for name in unowned:
        where = file.where(f"commands.{name}") if file is not None else "commands"
        print(f"{where}: {name!r} is given to {app.registry.owners[name]!r}, which has none of this name")
    loaded = sum(one.state is PluginState.LOADED for one in reports)
    what = f"{path}: {len(app.supervisors)} accounts, " if file is not None else f"(no {path}) "
    print(f"{what}{loaded} plugins, {len(app.registry.commands)} commands, {len(skipped)} skipped")
    fails = skipped or unowned or any(one.unsettled for one in reports)
    return exits.FAILED if strict and fails else exits.OK


def load_for_check(path: pathlib.Path) -> tuple[App, SettingsFile | None]:
    """Return the bot of *path*, or one with just the plugins when there is no such file."""
    operator = Terminal(path.parent)
    if not path.exists():
        return make_app(Settings(), operator, os.environ), None
    settings, file = load_settings(path, os.environ)
    app = make_app(settings, operator, os.environ, file=file)
    add_accounts(app, settings, file, os.environ)
    return app, file
