"""The page about plugins that are not loaded: each of its examples is installed and checked."""

import importlib
import importlib.metadata
import pathlib
import re
import sys
import tomllib

import pytest
import structlog

from qqops.cli import exits
from qqops.cli.main import main
from qqops.plugin._modules import BESIDE

ROOT = pathlib.Path(__file__).parents[2]
VERSION = importlib.metadata.version("qqops-essentials")
PAGE = "how-to/load-errors.md"


def examples(language):
    """Return file, entry point, command and output of each example, in the order of the page."""
    page = (ROOT / "docs" / language / PAGE).read_text("utf-8")
    module, entry = "", "hello_plugin"
    for kind, body in re.findall(r"^```(python|toml|text)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        if kind == "python":
            module = body
        elif kind == "toml":
            entry = tomllib.loads(body)["project"]["entry-points"]["qqops.plugins"]["hello"]
        else:
            command, _, output = body.partition("\n")
            yield module, entry, command, output
            entry = "hello_plugin"


@pytest.fixture(autouse=True)
def _log_as_before():
    """A command line says where the log goes, for the whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_both_pages_have_the_same_examples():
    assert list(examples("en")) == list(examples("zh"))
    assert len(list(examples("en"))) == 18


@pytest.mark.parametrize("number", range(18))
def test_the_page_shows_what_happens(number, tmp_path, monkeypatch, capsys):
    module, entry, command, output = list(examples("en"))[number]
    file = re.match(r"# (.+\.py)\n", module)[1]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(module, "utf-8")
    if file == "hello_plugin.py":
        dist = tmp_path / "hello-1.0.dist-info"
        dist.mkdir()
        (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        (dist / "entry_points.txt").write_text(f"[qqops.plugins]\nhello = {entry}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "hello_plugin", raising=False)
        importlib.invalidate_caches()
    else:
        (tmp_path / "qqops.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert command.startswith("$ qqops ")
    code = main(command.split()[2:])
    for name in [name for name in sys.modules if name == "hello_plugin" or name.startswith(BESIDE)]:
        del sys.modules[name]
    said = capsys.readouterr()
    shown = "".join(line for line in said.out.splitlines(keepends=True) if line.startswith("plugin "))
    shown += "".join(line for line in said.err.splitlines(keepends=True) if line.startswith("qqops: "))
    assert shown.replace(f"{tmp_path}/", "") == re.sub(r"(?<=qqops-essentials )[\d.]+", VERSION, output)
    strict = exits.FAILED if "--strict" in command else exits.OK
    assert code == (exits.USAGE if "plugin new" in command else strict)
