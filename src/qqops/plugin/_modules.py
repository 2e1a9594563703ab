"""The modules of a plugin in the interpreter: taken out so that they are read anew, and put back when that fails."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import attrs


def package_of(target: str) -> str:
    """Return the top-level package of an entry point's target; "" for none."""
    return re.split(r"[.:\s]", target.strip(), maxsplit=1)[0]


@attrs.define(eq=False)
class Modules:
    """What of one package, or module, is imported.

    Attributes:
        package: Its name; "" for nothing.
    """

    package: str
    _old: dict[str, ModuleType] = attrs.field(factory=dict)

    def take_out(self) -> None:
        """Let the next import read the files."""
        self._old = self._imported()
        for name in self._old:
            del sys.modules[name]
        importlib.invalidate_caches()

    def put_back(self) -> None:
        """Undo `take_out`: what has been imported since is forgotten."""
        for name in self._imported():
            del sys.modules[name]
        sys.modules.update(self._old)

    def _imported(self) -> dict[str, ModuleType]:
        below = f"{self.package}."
        return {
            name: module
            for name, module in list(sys.modules.items())
            if self.package and (name == self.package or name.startswith(below))
        }
