"""The template: every kind of plugin renders, is installed by pip, passes its tests, is strictly typed and loaded by a bot."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = ROOT / "cookiecutter-plugin"
KINDS = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))["kind"]


def cookiecut(folder, **answers):
    """Render with cookiecutter; return the package."""
    from cookiecutter.main import cookiecutter

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # cookiecutter writes a replay file there
        options = {"no_input": True, "default_config": True, "output_dir": str(folder / "out")}
        return pathlib.Path(cookiecutter(str(TEMPLATE), extra_context=answers, **options))


def files(package):
    """Return the files of *package* by their path."""
    return {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def packages(installed, tmp_path_factory):
    """A package of each kind, made by the command that was installed, and installed in their turn."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        installed.run("qqops", "plugin", "new", f"my-{kind}", "--kind", kind, cwd=folder)
    found = {kind: folder / f"qqops-my-{kind}" for kind in KINDS}
    # One environment for building them all; the tutorial has pip make one, as it does by itself.
    installed.pip(
        "--no-build-isolation", *(part for package in found.values() for part in ("-e", str(package)))
    )
    return found


@pytest.mark.parametrize("name", ["Hello", "1st", "a--b", "qqops-x", "x;rm", 'a"b', "运势", "core", "con"])
def test_bad_names_are_refused_with_one_line(tmp_path, name, capfd):
    from cookiecutter.exceptions import FailedHookException

    with pytest.raises(FailedHookException):
        cookiecut(tmp_path, plugin_name=name)
    assert "plugin_name" in capfd.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_cookiecutter_makes_the_same(packages, kind, tmp_path):
    assert files(cookiecut(tmp_path, plugin_name=f"my-{kind}", kind=kind)) == {
        name: content for name, content in files(packages[kind]).items() if "cache" not in name
    }


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0", "none"])
def test_each_licence_is_the_same_from_both(installed, tmp_path, licence):
    answers = ("--licence", licence, "--author", "Zoë O'Neill 张")
    installed.run("qqops", "plugin", "new", "daily-luck", *answers, cwd=tmp_path)
    made = files(tmp_path / "qqops-daily-luck")
    same = cookiecut(tmp_path, plugin_name="daily-luck", licence=licence, author="Zoë O'Neill 张")
    assert made == files(same)
    assert ("LICENSE" in made) == (licence != "none")
    assert ("license" in made["pyproject.toml"].decode()) == (licence != "none")
    assert [name for name, content in made.items() if b"cookiecutter" in content or b"{%" in content] == []


def test_the_tests_of_all_kinds_pass(installed, packages):
    tests = [package / "tests" for package in packages.values()]
    options = ("--import-mode=importlib", "-o", "trio_mode=true", "-W", "error", "-p", "no:cacheprovider")
    told = installed.run(installed.python, "-m", "pytest", "-q", *options, *tests, cwd=tests[0].parent.parent)
    assert "passed" in told
    assert installed.run("pytest", "-q", cwd=packages["command"]).startswith("..")


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_typed_as_strictly_as_it_goes(installed, packages, kind, tmp_path_factory):
    cache = str(tmp_path_factory.getbasetemp() / "mypy")
    checkers = [
        ("mypy", "--python-executable", installed.python, "--cache-dir", cache),
        ("basedpyright", "--pythonpath", installed.python),
    ]
    for checker, *options in checkers:
        done = subprocess.run(
            [sys.executable, "-m", checker, *options], cwd=packages[kind], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_bot_loads_all_kinds(installed, packages, tmp_path):
    assert ", 0 skipped\n" in installed.run("qqops", "check", "--strict", cwd=tmp_path)
    for kind in KINDS:
        told = installed.run("qqops", "plugin", "check", f"my-{kind}", cwd=tmp_path)
        assert told.startswith(f"my-{kind} (qqops-my-{kind} 0.1.0): loaded\n")
    script = "/my-command world\n:expect ^hello, world$\nsee OPS-7\n:expect OPS-7$\n/my-service tea\n:expect ^tea: 1$\n"
    installed.run("qqops", "console", "--script", "-", cwd=tmp_path, text=f"{script}/ping\n:expect pong\n")
    (tmp_path / "qqops.toml").write_text(
        "[accounts.a]\nnetwork = 'my-adapter'\nhost = 'nowhere.example'\npassword = { env = 'PATH' }\n"
    )
    assert "1 accounts" in installed.run("qqops", "check", "--strict", cwd=tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_works_as_one_file(installed, tmp_path, kind):
    told = installed.run("qqops", "plugin", "new", "one-two", "--kind", kind, "--one-file", cwd=tmp_path)
    assert told.startswith("plugins/one_two.py written.")
    (tmp_path / "qqops.toml").touch()
    assert "one-two (plugins/one_two.py): loaded" in installed.run(
        "qqops", "plugin", "check", "one-two", cwd=tmp_path
    )
