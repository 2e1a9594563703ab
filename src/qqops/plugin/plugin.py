"""What a plugin author writes: a `Plugin` and its decorators.

The decorators return the function unchanged and only note what was declared. Signatures are read when the
plugin is loaded, so that classes defined later in the module can be used in annotations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from qqops.errors import PluginError
from qqops.plugin._clockwork import Clockwork
from qqops.plugin._converter import Conversion
from qqops.plugin._making import make_command, make_listener, make_outgoing
from qqops.plugin._note import Declared, note
from qqops.plugin._providing import Providing
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import Signature, location
from qqops.runtime.declared import Approval, Converse, Guards, Limit, guards_of
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, FilterCall, Listener, Wraps

F = TypeVar("F", bound=Callable[..., Any])


class Plugin(Providing, Clockwork):
    """A plugin: a name, and what its decorators have collected.

    Example::

        plugin = Plugin("add")


        @plugin.command("add")
        async def add(a: int, b: int) -> str:
            \"\"\"Add two integers.\"\"\"
            return str(a + b)
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise PluginError(f"{name!r} is not a plugin name: lower-case letters, digits, - and _ only")
        self.name = name
        self._commands: list[Declared] = []
        self._listeners: list[Declared] = []
        self._filters: list[Declared] = []
        self._conversions: list[Conversion] = []
        self._outgoing: list[Declared] = []
        Providing.__init__(self)
        Clockwork.__init__(self)

    def __repr__(self) -> str:
        return f"<Plugin {self.name}>"

    # -- decorators -----------------------------------------------------------------------------

    def command(
        self,
        name: str,
        *,
        aliases: Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
        permission: str = "",
        limit: Limit | Sequence[Limit] = (),
        approval: Approval | None = None,
        lock: str = "",
        effects: bool = False,
        dry: bool = False,
        redact: Sequence[str] = (),
        converse: Converse = "refuse",
        no_space: bool = False,
    ) -> Callable[[F], F]:
        """Declare a command. Its words, options and help come from the signature and the docstring.

        Args:
            name: The word after the prefix; two words make a command of a group.
            aliases: Other single words that call it.
            timeout: Seconds it may take; None for the setting's value.
            inline: Call a plain ``def`` in place instead of in a thread; for quick, pure functions.
            at_least_once: Start it again when the bot was killed while it ran; else that is only reported.
            permission: What the caller must be allowed.
            limit: How often it may be used.
            approval: Who else must agree.
            lock: Name of a lock that keeps it out while somebody holds it.
            effects: It changes something outside: its runs are audited.
            dry: It can be tried out: ``--dry`` fills its parameter ``dry: bool`` and needs no approval and no lock.
            redact: Parameters whose values are shown to nobody, as those of the type `Secret`.
            converse: What another command of the same person does to an open question of this one.
            no_space: Its Chinese names need no space after them: ``/天气北京`` is ``/天气 北京``.
        """
        guards = guards_of(permission, limit, approval, lock, effects, dry, tuple(redact))
        return self._command(
            (name,), aliases, timeout, inline, at_least_once, guards, converse, no_space=no_space
        )

    def group(self, name: str) -> Group:
        """Return a group: its commands are called ``/name sub …``."""
        return Group(self, tuple(name.split()))

    def on(
        self,
        event: type[Any],
        *,
        regex: str | None = None,
        keyword: str | Sequence[str] | None = None,
        at_me: bool = False,
        also_commands: bool = False,
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
        permission: str = "",
        limit: Limit | Sequence[Limit] = (),
        priority: int = 0,
        stop: bool = False,
    ) -> Callable[[F], F]:
        """Declare a listener for an event class.

        Args:
            event: A class of `qqops.model.events`: `Message`, `Joined`, `FriendRequest`, `Connected` and so on.
            regex: Only messages in which this is found; its named groups become typed arguments.
            keyword: Only messages that contain it (one of them), in any case.
            at_me: Only messages that address the bot, and call no command.
            also_commands: With *at_me*: those that call a command as well.
            at_least_once: Start it again when the bot was killed while it ran; messages only.
            permission: What the person must be allowed; else nothing happens.
            limit: How often it may be set off; beyond that nothing happens.
            priority: Listeners of a higher one come first; equal ones in the order of loading.
            stop: When this one matches, those after it are left out. Commands are not listeners.
        """
        keywords = (keyword,) if isinstance(keyword, str) else tuple(keyword or ())
        more: dict[str, Any] = {
            "event": event,
            "regex": regex,
            "keywords": keywords,
            "at_me": at_me,
            "also_commands": also_commands,
        }
        more.update(at_least_once=at_least_once, priority=priority, stop=stop)
        more["guards"] = guards_of(permission, limit)

        def declare(function: F) -> F:
            self._listeners.append(note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    def filter(self, *, order: int = 0, wraps: Literal["messages", "all"] = "messages") -> Callable[[F], F]:
        """Declare a filter: ``async def quiet(ctx: Ctx, call: Next) -> None`` around the handlers of all plugins.

        Not awaiting ``call()`` means no, and is recorded as such; an error means no as well. ``call()`` works once.

        Args:
            order: The lowest is outermost.
            wraps: What it is put around: whatever a message sets off (commands, listeners of messages), or really all:
                jobs, which have no room and no sender, and the listeners of all other events.
        """
        more = {"order": order, "wraps": wraps}

        def declare(function: F) -> F:
            self._filters.append(note(function, function.__name__, None, False, more))
            return function

        return declare

    def outgoing(self, *, order: int = 0) -> Callable[[F], F]:
        """Declare what is done to every message on its way out: ``def mask(draft: Draft) -> Draft | None``.

        The lowest order comes first. None holds the message back, and so does an error; its sender learns that it was
        refused. It is called for each message in the middle of other work: it must be quick and may not wait.
        """

        def declare(function: F) -> F:
            self._outgoing.append(note(function, function.__name__, None, False, {"order": order}))
            return function

        return declare

    def converter(self, kind: type[Any]) -> Callable[[F], F]:
        """Declare how a word becomes a *kind*: a plain function of the word, or of the word and the context.

        It says no with ``raise Refuse("why")``. The type can be used in the signatures of this plugin and of those
        that are loaded after it.
        """

        def declare(function: F) -> F:
            self._conversions.append(Conversion(kind, function, location(function)))
            return function

        return declare

    def _command(
        self,
        path: tuple[str, ...],
        aliases: Sequence[str],
        timeout: float | None,
        inline: bool,
        at_least_once: bool,
        guards: Guards,
        converse: Converse = "refuse",
        *,
        no_space: bool = False,
    ) -> Callable[[F], F]:
        words = tuple(" ".join(path).split())

        def declare(function: F) -> F:
            names = (aliases,) if isinstance(aliases, str) else tuple(aliases)
            more = {"path": words, "aliases": names, "at_least_once": at_least_once, "guards": guards,
                    "converse": converse, "no_space": no_space}  # fmt: skip
            self._commands.append(note(function, " ".join(words), timeout, inline, more))
            return function

        return declare

    # -- its own hooks --------------------------------------------------------------------------

    @hookimpl
    def qqops_commands(self, build: Build) -> list[Command]:
        """Return the declared commands."""
        return [make_command(d, build) for d in self._commands]

    @hookimpl
    def qqops_listeners(self, build: Build) -> list[Listener]:
        """Return the declared listeners."""
        return [make_listener(d, build) for d in self._listeners]

    @hookimpl
    def qqops_filters(self, build: Build) -> list[Filter]:
        """Return the declared filters."""
        return [self._make_filter(d, build) for d in self._filters]

    @hookimpl
    def qqops_outgoing(self, build: Build) -> list[Outgoing]:
        """Return what is done to messages on their way out."""
        return [make_outgoing(d, build) for d in self._outgoing]

    @hookimpl
    def qqops_converters(self) -> list[Conversion]:
        """Return the declared converters."""
        return list(self._conversions)

    def _make_filter(self, d: Declared, build: Build) -> Filter:
        where = location(d.function)
        if not inspect.iscoroutinefunction(d.function):
            raise PluginError(f"the filter {d.name}() must be `async def`", where=where)
        if len(inspect.signature(d.function).parameters) != 2:
            raise PluginError(f"the filter {d.name}() takes two parameters: ctx and call", where=where)
        try:
            wraps = Wraps(d.more["wraps"])
        except ValueError:
            raise PluginError(
                f"the filter {d.name}() wraps 'messages' or 'all', not {d.more['wraps']!r}", where=where
            ) from None
        call: FilterCall = d.function
        return Filter(
            plugin=build.plugin, name=d.name, where=where, order=d.more["order"], call=call, wraps=wraps
        )


class Group:
    """Commands that share their first words."""

    def __init__(self, plugin: Plugin, path: tuple[str, ...]) -> None:
        self._plugin = plugin
        self._path = path

    def command(
        self,
        name: str,
        *,
        aliases: Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
        permission: str = "",
        limit: Limit | Sequence[Limit] = (),
        approval: Approval | None = None,
        lock: str = "",
        effects: bool = False,
        dry: bool = False,
        redact: Sequence[str] = (),
        converse: Converse = "refuse",
    ) -> Callable[[F], F]:
        """Declare a command of this group; arguments as in `Plugin.command`."""
        guards = guards_of(permission, limit, approval, lock, effects, dry, tuple(redact))
        return self._plugin._command(
            (*self._path, name), aliases, timeout, inline, at_least_once, guards, converse
        )

    def group(self, name: str) -> Group:
        """Return a group within this one."""
        return Group(self._plugin, (*self._path, *name.split()))


__all__ = ["Group", "Plugin", "Signature"]
