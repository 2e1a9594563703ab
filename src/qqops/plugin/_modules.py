"""The modules of a plugin in the interpreter: taken out so that they are read anew, and put back when that fails."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import attrs

#: How packages begin that are made for the plugins in a folder: each module in them is a package of its own to us.
BESIDE = "qqops_beside_"


def is_beside(module: str) -> bool:
    """Whether *module* belongs to a plugin beside the settings, and not to one that is installed."""
    return module.startswith(BESIDE)


def package_of(target: str) -> str:
    """Return the package, or module, that belongs to the plugin of *target* alone; "" for none."""
    names = re.split(r"[:\s]", target.strip(), maxsplit=1)[0].split(".")
    return ".".join(names[: 2 if is_beside(names[0]) else 1])


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
