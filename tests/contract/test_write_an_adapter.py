"""The page on writing an adapter: all of its code runs, and its network keeps the contract."""

import re
import tomllib

import pytest
import trio
from pluggy import PluginManager

from qqops._accounts import accounts
from qqops.errors import TransientError
from qqops.model import AccountRef, Secret
from qqops.plugin import hooks
from qqops.settings import load_settings
from qqops.testing.contract import CAN

from . import _pages as pages


class TestParley(pages.tests.TestParley):
    """The whole contract, for the network of the page."""


def test_all_code_of_the_page_is_run():
    known = {"pyproject.toml", "qqops.toml", "qqops_parley/__init__.py", "qqops_parley/line.py",
             "qqops_parley/adapter.py", "tests/test_parley.py"}  # fmt: skip
    assert files_and_fences("en") == (known, len(known))


def files_and_fences(language):
    text = (pages.ROOT / "docs" / language / "how-to/write-an-adapter.md").read_text("utf-8")
    return set(pages.files(language)), text.count("\n```python") + text.count("\n```toml")


def test_both_languages_have_the_same_code():
    assert pages.files("en") == pages.files("zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_that_a_network_can_is_documented(language):
    text = (pages.ROOT / "docs" / language / "how-to/write-an-adapter.md").read_text("utf-8")
    assert [what for what in CAN if f"| `{what}` |" not in text] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_test_that_the_page_explains_exists(language):
    text = (pages.ROOT / "docs" / language / "how-to/write-an-adapter.md").read_text("utf-8")
    named = [part.strip("…`") for part in re.findall(r"`…?[a-z_]+…?`", text) if "…" in part]
    assert len(named) > 15
    every = " ".join(dir(TestParley))
    assert [name for name in named if name not in every] == []


def test_the_package_is_found_and_opens_the_account_of_the_settings(tmp_path):
    project = tomllib.loads(pages.files("en")["pyproject.toml"])["project"]
    [(_, module)] = project["entry-points"][hooks.ENTRY_POINTS].items()
    assert module == pages.package.__name__
    manager = PluginManager("qqops")
    manager.add_hookspecs(hooks.Hooks)
    manager.register(pages.package)
    [[network]] = manager.hook.qqops_networks()

    path = tmp_path / "qqops.toml"
    path.write_text(pages.files("en")["qqops.toml"], "utf-8")
    path.chmod(0o600)
    settings, file = load_settings(path, {})
    [account] = accounts(settings.accounts, file, {network.name: network}, {})
    assert account.options == pages.package.Options(host="chat.example.org", password=Secret("…"))


@pytest.mark.slow
def test_the_package_has_strict_types(tmp_path):
    mypy = pytest.importorskip("mypy.api")
    for path, code in pages.files("en").items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(code, "utf-8")
    asked = [
        "--strict",
        f"--cache-dir={tmp_path / 'cache'}",
        "--config-file=",
        str(tmp_path / "qqops_parley"),
    ]
    said, trouble, code = mypy.run(asked)
    assert code == 0, said + trouble


@pytest.mark.trio
async def test_a_server_that_is_not_there_is_a_transient_error():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    options = pages.package.Options(host="127.0.0.1", port=port, password=Secret(""))
    parley = pages.adapter.Parley(AccountRef("parley", "main"), options)
    with pytest.raises(TransientError, match="cannot connect to 127"):
        await parley.serve(None, None)
