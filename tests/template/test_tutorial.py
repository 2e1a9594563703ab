"""The tutorial is done as it is printed, from an empty folder: its commands, its files, and what the console answers."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Seconds after which something hangs.
HANGS = 300
FILE = re.compile(r"# (\S+\.(?:py|toml))\n")


def blocks(language="en"):
    """Return kind and text of what is fenced in the page, in its order."""
    page = (ROOT / "docs" / language / "tutorial" / "first-plugin.md").read_text("utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


class Reader:
    """Somebody who does what the page says, in one shell."""

    def __init__(self, folder, environ):
        self.folder = folder
        self.environ = environ

    def type(self, commands, answers=""):
        """Run *commands*; what is typed into the last one stands in the transcript *answers*, and so does what it says."""
        said = answers.splitlines()
        typed = "\n".join(line.partition("> ")[2] for line in said if not line.startswith("bot> "))
        script = f"set -e\n{commands}pwd > '{self.folder}.pwd'\n"
        at = pathlib.Path(f"{self.folder}.pwd")
        where = at.read_text().strip() if at.exists() else self.folder
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=where,
            input=typed,
            capture_output=True,
            text=True,
            timeout=HANGS,
            env=self.environ,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if said:
            lines = [line for line in done.stdout.splitlines() if re.match(r"bot> |Ali in ", line)]
            assert lines == said
        return done.stdout

    def do(self, page):
        """Do all of *page*."""
        while page:
            kind, text = page.pop(0)
            if kind == "sh":
                self.type(text, page.pop(0)[1] if page and page[0][0] == "text" else "")
            elif kind in ("python", "toml") and (named := FILE.match(text)):
                path = self.folder / "my-bot" / named[1]
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, "utf-8")
            else:
                assert kind == "python"
                assert (self.folder / "my-bot" / "plugins" / "hello.py").read_text("utf-8") == text


def test_both_languages_have_the_same_blocks():
    assert blocks("en") == blocks("zh")
    assert [kind for kind, _ in blocks()].count("sh") == 7


@pytest.mark.skipif(os.name == "nt", reason="the page is for a POSIX shell")
def test_from_wheels_in_a_fresh_environment(installed, tmp_path):
    """All of the page, from `python3 -m venv` on."""
    environ = {**os.environ, "PIP_FIND_LINKS": str(installed.wheels), "PIP_QUIET": "1", "PYTHONUTF8": "1"}
    python = pathlib.Path(sys.executable).resolve().parent  # whichever this is, it is the reader's python3
    environ["PATH"] = f"{tmp_path}/my-bot/.venv/bin{os.pathsep}{python}{os.pathsep}{environ['PATH']}"
    reader = Reader(tmp_path, environ)
    reader.do(blocks())
    told = reader.type("qqops plugin check hello\n")
    assert told.startswith("hello (qqops-hello 0.1.0): loaded\n")


@pytest.mark.skipif(os.name == "nt", reason="the page is for a POSIX shell")
def test_from_a_clone(tmp_path):
    """Up to the package: this environment is a clone's, with everything installed."""
    environ = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / "my-bot").mkdir()
    (tmp_path.with_name(f"{tmp_path.name}.pwd")).write_text(f"{tmp_path / 'my-bot'}\n")
    page = blocks()
    packed = next(at for at, (_, text) in enumerate(page) if "qqops plugin new hello\n" in text)
    Reader(tmp_path, environ).do(page[1:packed])
