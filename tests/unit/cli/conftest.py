"""Log lines of one test, as `qqops run` writes them; what is set up for that is put back."""

import contextlib
import io
import logging
import warnings

import pytest
import structlog

from qqops.cli import logs


@pytest.fixture
def logged():
    """Return what starts to log, in a format and from a level on, and gives the file."""
    root, was = logging.getLogger(), structlog.get_config()
    level = root.level

    def start(log_format="text", level="debug", hidden=None):
        file = io.StringIO()
        # Those of pytest fail on what does not fit.
        root.handlers[:] = [one for one in root.handlers if isinstance(one, logs.Standard)]
        logs.configure(log_format, level, hidden, file=file)
        return file

    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        yield start
    logging.captureWarnings(False)
    structlog.configure(**was)
    root.handlers[:] = [one for one in root.handlers if not isinstance(one, logs.Standard)]
    root.setLevel(level)
