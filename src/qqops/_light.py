"""Loads libraries without what they load on the off chance. structlog first, before anything else of qqops.

structlog loads rich, where that is installed, to draw tracebacks in colours; qqops writes them plain (`qqops.cli.logs`).
Left to itself that is a fifth of the time that a bot takes to start, and 6 MB. Whoever has loaded either already keeps it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Let every import of the module *name* fail meanwhile, as if it was not installed; one that is loaded stays."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # so that importing it fails
    try:
        yield
    finally:
        del sys.modules[name]


if "structlog" not in sys.modules:
    with without("rich"):
        import structlog  # noqa: F401
