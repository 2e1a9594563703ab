"""The decorator for commands, and groups of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from qqops.plugin import _checking as checking
from qqops.plugin._note import Declared, note
from qqops.runtime.declared import Approval, Converse, Limit

F = TypeVar("F", bound=Callable[..., Any])


class Commanding:
    """The part of `Plugin` and `Group` that is about commands.

    Args:
        commands: Where they are noted.
        path: The words that come before each name.
    """

    def __init__(self, commands: list[Declared], path: tuple[str, ...]) -> None:
        self._commands = commands
        self._path = path

    @overload
    def command(self, name: F, /) -> F: ...
    @overload
    def command(
        self,
        name: str | None = None,
        *,
        aliases: str | Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
        permission: str = "",
        limit: Limit | Sequence[Limit] = (),
        approval: Approval | None = None,
        lock: str = "",
        effects: bool = False,
        dry: bool = False,
        redact: str | Sequence[str] = (),
        converse: Converse = "refuse",
        no_space: bool = False,
    ) -> Callable[[F], F]: ...
    def command(
        self,
        name: Any = None,
        *,
        aliases: str | Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
        permission: str = "",
        limit: Limit | Sequence[Limit] = (),
        approval: Approval | None = None,
        lock: str = "",
        effects: bool = False,
        dry: bool = False,
        redact: str | Sequence[str] = (),
        converse: Converse = "refuse",
        no_space: bool = False,
    ) -> Any:
        """Declare a command. Its words, options and help come from the signature and the docstring.

        Args:
            name: The word after the prefix; two words make a command of a group. Without one it is the name of the
                function, with ``-`` for ``_``; the parentheses may then be left out, too.
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

        Raises:
            PluginError: An argument makes no sense, with the author's file and line.
        """
        if callable(name):
            return self.command()(name)
        words = () if name is None else checking.words("name", name)
        more = {
            "aliases": checking.aliases(aliases),
            "at_least_once": checking.flag("at_least_once", at_least_once),
            "guards": checking.guards(permission, limit, approval, lock, effects, dry, redact),
            "converse": checking.converse(converse),
            "no_space": checking.flag("no_space", no_space),
        }

        def declare(function: F) -> F:
            checking.function(function, "command")
            path = (*self._path, *(words or (checking.name_of(function),)))
            self._commands.append(note(function, " ".join(path), timeout, inline, {**more, "path": path}))
            return function

        return declare

    def group(self, name: str) -> Group:
        """Return a group: its commands are called ``/name sub …``."""
        return Group(self._commands, (*self._path, *checking.words("name", name, of="a group")))


class Group(Commanding):
    """Commands that share their first words."""
