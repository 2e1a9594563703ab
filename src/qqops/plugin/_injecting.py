"""What is injected into functions that are called with something of their own: filters, what is done to messages on their
way out, converters, migrations. Theirs is positional, what is injected stands behind a ``*``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qqops.errors import PluginError
from qqops.plugin.signature import hints_of, is_looked_up, location, unfilled
from qqops.runtime.context import Context

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def positional(function: Callable[..., Any]) -> int:
    """Return how many parameters of *function* are not injected."""
    return sum(one.kind is not _KEYWORD for one in inspect.signature(function).parameters.values())


@attrs.frozen(eq=False)
class Injected:
    """What is injected into one function.

    Attributes:
        fixed: What is the same in every call, by the name of the parameter.
        places: What is looked up in each: a service, a configuration that a room has for itself.
    """

    fixed: Mapping[str, object]
    places: Mapping[str, Any]

    def into(self, function: Callable[..., Any], ctx_at: int | None = None) -> Callable[..., Any]:
        """Return *function* without the parameters that are injected: itself when there are none.

        Args:
            ctx_at: Which of its arguments is the context, if one is.
        """
        fixed = functools.partial(function, **self.fixed) if self.fixed else function
        if not self.places:
            return fixed
        places = self.places

        def call(*args: Any) -> Any:
            ctx: Context | None = args[ctx_at] if ctx_at is not None else None
            return fixed(*args, **{name: place.value(ctx) for name, place in places.items()})

        return call


NOTHING = Injected({}, {})


def injected(
    function: Callable[..., Any], services: Mapping[type[Any], object], enclosing: Mapping[str, Any]
) -> Injected:
    """Return what is injected into *function*.

    Args:
        services: What can be, by type.
        enclosing: Local names where the function was defined.

    Raises:
        PluginError: A parameter behind the ``*`` that nothing can fill.
    """
    parameters = inspect.signature(function).parameters
    names = [name for name, one in parameters.items() if one.kind is _KEYWORD]
    if not names:
        return NOTHING
    where = location(function)
    hints = hints_of(function, enclosing, where)
    found: dict[str, object] = {}
    for name in names:
        if name not in hints:
            raise PluginError(
                f"{function.__name__}(): the parameter {name!r} needs a type annotation", where=where
            )
        hint = hints[name]
        if not isinstance(hint, type) or hint not in services:
            raise unfilled(function, name, hint, services)
        found[name] = services[hint]
    places = {name: one for name, one in found.items() if is_looked_up(one)}
    return Injected({name: one for name, one in found.items() if name not in places}, places)
