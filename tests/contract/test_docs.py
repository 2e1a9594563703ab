"""Docs and code say the same, in both languages."""

import inspect
import pathlib
import re
import typing

import attrs
import pytest

import qqops
from qqops import settings
from qqops._accounts import AccountSettings, LinkSettings
from qqops._explain import meanings_of
from qqops.adapters import memory
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.webqq import options as webqq
from qqops.cli import exits
from qqops.model.allowed import Between
from qqops.plugin import hooks
from qqops.plugin.hooks import Hooks
from qqops.runtime.granted import RulesSettings
from qqops_essentials import plugin as essentials
from qqops_qqofficial import options as qqofficial

ROOT = pathlib.Path(__file__).parents[2]
LANGUAGES = ("en", "zh")


def page(language, name):
    return (ROOT / "docs" / language / name).read_text("utf-8")


def test_both_languages_have_the_same_pages():
    trees = [
        {p.relative_to(ROOT / "docs" / lang) for p in (ROOT / "docs" / lang).rglob("*.md")}
        for lang in LANGUAGES
    ]
    assert trees[0] == trees[1]
    assert len(trees[0]) >= 11


def shape(text):
    """Headings by level, rows of tables and fences: what twins must share."""
    body = re.sub(r"```.*?```", "```", text, flags=re.DOTALL)
    return (
        [len(m[1]) for m in re.finditer(r"^(#+) ", body, re.MULTILINE)],
        len(re.findall(r"^\|", body, re.MULTILINE)),
        text.count("```"),
    )


