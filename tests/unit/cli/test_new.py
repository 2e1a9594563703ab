"""`qqops plugin new`: what it writes is whole, and what it refuses leaves nothing behind."""

import ast
import json
import pathlib
from typing import get_args

import pytest

from qqops.cli import exits, template
from qqops.cli.main import Kind, Licence, main

KINDS = ("command", "listener", "job", "service", "adapter")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments):
    return main(["plugin", "new", *arguments])


def refused(capsys, *arguments):
    """Return the one line with which *arguments* are refused; nothing was written."""
    before = sorted(pathlib.Path().rglob("*"))
    assert new(*arguments) == exits.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert sorted(pathlib.Path().rglob("*")) == before
    (line,) = said.err.splitlines()
    return line


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole_and_says_how_to_go_on(kind, capsys):
    assert new("daily-luck", "--kind", kind) == exits.OK
    package = pathlib.Path("qqops-daily-luck")
    written = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert written == {
        ".github/workflows/publish.yml", ".github/workflows/test.yml", ".gitignore", "CHANGELOG.md", "LICENSE",
        "README.md", "README.zh.md", "pyproject.toml", "src/qqops_daily_luck/__init__.py",
        "src/qqops_daily_luck/py.typed", "tests/test_plugin.py",
    }  # fmt: skip
    for path in package.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert "cookiecutter" not in text
            if path.suffix == ".py":
                ast.parse(text)
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [
        "qqops-daily-luck written. Next / 接下来:", "  cd qqops-daily-luck", "  pip install -e '.[test]'", "  pytest",
    ]  # fmt: skip
    assert sorted(path.name for path in pathlib.Path().iterdir()) == ["qqops-daily-luck"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_is_what_the_package_has_inside(kind, capsys):
    assert new("daily-luck", "--kind", kind) == new("daily-luck", "--kind", kind, "--one-file") == exits.OK
    file = pathlib.Path("plugins/daily_luck.py")
    inside = pathlib.Path("qqops-daily-luck/src/qqops_daily_luck/__init__.py")
    assert file.read_bytes() == inside.read_bytes()
    assert list(file.parent.iterdir()) == [file]
    assert "  qqops console --plugins plugins" in capsys.readouterr().out


def test_into_another_folder(tmp_path):
    assert new("hello", "--into", "a/b") == new("hello", "--into", "c/d", "--one-file") == exits.OK
    assert (tmp_path / "a/b/qqops-hello/pyproject.toml").exists()
    assert (tmp_path / "c/d/hello.py").exists()


@pytest.mark.parametrize("name", ["class", "json", "sys", "a", "x1-2", "a" * 40])
def test_names_that_python_knows_work(name):
    assert new(name) == exits.OK
    for path in pathlib.Path().rglob("*.py"):
        ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Hello", "try hello"),
        ("1st", "try st"),
        ("a--b", "try a-b"),
        ("daily_luck", "try daily-luck"),
        ("my plugin", "try my-plugin"),
        ("../up", "try up"),
        ("a/b", "try a-b"),
        ("a\\b", "try a-b"),
        ("a\nb", "try a-b"),
        ('x"; import os; "', "try x-import-os"),
        ("it's", "try it-s"),
        ("{{ 7 }}", "try daily-luck"),
        ("运势", "try daily-luck"),
        ("", "try daily-luck"),
        ("x" * 41, "41 letters are too many, 40 are enough"),
        ("qqops", "try daily-luck"),
        ("qqops-hello", "try hello"),
        ("core", "belongs to qqops; try my-core"),
        ("essentials", "belongs to qqops; try my-essentials"),
        ("nul", "belongs to Windows; try my-nul"),
        ("com1", "belongs to Windows; try my-com1"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--one-file",)])
def test_other_names_are_refused_with_one_line_that_says_what_to_do(name, advice, more, capsys):
    line = refused(capsys, name, *more)
    assert line.startswith(f"qqops: {name!r}: ")
    assert line.endswith(advice)


def test_a_file_that_could_not_be_imported_is_refused(capsys):
    assert refused(capsys, "class", "--one-file").endswith("called like a word of Python; try my-class")


def test_an_unknown_kind_names_the_others(capsys):
    line = refused(capsys, "hello", "--kind", "bot")
    assert all(kind in line for kind in KINDS)


def test_an_author_who_would_break_the_files_is_refused(capsys):
    assert "author 'a\"b': one line" in refused(capsys, "hello", "--author", 'a"b')


def test_what_exists_is_refused_and_left_as_it_is(capsys, tmp_path):
    for taken in ("qqops-hello", "plugins/hello"):
        (tmp_path / taken).mkdir(parents=True)
    (tmp_path / "plugins" / "bye.py").write_text("mine")
    assert "qqops-hello exists already" in refused(capsys, "hello")
    assert "plugins/hello exists already" in refused(capsys, "hello", "--one-file")
    assert "plugins/bye.py exists already" in refused(capsys, "bye", "--one-file")
    assert (tmp_path / "plugins" / "bye.py").read_text() == "mine"


def test_a_folder_that_is_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot write file/qqops-hello" in refused(capsys, "hello", "--into", "file")
    assert "cannot write file/hello.py" in refused(capsys, "hello", "--into", "file", "--one-file")


def test_what_breaks_off_in_the_middle_leaves_nothing_behind(capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.PosixPath, "write_bytes", full)
    assert "cannot write qqops-hello: No space left on device" in refused(capsys, "hello")


def test_the_command_line_knows_the_kinds_and_licences_of_the_template():
    asked = json.loads((template.folder() / "cookiecutter.json").read_text("utf-8"))
    assert tuple(asked["kind"]) == get_args(Kind) == KINDS
    assert tuple(asked["licence"]) == get_args(Licence)


def test_whoever_compiles_a_wheel_does_not_stumble_over_the_template():
    for path in template.folder().rglob("*.py"):
        ast.parse(path.read_text("utf-8"))


def test_the_template_uses_nothing_that_only_cookiecutter_understands():
    """Whatever is rendered has no place left that was not filled."""
    for path in template.folder().rglob("*"):
        if path.is_file() and "workflows" not in path.parts and "__pycache__" not in path.parts:
            rest = template.render(path.read_text("utf-8"), template.context(kind="command"))
            if path.name not in ("cookiecutter.json", "README.md"):
                assert "{{" not in rest, path
            assert "{%" not in rest, path
