"""Log lines of one test, as `qqops run` writes them; what is set up for that is put back by the conftest of all tests."""

import io
import logging
import warnings

import pytest

from qqops.cli import logs


@pytest.fixture
def logged():
    """Return what starts to log, in a format and from a level on, and gives the file."""

    def start(log_format="text", level="debug", hidden=None):
        file, root = io.StringIO(), logging.getLogger()
        # Those of pytest fail on what does not fit.
        root.handlers[:] = [one for one in root.handlers if isinstance(one, logs.Standard)]
        logs.configure(log_format, level, hidden, file=file)
        return file

    with warnings.catch_warnings():
        yield start
