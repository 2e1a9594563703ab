"""All commands and their options; what they do stands in their own modules, imported when they are called."""

from __future__ import annotations

import pathlib
import sys
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

import qqops
from qqops.cli import exits, logs
from qqops.cli.simulating import needs_onebot, simulate
from qqops.errors import ConfigError

app = cyclopts.App(
    name="qqops",
    help="A plugin-driven chatops framework for QQ. / 面向 QQ 的插件式聊天运维框架。",
    version=qqops.__version__,
)
plugin = cyclopts.App(name="plugin", help="Look at plugins. / 查看插件。")
settings = cyclopts.App(name="config", help="Look at the settings. / 查看设置。")
app.command(simulate)
app.command(settings)
app.command(plugin)

Profile = Literal["webqq2013", "smartqq"]
Kind = Literal["command", "listener", "job", "service", "adapter"]
Licence = Literal["MIT", "Apache-2.0", "none"]
SettingsPath = Annotated[pathlib.Path, Parameter(name=["--config", "-c"])]
#: None when no file was named: `DEFAULT` may be missing then.
MaybePath = Annotated[pathlib.Path | None, Parameter(name=["--config", "-c"])]
Script = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
DEFAULT = pathlib.Path("qqops.toml")


@app.command
def demo(
    *,
    network: Literal["webqq", "onebot11"] = "webqq",
    profile: Profile = "webqq2013",
    script: Script = None,
    config: MaybePath = None,
    plugins: pathlib.Path | None = None,
    verbose: bool = False,
) -> int:
    """Talk to a bot on a simulator; break its connection. / 与模拟器上的机器人对话，断开它的连接。

    Args:
        network: WebQQ, or an implementation of OneBot v11. / 模拟的网络。
        profile: Generation of WebQQ. / WebQQ 的年代。
        script: Read the lines from a file (- for standard input) and print a transcript. / 从文件读取。
        config: Settings for the plugins; qqops.toml if there is one. / 插件的设置文件；默认为已有的 qqops.toml。
        plugins: Folder with plugins of one file each. / 单文件插件所在的目录。
        verbose: Show the log. / 显示日志。
    """
    hidden = logs.configure("text", "debug" if verbose else "error")
    if network == "onebot11":
        with needs_onebot():
            from qqops.cli.demo import run_onebot_demo

            return run_onebot_demo(script, hidden, config=config, plugins=plugins)
    from qqops.cli.demo import run_demo

    return run_demo(profile, script, hidden, config=config, plugins=plugins)


@app.command
def console(
    *,
    script: Script = None,
    config: MaybePath = None,
    plugins: pathlib.Path | None = None,
    verbose: bool = False,
) -> int:
    """Talk to a bot on a network in memory. / 在内存网络中与机器人对话。

    Args:
        script: Read the lines from a file (- for standard input) and print a transcript. / 从文件读取。
        config: Settings for the plugins; qqops.toml if there is one. / 插件的设置文件；默认为已有的 qqops.toml。
        plugins: Folder with plugins of one file each. / 单文件插件所在的目录。
        verbose: Show the log. / 显示日志。
    """
    from qqops.cli.console import run_console

    hidden = logs.configure("text", "debug" if verbose else "error")
    return run_console(script, hidden, narrate=verbose, config=config, plugins=plugins)


@app.command
def run(
    *,
    config: SettingsPath = DEFAULT,
    log_format: logs.LogFormat = "text",
    log_level: logs.LogLevel = "info",
    dev: bool = False,
) -> int:
    """Run the bot of a settings file. / 运行设置文件中的机器人。

    Args:
        config: The settings file. / 设置文件。
        log_format: Readable text, or JSON lines. / 日志格式。
        log_level: Lowest level that is shown. / 日志级别。
        dev: Reload plugins whose files change. / 文件改动时重新加载插件。
    """
    from qqops.cli.run import run_bot

    hidden = logs.configure(log_format, log_level)
    return run_bot(config, hidden, narrate=log_level == "debug", dev=dev)


@app.command
def init(*, config: SettingsPath = DEFAULT, force: bool = False) -> int:
    """Write a commented settings file. / 写一份带注释的设置文件。

    Args:
        config: The file to write. / 要写的文件。
        force: Overwrite an existing file. / 覆盖已有文件。
    """
    from qqops.cli.config import init as write

    logs.configure("text", "warning")
    return write(config, force=force)


@app.command
def check(*, config: MaybePath = None, strict: bool = False, traceback: bool = False) -> int:
    """Validate settings and plugins. / 检查设置与插件。

    Args:
        config: The settings file. / 设置文件。
        strict: Fail when a plugin is skipped, or has a note to be looked at. / 有插件被跳过或有待处理的提示即失败。
        traceback: Print the whole error of a skipped plugin. / 打印被跳过插件的完整错误。
    """
    from qqops.cli.config import check as validate

    logs.configure("text", "error" if strict else "warning")
    return validate(config, strict=strict, traceback=traceback)


@app.command
def doctor(*, config: MaybePath = None) -> int:
    """Say what is missing or wrong on this machine, and how to fix it. / 检查本机缺少什么、如何修复。

    Args:
        config: The settings file. / 设置文件。
    """
    from qqops.cli.doctor import doctor as examine

    logs.configure("text", "error")
    return examine(config)


