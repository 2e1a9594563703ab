"""Plugins beside the settings: each a file ``NAME.py`` in one folder, or a folder ``NAME`` with an ``__init__.py``.

They are imported as parts of a package that exists in the interpreter alone and is named after the folder: nothing is put on
the search path, and bots in two folders share no module. Relative imports work, also from one file to the next.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.machinery
import pathlib
import re
import sys
import types
from collections.abc import Iterator

from qqops.errors import ConfigError, PluginError
from qqops.plugin._finding import CORE, Candidate, discover
from qqops.plugin._modules import BESIDE
from qqops.plugin.plugin import Plugin

#: What a file or folder may be called: its plugin's name, with ``_`` for ``-``, so that it can be imported.
FILE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INIT = "__init__.py"


def everything(folder: pathlib.Path | None) -> list[Candidate]:
    """Return the installed plugins, and those in *folder*, by name; the core's own first, and of one name the installed one.

    Raises:
        ConfigError: *folder* cannot be read.
    """
    return sorted([*discover(), *find(folder)], key=lambda one: (one.name != CORE, one.name, bool(one.file)))


def find(folder: pathlib.Path | None) -> list[Candidate]:
    """Return the plugins in *folder* by name; none where there is no folder. Nothing of them runs.

    Raises:
        ConfigError: *folder* cannot be read.
    """
    if folder is None or not folder.is_dir():
        return []
    folder = folder.resolve()
    try:
        paths = sorted(path for path in folder.iterdir() if path.name[0] not in "_.")
        found = [path for path in paths if (path.is_file() and path.suffix == ".py") or _holds_code(path)]
    except OSError as exc:
        raise ConfigError(f"cannot read the plugins in {folder}: {exc.strerror}") from exc
    package = _package(folder) if found else ""
    return sorted((_candidate(path, package) for path in found), key=lambda one: (one.name, one.file))


def _holds_code(path: pathlib.Path) -> bool:
    return path.is_dir() and (any(path.glob("*.py")) or (path / "pyproject.toml").exists())


def _package(folder: pathlib.Path) -> str:
    """Return the name of the package of which the files in *folder* are parts; it is there from now on."""
    name = BESIDE + hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    if name not in sys.modules:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        module = types.ModuleType(name, f"The plugins in {folder}.")
        module.__spec__, module.__path__ = spec, [str(folder)]
        sys.modules[name] = module
    return name


def _candidate(path: pathlib.Path, package: str) -> Candidate:
    stem = path.stem if path.suffix == ".py" else path.name
    fits = bool(FILE_NAME.fullmatch(stem))
    return Candidate(
        name=stem.replace("_", "-") if fits else stem,
        load=functools.partial(_load, path, f"{package}.{stem}"),
        file=f"{path.parent.name}/{path.name}",
        target=f"{package}.{stem}" if fits else "",
    )


def _load(path: pathlib.Path, target: str) -> object:
    """Import the plugin at *path*.

    Raises:
        PluginError: It has a wrong name, or is no module any more.
        BaseException: Whatever it raises.
    """
    for reason in _flaws(path):
        raise PluginError(reason, where=str(path) if path.is_dir() else f"{path}:1")
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(target)
    except ModuleNotFoundError as exc:
        if advice := _advice(exc.name or "", target, path):
            raise PluginError(advice) from exc
        raise
    name = path.stem.replace("_", "-")
    own = {id(one): one for one in vars(module).values() if isinstance(one, Plugin)}
    for plugin in own.values() if len(own) == 1 else ():
        if plugin.name != name:
            raise PluginError(
                f'its Plugin is called {plugin.name!r}, and {path.name} holds the plugin {name!r}: write Plugin("{name}"),'
                f" or rename it to {plugin.name.replace('-', '_')}{path.suffix}",
                where=_line(module, plugin.name),
            )
    return module


def _flaws(path: pathlib.Path) -> Iterator[str]:
    stem = path.stem if path.suffix == ".py" else path.name
    if path.is_dir() and not (path / _INIT).is_file():
        yield (
            f"there is no {_INIT} in it: a plugin that is a folder begins there; a whole package is installed instead,"
            f" as pip install -e {path.parent.name}/{path.name}"
        )
    if not FILE_NAME.fullmatch(stem):
        better = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_0123456789")
        what, suffix = ("folder", "") if path.is_dir() else ("file", ".py")
        yield (
            f"a {what} with a plugin has a name of lower-case letters, digits and _: rename it, as"
            f" {better or 'hello'}{suffix}; one that is no plugin begins with _"
        )
    if path.suffix == ".py" and (path.with_suffix("") / _INIT).is_file():
        yield f"there is a folder {path.stem} beside it, which is the same plugin: delete or rename one of the two"


def _advice(missing: str, target: str, path: pathlib.Path) -> str:
    """Return what to say of the module *missing*, which was imported in *target*; "" for nothing."""
    package = target.rpartition(".")[0]
    if missing == target:
        return f"there is no {path.parent.name}/{path.name} any more"
    if missing.startswith(f"{package}."):
        return f"there is no module {missing.removeprefix(f'{package}.')!r} in {path.parent}"
    top = missing.partition(".")[0]
    for folder, dots in ((path, "."), (path.parent, ".." if path.is_dir() else ".")):
        if (folder / f"{top}.py").exists() or (folder / top / _INIT).exists():
            return f"there is no module {missing!r} on the search path; write from {dots} import {top}"
    return ""


def _line(module: types.ModuleType, name: str) -> str:
    """Return ``file:line`` where a `Plugin` is called *name*; of the beginning, where that is said in another way."""
    file = str(module.__file__)
    try:
        lines = pathlib.Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    stated = (number for number, line in enumerate(lines, 1) if re.search(rf"Plugin\(\W*{name}\b", line))
    return f"{file}:{next(stated, 1)}"
