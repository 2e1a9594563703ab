"""Loads libraries without what they load on the off chance. structlog first, before anything else of qqops.

structlog loads rich, where that is installed, to draw tracebacks in colours; qqops writes them plain (`qqops.cli.logs`).
Left to itself that is a fifth of the time that a bot takes to start, and 6 MB. It loads asyncio, too, for loggers that qqops
does not have: 2 MB. Whoever has loaded either already keeps it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator


class _Later(types.ModuleType):
    """Stands for a module until somebody wants something of it."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:  # it is used at once
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _replaced(name: str, module: types.ModuleType | None) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module  # type: ignore[assignment] # None is for: cannot be imported
    try:
        yield
    finally:
        if sys.modules.get(name) is module:
            del sys.modules[name]


def without(name: str) -> contextlib.AbstractContextManager[None]:
    """Let every import of the module *name* fail meanwhile, as if it was not installed; one that is loaded stays."""
    return _replaced(name, None)


def later(name: str) -> contextlib.AbstractContextManager[None]:
    """Let who imports the module *name* meanwhile load it when it is first used; one that is loaded stays."""
    return _replaced(name, _Later(name))


if "structlog" not in sys.modules:
    with without("rich"), later("asyncio"):
        import structlog  # noqa: F401
