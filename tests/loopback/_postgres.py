"""A PostgreSQL server of the tests' own, on a socket in a folder of its own."""

import contextlib
import glob
import os
import pathlib
import shutil
import subprocess
import tempfile

import psycopg


def programs():
    """Return the folder of initdb and postgres, or None."""
    found = shutil.which("initdb")
    if found:
        return pathlib.Path(found).resolve().parent
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda name: int(name.split("/")[-2]))
    return pathlib.Path(folders[-1]) if folders else None


class Server:
    """A server that runs; `url` is that of a database of its own name."""

    def __init__(self, programs):
        self.programs = programs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qqops-pg-"))
        # It refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(self.folder, **self.user)
        self.data = self.folder / "data"
        self._call(
            "initdb", "-D", self.data, "-U", "qqops", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )
        self.number = 0

    def _call(self, program, *arguments):
        run = subprocess.run(
            [self.programs / program, *arguments], **self.user, cwd=self.folder, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr

    def start(self):
        # Its disk is a matter of its own: what is killed here is the bot.
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=60"
        self._call("pg_ctl", "-D", self.data, "-o", options, "-l", self.folder / "log", "-w", "start")

    def stop(self, how="immediate"):
        self._call("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def url(self, name):
        return f"postgresql://qqops@/{name}?host={self.folder}"

    def connect(self, name="postgres"):
        return contextlib.closing(psycopg.connect(self.url(name), autocommit=True))

    def database(self):
        """Make an empty database; return its URL."""
        self.number += 1
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE q{self.number}")
        return self.url(f"q{self.number}")

    def close(self):
        with contextlib.suppress(AssertionError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
