"""For all tests of qqops itself."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """What a command line has set for its log ends with the test: the stream that it wrote to is closed by then."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
