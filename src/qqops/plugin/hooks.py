"""The hooks that plugins may implement, and the two markers.

A plugin is any object or module with functions marked `hookimpl`; the class `Plugin` is one whose hooks
return what its decorators have collected. Hooks are called once, when a plugin is loaded, one plugin at a
time; a hook that fails takes its own plugin out and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pluggy

from qqops.adapters.base import Network
from qqops.runtime.registry import Command, Filter, Job, Listener

#: Name of the project in pluggy's eyes.
PROJECT = "qqops"
#: Entry point group that plugin distributions use.
ENTRY_POINTS = "qqops.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@attrs.frozen(kw_only=True, eq=False)
class Build:
    """What a plugin needs to know while it declares.

    Attributes:
        plugin: Name under which it is loaded.
        services: What the host can inject, by type.
    """

    plugin: str
    services: Mapping[type[Any], object]


class Hooks:
    """The hook specifications. All collect: what they return is added to the registry, stamped with the owner."""

    @hookspec
    def qqops_commands(self, build: Build) -> Sequence[Command]:
        """Return the plugin's commands."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_listeners(self, build: Build) -> Sequence[Listener]:
        """Return the plugin's listeners."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_filters(self, build: Build) -> Sequence[Filter]:
        """Return the plugin's filters."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_jobs(self, build: Build) -> Sequence[Job]:
        """Return the plugin's jobs."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_networks(self) -> Sequence[Network]:
        """Return the kinds of network that the plugin can connect to."""
        raise AssertionError("a specification is never called")
