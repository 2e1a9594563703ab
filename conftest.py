"""For all tests, here and in plugins_builtin: on how many cores they run, and which hypothesis profile holds.

`gate` is what a run of the tests means: the same examples every time, on every machine, so that red is never a matter of
luck. `explore` throws dice; what it finds becomes an `@example`. Chosen by the variable HYPOTHESIS_PROFILE; how many
examples `explore` tries is said by HYPOTHESIS_EXAMPLES. A test whose examples are dear or cheap asks for a share of the
profile's number, never for a number of its own: so it too has more in `explore`.
"""

import gc
import logging
import os
import random
import sys

import pytest
import trio
from hypothesis import settings

from qqops.cli.logs import Standard

settings.register_profile(
    "gate", derandomize=True, deadline=None, database=None, print_blob=True, max_examples=100
)
settings.register_profile(
    "explore", deadline=None, print_blob=True, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES") or 1000)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "gate")

# Many tests start processes, and each would compile all that it imports where containers forbid to keep bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run all tests on all cores where pytest-xdist is there; who names tests, or says ``-n``, gets what they ask for."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    worker = hasattr(config, "workerinput")
    if (
        whole
        and not worker
        and config.pluginmanager.hasplugin("xdist")
        and config.option.numprocesses is None
    ):
        config.option.numprocesses, config.option.dist = "auto", "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two more than there are cores: at any time some tests wait for a socket or a process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 2


def pytest_runtest_setup() -> None:
    """Let each test begin with the same dice: those of the standard library, and those by which trio orders tasks."""
    random.seed(0)
    trio._core._run._r.seed(0)  # type: ignore[attr-defined]


def pytest_runtest_teardown() -> None:
    """Let no test leave behind that the log goes to its own standard error, which is closed by then."""
    root = logging.getLogger()
    if ours := [one for one in root.handlers if isinstance(one, Standard)]:
        root.removeHandler(ours[0])
        root.setLevel(logging.WARNING)
        logging.captureWarnings(False)
    import structlog  # here: qqops loads it first, and without rich

    if structlog.is_configured():
        structlog.reset_defaults()


def pytest_collection_finish() -> None:
    """Keep what is loaded by now out of every garbage collection: it stays to the end."""
    gc.collect()
    gc.freeze()
