"""No secret of the settings gets into anything that the bot writes, whatever fails and whatever the error says."""

import contextlib
import copy
import json
import logging
import pickle
import urllib.parse
from collections.abc import AsyncGenerator

import attrs
import pytest
import structlog
import trio

from qqops import Access, Ctx, Draft, Message, Next, Plugin, Secret
from qqops.assemble import add_accounts, make_app
from qqops.errors import PluginError
from qqops.model import AccountRef
from qqops.runtime._audit_file import AuditFile
from qqops.runtime.audit import Audit
from qqops.runtime.hidden import Hidden
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.settings import load_settings
from qqops.testing.failures import in_words

#: Put together here, so that no line of source that a traceback shows has it.
TEXT = "-".join(("hunter2", "hunter2"))


@attrs.frozen(kw_only=True)
class Config:
    token: Secret
    says: bool = False


def trouble(cfg):
    """Fail with a secret and its text in the local variables, and in the message if *cfg* says so."""
    token, plain = cfg.token, cfg.token.reveal()
    try:
        raise KeyError(f"denied: {plain}" if cfg.says else "denied")
    except KeyError as exc:
        raise ExceptionGroup("all of it", [ValueError(f"with {token} {plain if cfg.says else ''}")]) from exc


def failing(held):
    """Return a plugin of which everything fails; *held* gets its configuration."""
    plugin = Plugin("deploy")
    plugin.config(Config)

    @plugin.command("go")
    async def go(*, cfg: Config) -> str:
        secret = cfg.token.reveal()
        trouble(cfg)
        return secret

    @plugin.command("plain")
    def plain(*, cfg: Config) -> str:
        trouble(cfg)
        return ""

    @plugin.command("lean")
    async def lean(*, of: Pool) -> str:
        return "up"

    @plugin.command("sends")
    async def sends() -> str:
        return "outgoing"

    @plugin.command("filtered")
    async def filtered() -> str:
        return "x"

    @plugin.command("why")
    async def why(ctx: Ctx, *, access: Access) -> str:
        found = access.why_message(ctx)
        return "\n".join(f"{ctx.render(one.reason)} {one.stages(ctx.render)}" for one in found if one.reason)

    @plugin.on(Message, keyword="listen")
    async def hear(*, cfg: Config) -> None:
        trouble(cfg)

    @plugin.job(every=3600)
    async def report(*, cfg: Config) -> None:
        trouble(cfg)

    @plugin.filter
    async def strict(ctx: Ctx, call: Next) -> None:
        if isinstance(ctx.event, Message) and "filtered" in ctx.event.text:
            trouble(held[0])
        await call()

    @plugin.outgoing
    def check(draft: Draft) -> Draft:
        if draft.text == "outgoing":
            trouble(held[0])
        return draft

    @plugin.task(restart="never")
    async def watch(*, cfg: Config) -> None:
        held.append(cfg)
        await trio.sleep(1)
        trouble(cfg)

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool(cfg: Config) -> AsyncGenerator[Pool]:
        await trio.lowlevel.checkpoint()
        trouble(cfg)
        yield Pool()

    return plugin


class Pool:
    """What a service provides."""


class BrokenAdapter:
    """As the one in memory, but its session fails."""

    def __init__(self, adapter, cfg):
        self._adapter = adapter
        self._cfg = cfg
        self.account = AccountRef("memory", "broken")

    def __getattr__(self, name):
        return getattr(self._adapter, name)

    async def serve(self, link, outbox):
        await trio.lowlevel.checkpoint()
        trouble(self._cfg)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("says", [False, True], ids=["in-locals", "in-the-message"])
async def test_whatever_fails_shows_no_secret(logged, bots, tmp_path, log_format, level, says):
    hidden, held = Hidden(), []
    # What only lies in local variables is nowhere to be masked.
    file = logged(log_format, level, hidden if says else None)
    plugin = failing(held)
    audit = []

    def audited(clock):
        audit.append(AuditFile(tmp_path))
        return Audit(clock, audit[0])

    config = {"token": TEXT, "says": says}
    async with bots.run(plugin, config=config, hidden=hidden, audit=audited) as bot:
        bot.app.narrate()
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops, roles="owner")
        adapter = bot.app.supervisors[0].adapter
        bot.app.add_account(BrokenAdapter(adapter, held[0]), LinkPolicy(), OutboxPolicy())
        for line in ("/go", "/plain", "/lean", "/filtered", "/sends", "listen", f"/wrong {'x' * 3}"):
            await ali.say(line)
            await bot.advance(2)
            await ali.say("/why")
            await bot.advance(2)
        await bot.run_job("report")
        await bot.advance(5)
        failures = [in_words(one.error) for one in bot.failures]
        kinds = {getattr(one, "what", "handler") for one in bot.failures}
        bot.failures.clear()
        bot.leaks.clear()
        said = "\n".join(bot.transcript)
        records = repr(bot.records)
        await bot.stop()
        bot.failures.clear()
    assert kinds >= {"handler", "service", "task", "outgoing function"}
    everything = {"log": file.getvalue(), "chat": said}
    everything |= {
        str(path): path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()
    }
    if not says:  # the author's own words are shown to the author as they are
        everything["failures"] = "\n".join(failures)
        everything["records"] = records
    assert "went wrong" in said
    assert "trouble" in everything["log"]
    assert "unexpected error in an adapter" in everything["log"]
    assert "ExceptionGroup" in everything["log"]
    assert [where for where, text in everything.items() if TEXT in text] == []
    if says:
        assert "***" in everything["log"]


