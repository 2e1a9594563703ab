"""The page about plugins that are not loaded: each of its examples is installed and checked."""

import importlib
import pathlib
import re
import sys
import tomllib

import pytest

from qqops.cli import exits
from qqops.cli.config import check

ROOT = pathlib.Path(__file__).parents[2]
PAGE = "how-to/load-errors.md"


def examples(language):
    """Return module, entry point, command and output of each example, in the order of the page."""
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


def test_both_pages_have_the_same_examples():
    assert list(examples("en")) == list(examples("zh"))
    assert len(list(examples("en"))) == 10


@pytest.mark.parametrize("number", range(10))
def test_the_page_shows_what_happens(number, tmp_path, monkeypatch, capsys):
    module, entry, command, output = list(examples("en"))[number]
    assert module.startswith("# hello_plugin.py\n")
    (tmp_path / "hello_plugin.py").write_text(module, "utf-8")
    dist = tmp_path / "hello-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[qqops.plugins]\nhello = {entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "hello_plugin", raising=False)
    importlib.invalidate_caches()
    assert re.fullmatch(r"\$ qqops check( --strict)?", command)
    strict = "--strict" in command
    code = check(None, strict=strict, traceback=False)
    sys.modules.pop("hello_plugin", None)
    shown = "".join(
        line for line in capsys.readouterr().out.splitlines(keepends=True) if line.startswith("plugin ")
    )
    assert shown.replace(f"{tmp_path}/", "") == output
    assert code == (exits.FAILED if strict else exits.OK)