@app.command
def backup(file: pathlib.Path, *, config: SettingsPath = DEFAULT) -> int:
    """Copy what the bot has stored, also while it runs, and check the copy. / 备份机器人的数据并校验，运行中也可以。

    Args:
        file: Where the copy goes. / 备份到的文件。
        config: The settings file. / 设置文件。
    """
    from qqops.cli.backup import backup as save

    logs.configure("text", "warning")
    return save(config, file)


@app.command
def restore(file: pathlib.Path, *, config: SettingsPath = DEFAULT) -> int:
    """Put a backup in the place of what is stored; the bot must not run. / 用备份恢复数据；机器人须已停止。

    Args:
        file: The backup. / 备份文件。
        config: The settings file. / 设置文件。
    """
    from qqops.cli.backup import restore as put_back

    logs.configure("text", "warning")
    return put_back(config, file)


@app.command
def audit(
    *,
    config: SettingsPath = DEFAULT,
    last: int = 20,
    follow: bool = False,
    json: bool = False,
    verify: bool = False,
) -> int:
    """Show what was done, by whom and who approved it. / 查看操作审计记录。

    Args:
        config: The settings file. / 设置文件。
        last: How many entries; 0 for all. / 显示多少条；0 为全部。
        follow: Go on with new ones. / 持续显示新记录。
        json: One JSON object a line. / 每行一个 JSON 对象。
        verify: Check that no line is missing or changed. / 检查记录是否缺失或被改动。
    """
    from qqops.cli.audit import check_audit, show_audit

    logs.configure("text", "warning")
    return check_audit(config) if verify else show_audit(config, last=last, follow=follow, as_json=json)


@settings.command(name="check")
def config_check(*, config: SettingsPath = DEFAULT) -> int:
    """Validate the settings alone: file, environment, tables of plugins. / 只检查设置：文件、环境变量、插件表。

    Args:
        config: The settings file. / 设置文件。
    """
    from qqops.cli.config import check_settings

    logs.configure("text", "error")
    return check_settings(config)


@settings.command(name="explain")
def config_explain(key: str = "", /, *, config: SettingsPath = DEFAULT) -> int:
    """Say what holds for each setting, where it comes from and what it means. / 列出各设置的当前值、来源和含义。

    Args:
        key: One setting or table, as bot or bot.language; all when it is left out. / 设置项或表；省略则列出全部。
        config: The settings file. / 设置文件。
    """
    from qqops.cli.config import explain

    logs.configure("text", "error")
    return explain(config, key)


@plugin.command(name="list")
def plugin_list(*, config: MaybePath = None) -> int:
    """List the plugins: version, state, load time, reason when skipped. / 列出插件。

    Args:
        config: The settings file. / 设置文件。
    """
    from qqops.cli.plugins import list_plugins

    logs.configure("text", "error")
    return list_plugins(config)


@plugin.command(name="check")
def plugin_check(name: str = "", /, *, config: MaybePath = None, traceback: bool = False) -> int:
    """Load a plugin, or all, and say what is wrong with it, or what it declares and where. / 加载插件，指出其中的错误，或列出它的声明及所在行。

    Args:
        name: The plugin; all when it is left out. / 插件名；省略则检查全部。
        config: The settings file. / 设置文件。
        traceback: Print the whole error of a skipped plugin. / 打印被跳过插件的完整错误。
    """
    from qqops.cli.plugins import check_plugins

    logs.configure("text", "error")
    return check_plugins(config, name, traceback=traceback)


@plugin.command(name="new")
def plugin_new(
    name: str,
    /,
    *,
    kind: Kind = "command",
    one_file: bool = False,
    into: pathlib.Path | None = None,
    author: str = "Your Name",
    licence: Licence = "MIT",
) -> int:
    """Begin a plugin: a package with tests, or one file beside the settings. / 新建插件：带测试的包，或设置文件旁的单个文件。

    Args:
        name: What it is called, as daily-luck. / 插件名，如 daily-luck。
        kind: command, listener, job, service or adapter. / 插件种类。
        one_file: Just plugins/NAME.py. / 只写 plugins/NAME.py。
        into: Folder to write it into. / 写入的目录。
        author: Who writes it. / 作者。
        licence: MIT, Apache-2.0 or none. / 许可证。
    """
    from qqops.cli.new import new_file, new_package

    if one_file:
        return new_file(into, name, kind, author)
    return new_package(into or pathlib.Path(), name, kind, author, licence)


def main(argv: list[str] | None = None) -> int:
    """Run a command line; return its exit code. Wrong settings or arguments: a line for each mistake and code 2."""
    try:
        code = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except (ConfigError, cyclopts.CycloptsError) as exc:
        _tell(exc)
        return exits.USAGE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BaseExceptionGroup as group:
        wrong, rest = group.split(ConfigError)
        if rest is None and wrong is not None:
            for leaf in _leaves(wrong):
                _tell(leaf)
            return exits.USAGE
        if rest is not None and rest.split(KeyboardInterrupt)[1] is None:
            return exits.INTERRUPTED
        raise
    return code if isinstance(code, int) else exits.OK


def _tell(exc: BaseException) -> None:
    """Print a line for each mistake."""
    for one in exc.all if isinstance(exc, ConfigError) else (exc,):
        print(f"qqops: {one}", file=sys.stderr)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for exc in group.exceptions
        for leaf in (_leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc])
    ]
