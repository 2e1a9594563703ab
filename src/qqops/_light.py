"""Loads structlog without rich. Imported before anything else of qqops.

structlog loads rich, where that is installed, to draw tracebacks in colours; qqops writes them plain (`qqops.cli.logs`).
Left to itself that is a fifth of the time that a bot takes to start, and 6 MB. Whoever has loaded either already keeps it.
"""

from __future__ import annotations

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment] # so that importing it fails
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
