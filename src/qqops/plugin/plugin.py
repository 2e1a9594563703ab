"""What a plugin author writes: a `Plugin` and its decorators.

The decorators return the function unchanged and only note what was declared. Signatures are read when the
plugin is loaded, so that classes defined later in the module can be used in annotations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

from qqops.plugin import _checking as checking
from qqops.plugin._clockwork import Clockwork
from qqops.plugin._commanding import Commanding, Group
from qqops.plugin._converter import Conversion
from qqops.plugin._making import make_command, make_conversion, make_filter, make_listener, make_outgoing
from qqops.plugin._note import Declared, each, note
from qqops.plugin._providing import Providing
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import Signature
from qqops.runtime.declared import Limit
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, Listener, Wraps

F = TypeVar("F", bound=Callable[..., Any])

#: What a filter is put around.
FilterWraps: TypeAlias = Literal["messages", "all"]

#: What a plugin may be called: it stands in settings, in ``plugin:command``, and in the keys of stored values.
NAME = re.compile(r"[a-z][a-z0-9_-]*")


class Plugin(Commanding, Providing, Clockwork):
    """A plugin: a name, and what its decorators have collected.

    Example::

        plugin = Plugin("add")


        @plugin.command("add")
        async def add(a: int, b: int) -> str:
            \"\"\"Add two integers.\"\"\"
            return str(a + b)
    """

    def __init__(self, name: str) -> None:
        if not NAME.fullmatch(str(name)):
            raise checking.wrong(f"{name!r} is not a plugin name: lower-case letters, digits, - and _ only")
        self.name = name
        Commanding.__init__(self, [], ())
        self._listeners: list[Declared] = []
        self._filters: list[Declared] = []
        self._conversions: list[Declared] = []
        self._outgoing: list[Declared] = []
        Providing.__init__(self)
        Clockwork.__init__(self)

    def __repr__(self) -> str:
        return f"<Plugin {self.name}>"

    # -- decorators -----------------------------------------------------------------------------

    def on(
        self,
        event: type[Any],
        *,
        regex: str | re.Pattern[str] | None = None,
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
        checking.event(event)
        more: dict[str, Any] = {
            "event": event,
            "regex": checking.pattern(regex),
            "keywords": checking.keywords(keyword),
            "at_me": checking.flag("at_me", at_me),
            "also_commands": checking.flag("also_commands", also_commands),
            "at_least_once": checking.flag("at_least_once", at_least_once),
            "priority": checking.whole("priority", priority),
            "stop": checking.flag("stop", stop),
            "guards": checking.guards(permission, limit),
        }

        def declare(function: F) -> F:
            checking.function(function, "on")
            self._listeners.append(note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    @overload
    def filter(self, function: F, /) -> F: ...
    @overload
    def filter(self, *, order: int = 0, wraps: FilterWraps = "messages") -> Callable[[F], F]: ...
    def filter(self, function: Any = None, *, order: int = 0, wraps: FilterWraps = "messages") -> Any:
        """Declare a filter: ``async def quiet(ctx: Ctx, call: Next) -> None`` around the handlers of all plugins.

        What stands behind a ``*`` is injected: ``(ctx: Ctx, call: Next, *, cfg: Config)``.

        Not awaiting ``call()`` means no, and is recorded as such; an error means no as well. ``call()`` works once.

        Args:
            order: The lowest is outermost.
            wraps: What it is put around: whatever a message sets off (commands, listeners of messages), or really all:
                jobs, which have no room and no sender, and the listeners of all other events.
        """
        more = {
            "order": checking.whole("order", order),
            "wraps": Wraps(checking.one_of("wraps", wraps, [one.value for one in Wraps])),
        }

        def declare(function: F) -> F:
            checking.function(function, "filter")
            self._filters.append(note(function, function.__name__, None, False, more))
            return function

        return declare if function is None else declare(function)

    @overload
    def outgoing(self, function: F, /) -> F: ...
    @overload
    def outgoing(self, *, order: int = 0) -> Callable[[F], F]: ...
    def outgoing(self, function: Any = None, *, order: int = 0) -> Any:
        """Declare what is done to every message on its way out: ``def mask(draft: Draft) -> Draft | None``.

        What stands behind a ``*`` is injected. The lowest order comes first. None holds the message back, and so does an error; its sender learns that it was
        refused. It is called for each message in the middle of other work: it must be quick and may not wait.
        """
        more = {"order": checking.whole("order", order)}

        def declare(function: F) -> F:
            checking.function(function, "outgoing")
            self._outgoing.append(note(function, function.__name__, None, False, more))
            return function

        return declare if function is None else declare(function)

    def converter(self, kind: type[Any]) -> Callable[[F], F]:
        """Declare how a word becomes a *kind*: a plain function of the word, or of the word and the context.

        What stands behind a ``*`` is injected, as everywhere.

        It says no with ``raise Refuse("why")``. The type can be used in the signatures of this plugin and of those
        that are loaded after it.
        """
        if not isinstance(kind, type):
            raise checking.wrong(
                "@plugin.converter needs the class that words become: @plugin.converter(Service)"
            )

        def declare(function: F) -> F:
            checking.function(function, "converter")
            self._conversions.append(note(function, function.__name__, None, False, {"kind": kind}))
            return function

        return declare

    # -- its own hooks --------------------------------------------------------------------------

    @hookimpl
    def qqops_commands(self, build: Build) -> list[Command]:
        """Return the declared commands."""
        return each(self._commands, make_command, build)

    @hookimpl
    def qqops_listeners(self, build: Build) -> list[Listener]:
        """Return the declared listeners."""
        return each(self._listeners, make_listener, build)

    @hookimpl
    def qqops_filters(self, build: Build) -> list[Filter]:
        """Return the declared filters."""
        return each(self._filters, make_filter, build)

    @hookimpl
    def qqops_outgoing(self, build: Build) -> list[Outgoing]:
        """Return what is done to messages on their way out."""
        return each(self._outgoing, make_outgoing, build)

    @hookimpl
    def qqops_converters(self, build: Build) -> list[Conversion]:
        """Return the declared converters."""
        return each(self._conversions, make_conversion, build)


__all__ = ["Group", "Plugin", "Signature"]
