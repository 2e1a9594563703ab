"""The template renders, installs by plain pip into a fresh venv, passes its own test, and is loaded by a bot."""

import os
import pathlib
import subprocess
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = ROOT / "cookiecutter-plugin"


def render(tmp_path, **context):
    from cookiecutter.main import cookiecutter

    return pathlib.Path(
        cookiecutter(
            str(TEMPLATE), no_input=True, default_config=True, output_dir=str(tmp_path), extra_context=context
        )
    )


def run(*command, cwd, text=None):
    done = subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """cookiecutter writes a replay file into the home folder."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", ["Hello", "1st", "a--b", "a_b", "qqops-x", "x;rm"])
def test_bad_names_are_refused_with_one_line(tmp_path, name, capfd):
    from cookiecutter.exceptions import FailedHookException

    with pytest.raises(FailedHookException):
        render(tmp_path, plugin_name=name)
    assert "plugin_name" in capfd.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.name != "home"]


def test_a_rendered_plugin_works(tmp_path):
    project = render(tmp_path, plugin_name="daily-luck", licence="MIT", author="A. U. Thor")
    assert "A. U. Thor" in (project / "LICENSE").read_text()
    assert not [p for p in project.rglob("*") if p.is_file() and "cookiecutter" in p.read_text("utf-8")]
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / ("Scripts" if os.name == "nt" else "bin") / "python")
    run(python, "-m", "pip", "install", "-q", str(ROOT), "pytest", "pytest-trio", "mypy", cwd=tmp_path)
    run(python, "-m", "pip", "install", "-q", "-e", ".[test]", cwd=project)
    assert "2 passed" in run(python, "-m", "pytest", "-q", cwd=project)
    assert "Success" in run(python, "-m", "mypy", cwd=project)
    assert "0 skipped" in run(python, "-m", "qqops", "check", "--strict", cwd=tmp_path)
    said = run(
        python,
        "-m",
        "qqops",
        "console",
        "--script",
        "-",
        cwd=tmp_path,
        text="/daily-luck world\n:expect hello",
    )
    assert "bot> hello, world" in said
