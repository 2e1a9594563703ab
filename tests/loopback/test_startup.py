"""What a process does not load: whoever imports qqops, or starts one part of it, does not wait and pay for the others.

How long it takes and how much it holds is measured by ``tests/bench/startup.py``.
"""

import signal
import subprocess
import sys
import threading

import pytest

#: Seconds after which something hangs.
HANGS = 120
#: What is large and needed by few.
LIBRARIES = {
    "asyncio",
    "sqlalchemy",
    "alembic",
    "httpx",
    "h11",
    "rich",
    "click",
    "pygments",
    "prompt_toolkit",
    "websockets",
    "PIL",
}
PARTS = {
    "qqops.simulator",
    "qqops.testing",
    "qqops.adapters.webqq.adapter",
    "qqops.adapters.onebot11.adapter",
}
#: What a plugin is imported without.
BOT = {"sqlite3", "cattrs", "cyclopts", "packaging", "qqops.cli", "qqops.app", "qqops.plugin.host", "qqops.runtime.dispatch",
       "qqops.runtime.storage.store"}  # fmt: skip

SAY = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
COMMAND = SAY + "import runpy; runpy.run_module('qqops', run_name='__main__', alter_sys=True)"


def loaded(stderr):
    last = stderr.splitlines()[-1].split()
    assert last[0] == "LOADED", stderr
    return set(last)


def after(code, *arguments, text="", cwd=None):
    """Return what is loaded when *code* has run in an interpreter of its own."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=cwd, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    return loaded(done.stderr), done.stdout


def test_import_qqops_loads_no_floor_of_it():
    modules, _ = after(SAY + "import qqops")
    assert (
        modules & (LIBRARIES | PARTS | BOT | {"trio", "qqops.model", "qqops.plugin", "qqops.runtime"})
        == set()
    )


@pytest.mark.parametrize("imported", ["from qqops import Ctx, Message, Plugin", "import qqops_essentials"])
def test_a_plugin_is_imported_without_the_bot_that_runs_it(imported):
    modules, _ = after(SAY + imported)
    assert modules & (LIBRARIES | PARTS | BOT) == set()


def test_what_is_put_off_is_loaded_by_who_uses_it():
    modules, out = after(
        SAY + "import qqops, structlog; print(structlog.stdlib.asyncio.get_running_loop.__name__)"
    )
    assert out == "get_running_loop\n"
    assert "asyncio" in modules


def test_help_loads_no_bot():
    modules, out = after(COMMAND, "--help")
    assert "console" in out
    assert (
        modules
        & ((LIBRARIES - {"rich", "pygments"}) | PARTS | {"trio", "sqlite3", "qqops.app", "qqops.runtime"})
        == set()
    )


def test_the_console_answers_without_database_http_and_simulator(tmp_path):
    modules, out = after(COMMAND, "console", "--script", "-", text="/echo hello\n", cwd=tmp_path)
    assert "bot> hello" in out
    assert modules & (LIBRARIES | PARTS) == set()


@pytest.mark.parametrize("before", [0, 1], ids=["new file", "existing file"])
def test_a_bot_with_a_journal_runs_without_what_changes_its_layout(tmp_path, before):
    (tmp_path / "qqops.toml").write_text('schema = 1\n[accounts.idle]\nnetwork = "memory"\n', "utf-8")
    for _ in range(before + 1):
        modules = _ran(tmp_path)
    assert (tmp_path / "qqops-data" / "qqops.db").stat().st_size
    assert modules & (LIBRARIES | PARTS) == set()


def _ran(folder):
    """Run the bot in *folder* until it is online; return what it had loaded at its end."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        hangs = threading.Timer(HANGS, process.kill)
        hangs.start()
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "online" in line:
                    process.send_signal(signal.SIGTERM)
        finally:
            hangs.cancel()
            process.kill()
    return loaded("".join(lines))
