"""What stands before a handler, as its author declares it. Plain values: help, audit and `/why` read the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import attrs

from qqops.errors import PluginError

#: Whose uses a limit counts together.
LimitKey: TypeAlias = Literal["user", "room", "account", "global"]

#: What another command of the same person does to an open question.
Converse: TypeAlias = Literal["refuse", "replace"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@attrs.frozen
class Limit:
    """How often a handler may be used.

    Attributes:
        times: Uses that are let through in each window; 0 for no bound of that kind.
        per: Length of a window, in seconds.
        key: Whose uses are counted together.
        running: Runs at the same time; 0 for no bound of that kind.
    """

    times: int = 0
    per: float = 0.0
    key: LimitKey = "user"
    running: int = 0

    def __attrs_post_init__(self) -> None:
        """Raises `PluginError` for a limit that bounds nothing, or cannot be kept."""
        if self.key not in get_args(LimitKey) or not all(
            map(_is_number, (self.times, self.per, self.running))
        ):
            keys = ", ".join(map(repr, get_args(LimitKey)))
            raise PluginError(
                f"Limit needs numbers for times, per and running, and a key of {keys}; got {self}"
            )
        if self.times < 0 or self.running < 0 or (self.times > 0) != (self.per > 0):
            raise PluginError(f"Limit needs times and per > 0 seconds, or running > 0, got {self}")
        if not self.times and not self.running:
            raise PluginError("Limit bounds nothing: give times and per, or running")


@attrs.frozen(kw_only=True)
class Approval:
    """Who else must agree before a handler runs.

    Attributes:
        by: Who may: ``role:NAME`` or ``user:NETWORK:ACCOUNT/ID``.
        count: How many of them.
        within: Seconds after which the request expires.
        when: Decides by the arguments whether it is needed at all; None for always.
    """

    by: str
    count: int = 1
    within: float = 600.0
    when: Callable[[Mapping[str, Any]], bool] | None = None

    def __attrs_post_init__(self) -> None:
        """Raises `PluginError` for what can never be met."""
        if not str(self.by).startswith(("role:", "user:")):
            raise PluginError(f"Approval.by must begin with role: or user:, got {self.by!r}")
        numbers = _is_number(self.count) and _is_number(self.within)
        if not numbers or self.count < 1 or not self.within > 0:
            raise PluginError(f"Approval needs count >= 1 and within > 0 seconds, got {self}")


@attrs.frozen(kw_only=True)
class Guards:
    """Everything that stands before one handler.

    Attributes:
        permission: What somebody must be allowed; "" for nothing.
        limits: How often it may be used.
        approval: Who else must agree.
        lock: Name of the lock that keeps it out while it is held; "" for none.
        effects: Whether it changes something outside: such runs are audited.
        dry: Whether it can be tried out with ``--dry``, without approval and lock.
        redact: Names of parameters whose values are shown to nobody.
    """

    permission: str = ""
    limits: tuple[Limit, ...] = ()
    approval: Approval | None = None
    lock: str = ""
    effects: bool = False
    dry: bool = False
    redact: tuple[str, ...] = ()


#: Nothing stands before it.
OPEN = Guards()


def guards_of(
    permission: str,
    limit: Limit | Sequence[Limit],
    approval: Approval | None = None,
    lock: str = "",
    effects: bool = False,
    dry: bool = False,
    redact: tuple[str, ...] = (),
) -> Guards:
    """Return what a decorator's arguments put before its handler; `OPEN` itself when that is nothing."""
    limits = (limit,) if isinstance(limit, Limit) else tuple(limit)
    guards = Guards(
        permission=permission, limits=limits, approval=approval, lock=lock, effects=effects, dry=dry,
        redact=redact,
    )  # fmt: skip
    return OPEN if guards == OPEN else guards
