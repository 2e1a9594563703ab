"""From the entry points of the installed distributions to what they lead to: a plugin, or a reason why there is none."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

import attrs

from qqops.errors import PluginError
from qqops.plugin._installed import Broken, Metadata, installed
from qqops.plugin._modules import is_beside
from qqops.plugin.hooks import PROJECT, Hooks
from qqops.plugin.plugin import Plugin
from qqops.plugin.signature import location

#: Plugins that belong to the core distribution; they cannot be left out.
CORE = "core"


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that was found and not yet touched: no line of it has run.

    Attributes:
        load: Imports it.
        requires: Requirements of its distribution, as its metadata states them.
        target: What its entry point leads to, ``package.module`` or ``package.module:name``; "" where there is none.
        file: What it is, ``plugins/NAME.py`` or a folder, when it lies beside the settings; "" when it is installed.
    """

    name: str
    load: Callable[[], object]
    package: str = ""
    version: str = ""
    requires: Sequence[str] = ()
    target: str = ""
    file: str = ""

    @property
    def package_name(self) -> str:
        """Top-level package that the entry point leads to; "" where there is none."""
        return re.split(r"[.:\s]", self.target.strip(), maxsplit=1)[0]

    @property
    def source(self) -> str:
        """Where it comes from, for people: distribution and version, its file, or "elsewhere"."""
        return f"{self.package} {self.version}".strip() or self.file or "elsewhere"


def discover(entry_points: Iterable[importlib.metadata.EntryPoint] | None = None) -> list[Candidate]:
    """Return the installed plugins by name, the core's own first. Reads metadata only."""
    found = entry_points if entry_points is not None else installed()
    candidates = [_candidate(one) for one in found]
    # Of two with one name the first is loaded: which one that is must not depend on the order of the search path.
    return sorted(
        candidates, key=lambda c: (c.name != CORE, c.name, c.package != PROJECT, c.package, c.target)
    )


def _candidate(found: importlib.metadata.EntryPoint | Broken) -> Candidate:
    if isinstance(found, Broken):
        about = found.metadata
        return Candidate(
            name=found.name,
            load=functools.partial(_refuse, found.reason),
            package=about.package,
            version=about.version,
        )
    about = Metadata.of(found.dist)
    return Candidate(
        name=found.name, load=functools.partial(reach, found.value), package=about.package, version=about.version,
        requires=about.requires, target=found.value,
    )  # fmt: skip


def _refuse(reason: str) -> object:
    raise PluginError(reason)


def reach(target: str) -> object:
    """Import what an entry point leads to.

    Raises:
        PluginError: There is no such module, or no such name in it; the nearest one is named.
    """
    match = importlib.metadata.EntryPoint.pattern.match(target)
    if match is None or target.startswith("."):
        raise PluginError(f"the entry point must be package.module or package.module:name, not {target!r}")
    module, path = match["module"], match["attr"]
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{module}.".startswith(f"{exc.name}."):
            raise
        parent = exc.name.rpartition(".")[0]
        package = importlib.import_module(parent) if parent else None
        raise PluginError(
            f"the entry point leads to {target}, and there is no module {exc.name!r}"
            f"{_near(exc.name, _modules_of(package))}",
            where=place_of(package),
        ) from exc
    for name in path.split(".") if path else ():
        if not hasattr(found, name):
            where, what = place_of(found), getattr(found, "__name__", type(found).__name__)
            plugins = [one for one, value in vars(found).items() if isinstance(value, Plugin)]
            hint = _near(name, [one for one in dir(found) if not one.startswith("_")], plugins)
            raise PluginError(
                f"the entry point leads to {target}, and there is no {name!r} in {what}{hint}", where=where
            )
        found = getattr(found, name)
    return found


def plugin_in(loaded: object, name: str) -> object:
    """Return what pluggy shall see: a module's `Plugin` if it has one, else the module or object with hooks.

    Args:
        name: What the plugin is called, for the advice.

    Raises:
        PluginError: There is no plugin in it, or more than one.
    """
    if isinstance(loaded, Plugin):
        return loaded
    if isinstance(loaded, ModuleType):
        return _of_module(loaded, name)
    if isinstance(loaded, type):
        raise PluginError(
            f"the entry point leads to the class {loaded.__name__}, not to an object of it",
            where=place_of(inspect.getmodule(loaded)),
        )
    if not _marked(loaded):
        raise PluginError(
            f"the entry point leads to {type(loaded).__name__}, not to a Plugin or a module",
            where=location(loaded) if inspect.isfunction(loaded) else "",
        )
    return loaded