@pytest.mark.parametrize(
    "name", sorted(str(p.relative_to(ROOT / "docs/en")) for p in (ROOT / "docs/en").rglob("*.md"))
)
def test_twins_have_the_same_shape(name):
    assert shape(page("en", name)) == shape(page("zh", name))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_pages_with_commands_of_the_essentials_say_how_to_get_them(bots, language):
    async with bots.run(essentials) as bot:
        words = {command.path[0] for command in bot.app.registry.commands}
    assert {"ping", "help", "plugin", "approve"} <= words
    used = re.compile(rf"(?<![\w/.:*])/({'|'.join(sorted(words))})\b(?![/.-])")
    pages = [ROOT / ("README.md" if language == "en" else "README.zh.md")]
    pages += sorted((ROOT / "docs" / language).rglob("*.md"))
    using = [path for path in pages if used.search(path.read_text("utf-8"))]
    assert len(using) >= 10
    silent = [
        str(path) for path in using
        if "qqops[essentials" not in "".join(path.read_text("utf-8").splitlines(keepends=True)[:20])
    ]  # fmt: skip
    assert silent == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_documented(language):
    text = page(language, "reference/settings.md")
    tables = {"bot": settings.BotSettings, "plugins": settings.PluginSettings, "dispatch": settings.DispatchPolicy,
              "outbox": settings.OutboxPolicy, "journal": settings.JournalPolicy, "store": settings.StorePolicy,
              "rules": RulesSettings}  # fmt: skip
    keys = [
        f"{table}.{a.name}" for table, cls in tables.items() for a in attrs.fields(cls) if a.name != "tables"
    ]
    classes = (AccountSettings, LinkSettings, webqq.WebQQOptions, OneBotOptions, memory.MemoryOptions)
    keys += [a.name for cls in classes for a in attrs.fields(cls)]
    assert [key for key in keys if f"| `{key}` |" not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_documented_defaults_are_true(language):
    text = page(language, "reference/settings.md")
    for table, cls in {"dispatch": settings.DispatchPolicy, "outbox": settings.OutboxPolicy}.items():
        for key, default in attrs.asdict(cls()).items():
            assert f"| `{table}.{key}` | {default:g} |" in text
    for cls in (LinkSettings, webqq.WebQQOptions, OneBotOptions):
        for field in attrs.fields(cls):
            if isinstance(field.default, int | float) and not isinstance(field.default, bool):
                assert f"| `{field.name}` | {field.default:g} |" in text, field.name


#: All that a settings file may hold, but for the tables of plugins.
CLASSES = (
    settings.Settings, settings.BotSettings, settings.PluginSettings, settings.OneRoom, settings.DispatchPolicy,
    settings.OutboxPolicy, settings.JournalPolicy, settings.BlobPolicy, settings.StorePolicy, RulesSettings, AccountSettings,
    LinkSettings, webqq.WebQQOptions, OneBotOptions, memory.MemoryOptions, qqofficial.Options,
)  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_every_number_in_the_settings_says_what_it_may_be(cls):
    """Nothing is below zero, endless or absurd: the kind of a number says so, and its default keeps to it."""
    for name, kind in typing.get_type_hints(cls, include_extras=True).items():
        inner, *_ = typing.get_args(kind) if typing.get_origin(kind) is tuple else (kind,)
        number = inner if typing.get_origin(inner) is not typing.Annotated else inner.__origin__
        if number not in (int, float):
            continue
        bounds = [rule for rule in getattr(inner, "__metadata__", ()) if isinstance(rule, Between)]
        assert bounds, f"{cls.__name__}.{name} may be anything"
        assert bounds[0].least >= 0
        default = getattr(attrs.fields(cls), name).default
        for value in default if isinstance(default, tuple) else (default,):
            bounds[0].check(value)


@pytest.mark.parametrize("cls", CLASSES)
def test_config_explain_has_a_meaning_for_every_setting(cls):
    tables = {
        "bot",
        "plugins",
        "dispatch",
        "outbox",
        "journal",
        "blobs",
        "http",
        "store",
        "rooms",
        "rules",
        "accounts",
        "tables",
    }
    meanings = meanings_of(cls)
    assert [a.name for a in attrs.fields(cls) if a.name not in meanings and a.name not in tables] == []
    assert all("\n" not in text and text for text in meanings.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_hook_is_documented_with_its_parameters(language):
    text = page(language, "reference/hooks.md")
    specs = {name: f for name, f in vars(Hooks).items() if name.startswith("qqops_")}
    assert specs
    for name, function in specs.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        for parameter in list(inspect.signature(function).parameters)[1:]:
            assert f"`{parameter}`" in row
    assert hooks.ENTRY_POINTS in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_flag_and_exit_code_is_documented(language):
    from qqops.cli.main import app

    text = page(language, "reference/cli.md")

    def commands(node, path):
        for name in node:
            if not name.startswith("-"):
                yield from commands(node[name], f"{path} {name}")
        if node.default_command is not None:
            yield path, node.default_command

    found = dict(commands(app, "qqops"))
    assert len(found) == 17
    for path, function in found.items():
        assert f"`{path}" in text, path
        for name, parameter in inspect.signature(function).parameters.items():
            positional = parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY
            flag = (
                name.upper() if positional else f"--no-{name}" if parameter.default is True else f"--{name}"
            )
            assert flag.replace("_", "-") in text, (path, name)
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert all(f"| {code} |" in text for code in codes)


@pytest.mark.parametrize("language", LANGUAGES)
def test_faults_and_control_calls_are_documented(language):
    from qqops.simulator.control import Control
    from qqops.simulator.faults import KINDS

    text = page(language, "how-to/simulator.md")
    assert all(f"| `{kind}` |" in text for kind in KINDS)
    calls = re.findall(r'\("(GET|POST)", "(\w+)"\)', inspect.getsource(Control))
    assert len(calls) == 10
    assert all(f"| `{method} {name}` |" in text for method, name in calls)


@pytest.mark.parametrize("language", LANGUAGES)
def test_faults_and_flavors_of_onebot_are_documented(language):
    from qqops.simulator.onebot.makes import MAKES
    from qqops.simulator.onebot.server import KINDS

    text = page(language, "how-to/simulator.md").split("## OneBot v11")[1]
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []
    assert all(f"`{flavor}`" in page(language, "reference/cli.md") for flavor in MAKES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_event_and_action_classes_are_documented(language):
    from qqops import model

    text = page(language, "reference/plugin-api.md")
    names = [
        name for name, one in vars(model).items()
        if isinstance(one, type) and issubclass(one, model.Event | model.Action)
    ]  # fmt: skip
    assert [name for name in names if f"`{name}" not in text and f"({name}(" not in text] == []


def test_every_public_name_has_a_docstring():
    missing = [
        name
        for name in qqops.__all__
        if not inspect.getdoc(getattr(qqops, name)) and inspect.isclass(getattr(qqops, name))
    ]
    assert missing == []


def test_public_names_are_listed_and_exist():
    assert all(hasattr(qqops, name) for name in qqops.__all__)


def test_builtin_plugins_use_only_the_public_api():
    for path in (ROOT / "plugins_builtin").rglob("src/**/*.py"):
        for line in path.read_text("utf-8").splitlines():
            match = re.match(r"\s*(?:from|import) (qqops[\w.]*)", line)
            if match:
                assert match[1] in ("qqops", "qqops.adapter", "qqops.onebot") or match[1].startswith(
                    "qqops_"
                ), f"{path}: {line}"


def test_no_module_is_longer_than_it_may_be():
    long = [
        f"{path.relative_to(ROOT)}: {n} lines"
        for folder in ("src", "plugins_builtin")
        for path in (ROOT / folder).rglob("*.py")
        if "tests" not in path.parts
        if (n := len(path.read_text("utf-8").splitlines())) > 400
    ]
    assert long == []


def test_readmes_are_twins():
    assert shape((ROOT / "README.md").read_text("utf-8")) == shape((ROOT / "README.zh.md").read_text("utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rooms_that_the_page_of_the_house_names_exist(language):
    block = page(language, "explanation/house.md").split("```text")[2].split("```")[0]
    folder, named = ROOT / "src/qqops", 0
    for line in block.strip().splitlines():
        if not line.startswith(" "):
            package = folder / line.strip()
            continue
        rooms = re.match(r"\s+(.*?)(?:\s{2,}|$)", line)[1]
        for name in re.findall(r"[\w/.]+", rooms):
            named += 1
            assert (package / name).exists() or (package / f"{name}.py").exists(), name
    assert named >= 30, "the page has another form now"


def test_the_log_and_the_journal_have_words_of_their_own_in_chinese():
    """日志 is the log; the journal is 收发记录, and both pages about what survives speak of it."""
    for name in (
        "explanation/reliability.md",
        "explanation/house.md",
        "explanation/performance.md",
        "how-to/run-a-bot.md",
    ):
        english, chinese = page("en", name).lower(), page("zh", name)
        named = len(
            re.findall(r"\bjournal\b(?!\.)", re.sub(r"`[^`]*`|```.*?```", "", english, flags=re.DOTALL))
        )
        assert bool(named) is ("收发记录" in chinese), name
