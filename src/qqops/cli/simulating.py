"""``qqops simulate``: its commands and their options; what they do is imported when they are called."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from qqops.cli import logs
from qqops.errors import ConfigError

simulate = cyclopts.App(name="simulate", help="Run a service to connect to. / 运行模拟服务。")


@simulate.command
def webqq(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    profile: str = "auto",
    hold: float = 60.0,
    world: pathlib.Path | None = None,
    scenario: pathlib.Path | None = None,
    accounts: int = 0,
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
        accounts: Add this many bot accounts to the world. / 另加这么多机器人账号。
        lenient: Leave out the checks. / 不做检查。
        captcha: Ask for a captcha at each login. / 每次登录要求验证码。
        qr: Scan QR codes automatically, or through the control API. / 自动扫码或经由控制接口。
        reshuffle: New uin and gid at each login. / 每次登录更换 uin 与 gid。
        seed: Seed of everything random. / 随机种子。
    """
    from qqops.cli.simulate import run_simulator
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
    return run_simulator(host, port, options, world, scenario, accounts)


@simulate.command
def onebot11(
    *,
    flavor: str = "napcat",
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    reverse: list[str] | None = None,
    post: str = "",
    account: int = 0,
    world: pathlib.Path | None = None,
    scenario: pathlib.Path | None = None,
) -> int:
    """Run a simulated implementation of OneBot v11; prints `ready URL`. / 模拟一个 OneBot v11 实现端。

    Args:
        flavor: napcat, llbot, lagrange, gocq, snowluma or euler. / 模拟哪一种实现。
        host: Address to listen on. / 监听地址。
        port: Port, 0 for a free one. / 端口。
        token: Access token. / 访问令牌。
        reverse: Dial this URL, too; api+event:URL for a pair. May be repeated. / 反向连接的地址，可重复。
        post: Post events to this URL. / 以 HTTP POST 上报事件的地址。
        account: QQ number of the account; the first bot of the world if 0. / 账号。
        world: TOML file with people and groups. / 人与群的 TOML 文件。
        scenario: TOML file with what shall happen when. / 剧本的 TOML 文件。
    """
    with needs_onebot():
        from qqops.cli.simulate import run_onebot

    if not 0 <= port < 65536:
        raise ConfigError(f"--port must be 0 to 65535, got {port}")
    logs.configure("text", "warning")
    return run_onebot(flavor, host, port, token, reverse or [], post, account, world, scenario)


@simulate.default
def other(name: str, *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run a simulator that a plugin brings. / 运行插件自带的模拟器。

    Args:
        name: Its name, as qqofficial. / 名称。
        arguments: Its own options; `-- --help` lists them. / 它自己的选项。
    """
    from qqops.cli.simulate import run_other

    logs.configure("text", "warning")
    return run_other(name, list(arguments))


@contextlib.contextmanager
def needs_onebot() -> Iterator[None]:
    """Say what to install when the extra is missing. Raises `ConfigError`."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name not in ("websockets", "msgspec"):
            raise
        raise ConfigError("OneBot needs more packages", hint="pip install 'qqops[onebot]'") from exc