def place_of(module: object) -> str:
    """Return ``file:line`` of the beginning of *module*, or "" where there is no file."""
    file = getattr(module, "__file__", None)
    return f"{file}:1" if file else ""


def _of_module(module: ModuleType, name: str) -> object:
    where = place_of(module)
    plugins: dict[int, tuple[str, Plugin]] = {}
    for variable, value in vars(module).items():
        if isinstance(value, Plugin):
            plugins.setdefault(id(value), (variable, value))
    marked = _marked(module)
    for hook in _hooks():
        if hook not in marked and inspect.isfunction(function := vars(module).get(hook)):
            raise PluginError(
                f"{hook}() is not marked as a hook: write @hookimpl above it", where=location(function)
            )
    if len(plugins) > 1:
        names = [variable for variable, _ in plugins.values()]
        advice = (
            "give each a file of its own"
            if is_beside(module.__name__)
            else f'give each an entry point of its own, as {name} = "{module.__name__}:{names[0]}"'
        )
        raise PluginError(
            f"there are {len(names)} plugins in {_called(module)}: {', '.join(names)}; {advice}", where=where
        )
    for variable, plugin in plugins.values():
        if marked:
            raise PluginError(
                f"{marked[0]}() is a hook beside the Plugin {variable!r}, and nobody would call it: put it into a class"
                f" derived from Plugin, or into a module with an entry point of its own",
                where=location(getattr(module, marked[0])),
            )
        return plugin
    if marked:
        return module
    raise PluginError(f"there is no plugin in {_called(module)}{_advice(module, name)}", where=where)


def _called(module: ModuleType) -> str:
    """Return what *module* is called, for its author: the names of those beside the settings are ours."""
    if not is_beside(module.__name__):
        return module.__name__
    return module.__name__.rpartition(".")[2] + ("" if hasattr(module, "__path__") else ".py")


def _advice(module: ModuleType, name: str) -> str:
    inner = getattr(module, "plugin", None)
    if isinstance(inner, ModuleType):
        if is_beside(module.__name__):
            return ': its "plugin" is a module; write from .plugin import plugin'
        return f': its "plugin" is a module; let the entry point lead to it, as {name} = "{inner.__name__}"'
    if inner is not None:
        kind = f"the class {inner.__name__}" if isinstance(inner, type) else type(inner).__name__
        return f": its 'plugin' is {kind}; write plugin = Plugin({name!r})"
    return f": write plugin = Plugin({name!r}) in it, or mark its hooks with @hookimpl"


def _marked(thing: object) -> list[str]:
    """Return the names of what is marked as a hook in *thing*."""
    if isinstance(thing, ModuleType):
        return [name for name, value in vars(thing).items() if _is_hook(value)]
    return [name for name in dir(type(thing)) if _is_hook(getattr(type(thing), name, None))]


def _is_hook(value: object) -> bool:
    return inspect.isroutine(value) and isinstance(getattr(value, f"{PROJECT}_impl", None), dict)


def _hooks() -> list[str]:
    return [name for name in vars(Hooks) if name.startswith("qqops_")]


def unknown_hook(name: str) -> str:
    """Return what to say of a hook that does not exist."""
    return f"there is no hook {name!r}{_near(name, _hooks(), _hooks())}"


def _near(name: str, known: Sequence[str], otherwise: Sequence[str] = ()) -> str:
    """Return the advice after a name that does not exist: the nearest of *known*, or what there is *otherwise*."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are: {', '.join(otherwise)}" if otherwise else ""


def _modules_of(package: ModuleType | None) -> list[str]:
    """Return the names of the modules in *package*; nothing of them runs."""
    return (
        [f"{package.__name__}.{one.name}" for one in pkgutil.iter_modules(getattr(package, "__path__", ()))]
        if package
        else []
    )
