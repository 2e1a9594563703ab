"""What is asked before a handler runs, and who may say no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from qqops.model import User
from qqops.runtime.context import Content, Context
from qqops.runtime.observe import Result
from qqops.runtime.verdicts import Stage
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.registry import Handler, Hit


class Door(Protocol):
    """Something that stands before a handler and hears how it ended.

    Attributes:
        stage: What it is called in `/why`.
    """

    @property
    def stage(self) -> Stage: ...

    def concerns(self, handler: Handler) -> bool:
        """Whether it can ever have anything to say about *handler*; asked once for each, not for each run."""

    async def before(self, ctx: Context, hit: Hit) -> Content | None:
        """Return None to let *hit* run, or why not. Cancellation: nothing is kept."""

    def after(self, ctx: Context, hit: Hit, result: Result) -> None:
        """The handler has ended; called once for each `before` that returned None."""


@attrs.define(eq=False)
class Entry:
    """One run on its way in, or inside.

    Attributes:
        doors: What stands before it.
        held: What it has taken of limits.
        passed: How many doors it has passed; they hear of its end.
    """

    ctx: Context
    hit: Hit
    doors: Sequence[Door]
    held: Sequence[str]
    passed: int = 0


@attrs.frozen(kw_only=True)
class Request:
    """A question to the plugins: may this be done?

    Attributes:
        plugin: Whose handler it is.
        command: The handler's name.
        permission: What it needs; "" for nothing.
        user: Who set it off; None when nobody did.
        room: Address of the room, or "".
        roles: Roles of the user.
        arguments: Its arguments by name; None when somebody only wants to know whether it could be done.
    """

    plugin: str
    command: str
    permission: str
    user: User | None
    room: str
    roles: frozenset[str]
    arguments: Mapping[str, Any] | None


#: A plugin's `qqops_permission`, and the plugin's name.
Veto = tuple[str, Callable[[Request], object]]


@attrs.frozen
class Refusal:
    """A no: what is said in the room, the reason as `/why` tells it, and the stage that gave it."""

    say: Say
    reason: Say
    stage: Stage = Stage.PERMISSION
