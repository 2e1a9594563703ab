"""Whose code stands where: from the frames of a thread to the plugin that is to be named. Pure.

What a plugin has declared is known by ``file:line`` of its function; that function is on the stack while anything that it
calls runs. What is declared nowhere (services, tasks, hooks, converters) is known by the folder it lies in.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Protocol

import attrs

from qqops.runtime.registry import Handler, Registry

#: The bot's own code.
HOME = str(pathlib.Path(__file__).parents[1])


class Declared(Protocol):
    """A function of a plugin, as the registry knows it."""

    @property
    def plugin(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def where(self) -> str: ...


@attrs.frozen
class Place:
    """One frame: the *line* it is at, and the line at which its function begins."""

    file: str
    line: int
    begins: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@attrs.frozen
class Culprit:
    """Whose code it is.

    Attributes:
        plugin: "" for the bot's own.
        name: Of the handler or filter, else of the function.
        at: Where it stands right now, in the plugin's own code if it is a plugin's.
        handler: What can be switched off; None for all else.
    """

    plugin: str
    name: str
    at: str
    handler: Handler | None = None


def places_of(frame: FrameType | None) -> list[Place]:
    """Return where *frame* and its callers stand, the innermost first."""
    found = []
    while frame is not None:
        code = frame.f_code
        found.append(Place(code.co_filename, frame.f_lineno or 0, code.co_firstlineno, code.co_name))
        frame = frame.f_back
    return found


def culprit(stack: Sequence[Place], run: Handler | None, registry: Registry) -> Culprit:
    """Return whose code *stack* shows.

    Args:
        stack: The innermost place first.
        run: The handler whose run it is, if it is one's. Its tasks may have left its function behind.
    """
    declared = {one.where: one for one in _declared(registry)}
    files = {one.where.rpartition(":")[0]: one.plugin for one in declared.values()}
    homes = {home: plugin for file, plugin in files.items() for home in _homes(file)}
    for place in stack:
        one = declared.get(f"{place.file}:{place.begins}")
        if one is not None and _owner(place, homes):
            handler = one if isinstance(one, Handler) else None
            return Culprit(one.plugin, one.name, str(_own(stack, one.plugin, homes) or place), handler)
    for place in stack:
        if plugin := _owner(place, homes):
            if run is not None and run.plugin == plugin:
                return Culprit(plugin, run.name, str(place), run)
            return Culprit(plugin, place.function, str(place))
    ours = next((place for place in stack if place.file.startswith(HOME)), stack[0] if stack else None)
    return Culprit("", ours.function if ours else "", str(ours or ""))


def _declared(registry: Registry) -> Iterator[Declared]:
    yield from (command.handler for command in registry.commands)
    yield from (listener.handler for listener in registry.listeners)
    yield from (job.handler for job in registry.jobs)
    yield from registry.filters
    yield from registry.chain


def _homes(name: str) -> Iterator[str]:
    """Return the file *name*, and the package that it belongs to; nothing of the bot's own."""
    if name.startswith(HOME) or not name:
        return
    yield name
    file = pathlib.Path(name)
    package = None
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        package = folder
    if package is not None:
        yield str(package)


def _owner(place: Place, homes: Mapping[str, str]) -> str:
    """Return the plugin that *place* lies in, or ""."""
    if place.file in homes:
        return homes[place.file]
    return next(
        (homes[str(folder)] for folder in pathlib.Path(place.file).parents if str(folder) in homes), ""
    )


def _own(stack: Sequence[Place], plugin: str, homes: Mapping[str, str]) -> Place | None:
    """Return the innermost place in the code of *plugin*."""
    return next((place for place in stack if _owner(place, homes) == plugin), None)
