"""The hooks that plugins may implement, and the two markers.

A plugin is any object or module with functions marked `hookimpl`; the class `Plugin` is one whose hooks
return what its decorators have collected. Hooks that collect are called once, when a plugin is loaded, one plugin at
a time; one that fails takes its own plugin out and no other. The two about access are called at decisions: an error in
one of these means no.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

if TYPE_CHECKING:  # a plugin shall be imported without the bot that runs it
    from qqops.adapters.base import Network
    from qqops.model import User
    from qqops.plugin._converter import Conversion, Converter
    from qqops.runtime.gate import Request
    from qqops.runtime.outgoing import Outgoing
    from qqops.runtime.registry import Command, Filter, Job, Listener
    from qqops.runtime.services import Provided, Service
    from qqops.runtime.storage.upgrade import Migration
    from qqops.runtime.tasks import Task

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
        core: Those of them that belong to the bot itself: a thread reaches them through the bot's own.
        converters: What plugins have taught the bot to convert, by type; its own win over those of others.
        places: Where its services may stand, by the name of their class: an earlier copy's places, and those left by others.
    """

    plugin: str
    services: Mapping[type[Any], object]
    core: Collection[type[Any]] = ()
    converters: Mapping[type[Any], Converter] = attrs.field(factory=dict)
    places: Mapping[str, Provided] = attrs.field(factory=dict)


#: Hooks that are called while a decision is made: plain functions, quick, without waiting.
AT_DECISIONS = ("qqops_identity", "qqops_permission")


class Hooks:
    """The hook specifications. Those that collect are added to the registry, stamped with the owner."""

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
    def qqops_outgoing(self, build: Build) -> Sequence[Outgoing]:
        """Return what the plugin does to messages on their way out."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_converters(self, build: Build) -> Sequence[Conversion]:
        """Return the types that words can be converted to, for this plugin and those that are loaded after it."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_networks(self) -> Sequence[Network]:
        """Return the kinds of network that the plugin can connect to."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_config(self) -> Sequence[type[Any]]:
        """Return attrs classes that are filled from the settings' table ``[plugins.NAME]``."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_services(self, build: Build) -> Sequence[Service]:
        """Return the plugin's services."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_tasks(self, build: Build) -> Sequence[Task]:
        """Return what runs beside the handlers."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_migrations(self, build: Build) -> Sequence[Migration]:
        """Return the steps that bring the plugin's stored values to its version, from 1 on."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_identity(self, user: User) -> Collection[str]:
        """Return the roles that *user* has elsewhere; the answer is remembered for a minute."""
        raise AssertionError("a specification is never called")

    @hookspec
    def qqops_permission(self, request: Request) -> bool | None:
        """Return False to forbid what *request* asks, True to grant what no rule denies, None for no opinion."""
        raise AssertionError("a specification is never called")
