"""A data folder belongs to one bot at a time."""

import os
import signal

import pytest

from qqops.cli.folder import LOCK, held
from qqops.errors import ConfigError

SETTINGS = '[accounts.m]\nnetwork = "memory"\n'


def test_a_second_bot_is_told_who_holds_the_folder(tmp_path):
    with held(tmp_path / "data"):
        with (
            pytest.raises(
                ConfigError, match=rf"a bot runs in .*data already: process {os.getpid()} on "
            ) as caught,
            held(tmp_path / "data"),
        ):
            pass
        assert "bot.data of its own" in caught.value.hint
    with held(tmp_path / "data"):
        assert (tmp_path / "data" / LOCK).stat().st_mode & 0o077 == 0


def test_run_ends_with_code_2_when_another_bot_runs_there(tmp_path, forks):
    (tmp_path / "qqops.toml").write_text(SETTINGS)
    with held(tmp_path / "qqops-data"):
        run = forks.run("qqops", "run", cwd=tmp_path)
    assert run.returncode == 2
    assert f"process {os.getpid()}" in run.stderr


def test_a_folder_that_cannot_be_is_said_with_what_to_do(tmp_path, forks):
    (tmp_path / "qqops.toml").write_text(SETTINGS)
    (tmp_path / "qqops-data").write_text("a file in the way")
    run = forks.run("qqops", "run", cwd=tmp_path)
    assert run.returncode == 2
    assert "cannot be used: File exists" in run.stderr
    assert "bot.data" in run.stderr


def test_a_full_disk_does_not_keep_a_bot_from_starting(tmp_path, monkeypatch):
    def full(number, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", full)
    with held(tmp_path / "data"), pytest.raises(ConfigError, match="already"), held(tmp_path / "data"):
        pass


def test_a_bot_that_was_killed_holds_nothing(tmp_path, forks):
    script = tmp_path / "holds.py"
    script.write_text(
        "import os, pathlib, signal, sys\n"
        "from qqops.cli.folder import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert forks.run(script, str(tmp_path / "data")).returncode == -signal.SIGKILL
    with held(tmp_path / "data"):
        pass
