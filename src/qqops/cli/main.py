"""All commands and their options; what they do stands in their own modules, imported when they are called."""

from __future__ import annotations

import pathlib
import sys
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

import qqops
from qqops.cli import exits, logs
from qqops.errors import ConfigError

app = cyclopts.App(
    name="qqops",
    help="A plugin-driven chatops framework for QQ. / 面向 QQ 的插件式聊天运维框架。",
    version=qqops.__version__,
)
simulate = cyclopts.App(name="simulate", help="Run a service to connect to. / 运行模拟服务。")
plugin = cyclopts.App(name="plugin", help="Look at plugins. / 查看插件。")
app.command(simulate)
app.command(plugin)

Profile = Literal["webqq2013", "smartqq"]
SettingsPath = Annotated[pathlib.Path, Parameter(name=["--config", "-c"])]
Script = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
DEFAULT = pathlib.Path("qqops.toml")


@app.command
def demo(*, profile: Profile = "webqq2013", script: Script = None, verbose: bool = False) -> int:
    """Talk to a bot on the WebQQ simulator; break its connection. / 与模拟器上的机器人对话，断开它的连接。

    Args:
        profile: Generation of WebQQ. / WebQQ 的年代。
        script: Read the lines from a file (- for standard input) and print a transcript. / 从文件读取。
        verbose: Show the log. / 显示日志。
    """
    from qqops.cli.demo import run_demo

    logs.configure("text", "debug" if verbose else "error")
    return run_demo(profile, script)


@app.command
def console(*, script: Script = None, verbose: bool = False) -> int:
    """Talk to a bot on a network in memory. / 在内存网络中与机器人对话。

    Args:
        script: Read the lines from a file (- for standard input) and print a transcript. / 从文件读取。
        verbose: Show the log. / 显示日志。
    """
    from qqops.cli.demo import run_console

    logs.configure("text", "debug" if verbose else "error")
    return run_console(script)


@app.command
def run(
    *, config: SettingsPath = DEFAULT, log_format: logs.LogFormat = "text", log_level: logs.LogLevel = "info"
) -> int:
    """Run the bot of a settings file. / 运行设置文件中的机器人。

    Args:
        config: The settings file. / 设置文件。
        log_format: Readable text, or JSON lines. / 日志格式。
        log_level: Lowest level that is shown. / 日志级别。
    """
    from qqops.cli.run import run_bot

    logs.configure(log_format, log_level)
    return run_bot(config)


@app.command
def init(*, config: SettingsPath = DEFAULT, force: bool = False) -> int:
    """Write a commented settings file. / 写一份带注释的设置文件。

    Args:
        config: The file to write. / 要写的文件。
        force: Overwrite an existing file. / 覆盖已有文件。
    """
    from qqops.cli.config import init as write

    return write(config, force=force)


@app.command
def check(*, config: SettingsPath = DEFAULT, strict: bool = False) -> int:
    """Validate settings and plugins. / 检查设置与插件。

    Args:
        config: The settings file. / 设置文件。
        strict: Fail when a plugin is skipped. / 有插件被跳过即失败。
    """
    from qqops.cli.config import check as validate

    logs.configure("text", "error" if strict else "warning")
    return validate(config, strict=strict)


@app.command
def doctor(*, config: SettingsPath = DEFAULT) -> int:
    """Say what is missing or wrong on this machine, and how to fix it. / 检查本机缺少什么、如何修复。

    Args:
        config: The settings file. / 设置文件。
    """
    from qqops.cli.doctor import doctor as examine

    logs.configure("text", "error")
    return examine(config)


@plugin.command(name="list")
def plugin_list(*, config: SettingsPath = DEFAULT) -> int:
    """List the plugins: version, state, load time, reason when skipped. / 列出插件。

    Args:
        config: The settings file. / 设置文件。
    """
    from qqops.cli.plugins import list_plugins

    logs.configure("text", "error")
    return list_plugins(config)


@simulate.command
def webqq(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    profile: str = "auto",
    hold: float = 60.0,
    world: pathlib.Path | None = None,
    scenario: pathlib.Path | None = None,
    lenient: bool = False,
    captcha: bool = False,
    qr: Literal["auto", "manual"] = "auto",
    reshuffle: bool = True,
    seed: int | None = None,
) -> int:
    """Run the WebQQ simulator; prints `ready URL` when it listens. / 运行 WebQQ 模拟器。

    Args:
        host: Address to listen on. / 监听地址。
        port: Port, 0 for a free one. / 端口。
        profile: Generation, as webqq2013 or smartqq@2018-01; auto goes by what a client sends. / 年代。
        hold: Seconds a poll is held. / 轮询保持的秒数。
        world: TOML file with people and groups. / 人与群的 TOML 文件。
        scenario: TOML file with what shall happen when. / 剧本的 TOML 文件。
        lenient: Leave out the checks. / 不做检查。
        captcha: Ask for a captcha at each login. / 每次登录要求验证码。
        qr: Scan QR codes automatically, or through the control API. / 自动扫码或经由控制接口。
        reshuffle: New uin and gid at each login. / 每次登录更换 uin 与 gid。
        seed: Seed of everything random. / 随机种子。
    """
    from qqops.cli.run import run_simulator
    from qqops.simulator.service import ServiceOptions

    if not hold > 0:
        raise ConfigError(f"--hold must be > 0 seconds, got {hold:g}")
    if not 0 <= port < 65536:
        raise ConfigError(f"--port must be 0 to 65535, got {port}")
    logs.configure("text", "warning")
    options = ServiceOptions(
        profile=profile, hold=hold, lenient=lenient, captcha=captcha, qr_auto=qr == "auto", reshuffle=reshuffle,
        seed=seed,
    )  # fmt: skip
    return run_simulator(host, port, options, world, scenario)


def main(argv: list[str] | None = None) -> int:
    """Run a command line; return its exit code. Wrong settings or arguments: one message and code 2."""
    try:
        code = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except (ConfigError, cyclopts.CycloptsError) as exc:
        print(f"qqops: {exc}", file=sys.stderr)
        return exits.USAGE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BaseExceptionGroup as group:
        wrong, rest = group.split(ConfigError)
        if rest is None and wrong is not None:
            for leaf in _leaves(wrong):
                print(f"qqops: {leaf}", file=sys.stderr)
            return exits.USAGE
        if rest is not None and rest.split(KeyboardInterrupt)[1] is None:
            return exits.INTERRUPTED
        raise
    return code if isinstance(code, int) else exits.OK


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for exc in group.exceptions
        for leaf in (_leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc])
    ]