def test_a_secret_prints_as_stars_and_travels_nowhere():
    secret = Secret(TEXT)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret]),
             repr(attrs.asdict(Config(token=secret))), repr(Config(token=secret)), json.dumps([secret], default=str)]  # fmt: skip
    assert all(TEXT not in one and "***" in one for one in shown)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": secret})["a"] is secret
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)


def log_of(logged, hidden, log_format="json", **values):
    file = logged(log_format, "debug", hidden)
    structlog.get_logger().info("it", **values)
    return file.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "value",
    [
        TEXT, [TEXT], {"a": {TEXT: 1}}, (1, (TEXT,)), ValueError(TEXT), PluginError(TEXT), TEXT.encode(), {TEXT},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_secrets_are_masked_wherever_they_stand_in_a_line(logged, log_format, value):
    hidden = Hidden()
    hidden.learn({"accounts": [Config(token=Secret(TEXT))]})
    text = log_of(logged, hidden, log_format, value=value)
    assert TEXT not in text
    assert "***" in text


@pytest.mark.parametrize("secret", ['quo"te\\d', "tab\there", "päss wörd", "a/b?c=d&e", "中文密码吧"])
def test_secrets_are_masked_as_others_write_them(logged, secret):
    hidden = Hidden()
    hidden.learn([Secret(secret)])
    ways = [
        secret,
        repr(secret),
        json.dumps(secret),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
    ]
    text = log_of(logged, hidden, ways=ways, error=ValueError(*ways))
    found = json.loads(text)["ways"]
    assert all("***" in one for one in found)
    assert all(way.strip("'\"") not in text for way in ways)


def test_each_line_of_a_key_is_masked_in_the_frame_of_a_group(logged):
    hidden = Hidden()
    lines = ["-----BEGIN-----", "AAAABBBBCCCC", "DDDDEEEE"]
    hidden.learn(Secret("\n".join(lines)))
    file = logged("text", "info", hidden)
    try:
        raise ExceptionGroup("both", [ValueError("bad key:\n" + "\n".join(lines)), KeyError("x")])
    except ExceptionGroup:
        logging.getLogger("lib").exception("it failed")
    assert not [line for line in lines if line in file.getvalue()]


def test_the_longer_of_two_secrets_is_masked_as_a_whole(logged):
    hidden = Hidden()
    hidden.learn([Secret("abcd"), Secret("abcd-efgh")])
    assert hidden.mask("x abcd-efgh y abcd") == "x *** y ***"


def test_a_password_in_a_secret_address_is_one_by_itself():
    hidden = Hidden()
    hidden.learn(Secret("postgresql://qqops:p%40ssword@db.example.org/qqops"))
    assert (
        hidden.mask("p@ssword is wrong for qqops at db.example.org")
        == "*** is wrong for qqops at db.example.org"
    )
    assert hidden.mask("p%40ssword") == "***"


def test_the_store_s_address_is_hidden(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text("[store]\nurl = { env = 'U' }\n")
    environ = {"U": "postgresql://qqops:s3cret-word@127.0.0.1/qqops", "QQOPS_PLUGINS": "none"}
    settings, file = load_settings(path, environ)
    app = make_app(settings, [], environ, file=file)
    assert app.hidden.mask("no entry with s3cret-word") == "no entry with ***"


def test_what_is_too_short_is_no_secret_to_a_log(logged):
    hidden = Hidden()
    hidden.learn([Secret("abc"), Secret("")])
    assert hidden.mask("abc") == "abc"


def test_a_line_that_is_not_written_costs_no_search(logged):
    hidden = Hidden()
    hidden.learn([Secret(TEXT)])
    logged("text", "info", hidden)
    masked = []
    hidden.mask = masked.append
    structlog.get_logger().debug("quiet", text=TEXT)
    logging.getLogger("lib").debug("quiet %s", TEXT)
    assert masked == []


async def test_a_refusal_tells_why_without_the_secret_in_it(bots):
    plugin = Plugin("pool")
    plugin.config(Config)

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool(cfg: Config) -> AsyncGenerator[Pool]:
        await trio.lowlevel.checkpoint()
        raise PluginError(f"denied for {cfg.token.reveal()}")
        yield Pool()

    @plugin.command("use")
    async def use(*, pool: Pool) -> str:
        return "used"

    async with bots.run(plugin, config={"token": TEXT}) as bot:
        await bot.user("ali").say("/use")
        await bot.expect(r"denied for \*\*\*")
        bot.failures.clear()


def test_secrets_of_accounts_are_hidden_as_the_bot_is_put_together(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text(
        '[accounts.main]\nnetwork = "onebot11"\nurl = "ws://127.0.0.1:1/"\ntoken = { env = "T" }\n'
    )
    environ = {"T": TEXT, "QQOPS_PLUGINS": "none"}
    settings, file = load_settings(path, environ)
    hidden = Hidden()
    app = make_app(settings, [], environ, file=file, hidden=hidden)
    add_accounts(app, settings, file, environ)
    assert hidden.mask(f"401 for {TEXT}") == "401 for ***"


def test_what_bots_logs_by_itself_shows_no_local_variables(bots):
    assert structlog.dev.ConsoleRenderer.get_active().exception_formatter is structlog.dev.plain_traceback
