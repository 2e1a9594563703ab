"""What the tests here share: the wheels of this repository, installed by plain pip in a fresh environment."""

import os
import pathlib
import subprocess
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Seconds after which something hangs.
HANGS = 300


class Installed:
    """A virtual environment into which ``qqops[essentials,test]`` was installed from wheels."""

    def __init__(self, folder, wheels):
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = str(self.bin / "python")
        self.wheels = wheels

    def pip(self, *arguments):
        self.run(self.python, "-m", "pip", "install", "-q", "--find-links", self.wheels, *arguments)

    def run(self, *command, cwd=ROOT, text=None, code=0):
        """Run *command* as in a shell in which the environment is active; return what it prints."""
        environ = {**os.environ, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"}
        done = subprocess.run(
            command, cwd=cwd, input=text, capture_output=True, text=True, timeout=HANGS, env=environ
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    made = Installed(folder / "venv", folder / "wheels")
    parts = [str(ROOT), str(ROOT / "plugins_builtin" / "qqops-essentials")]
    made.run(made.python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", made.wheels, *parts)
    made.pip("qqops[essentials,test]", "hatchling", "editables")
    return made
