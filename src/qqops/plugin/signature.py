"""A function's signature is its declaration: what its parameters are filled with.

Positional parameters are words (or the named groups of a regular expression), keyword-only ones are
options or injected services. All of it is decided when the plugin is loaded; a parameter that nothing can
fill is an error with file and line, not a surprise in the chat.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import attrs

from qqops.errors import PluginError, Refuse
from qqops.model import Event, Message
from qqops.plugin._asking import ask_missing
from qqops.plugin._converter import BadWord, Converter
from qqops.plugin._line import REQUIRED, BadLine, Layout, Parameter, Slot, explain, parse
from qqops.plugin._values import Quote
from qqops.plugin.convert import Rest, converter_for, takes_none, without_none
from qqops.protocol.words import Word, split
from qqops.runtime.context import Context
from qqops.runtime.hops import Hopping
from qqops.runtime.named_rooms import PerRoom
from qqops.runtime.registry import Line, Prepare, Source
from qqops.runtime.services import Provided
from qqops.runtime.sync_context import SyncContext
from qqops.texts import Say

#: How ``X | Y`` looks when it is read.
_UNIONS = (typing.Union, types.UnionType)


class Unfilled(PluginError):
    """Nothing can fill a parameter; a plugin that is loaded later may bring what can.

    Attributes:
        hint: Type of the parameter.
    """

    def __init__(self, reason: str, *, where: str = "", hint: Any = None) -> None:
        self.hint = hint
        super().__init__(reason, where=where)


@attrs.frozen
class Arg:
    """More about a positional parameter: ``service: Annotated[str, Arg(help="service to ship")]``."""

    help: str = ""


@attrs.frozen(init=False)
class Opt:
    """More about an option: ``env: Annotated[Env, Opt("-e", "--env", help="where to")] = Env.staging``."""

    names: tuple[str, ...]
    help: str

    def __init__(self, *names: str, help: str = "") -> None:  # noqa: A002 - reads best at the call
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "help", help)


@attrs.frozen(eq=False)
class Signature:
    """The parameters of one handler, and how it is called.

    Attributes:
        threaded: Whether it is called in a thread.
    """

    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    threaded: bool = False

    @property
    def words(self) -> tuple[Parameter, ...]:
        """The positional parameters that take words."""
        return tuple(p for p in self.parameters if p.slot is Slot.WORD)

    @property
    def options(self) -> tuple[Parameter, ...]:
        """The options."""
        return tuple(p for p in self.parameters if p.slot is Slot.OPTION)

    def usage(self, path: tuple[str, ...]) -> str:
        """Return how the command is typed, without the prefix."""
        parts = [" ".join(path)]
        for p in self.words:
            shown = p.converter.label or p.name
            if p.variadic:
                parts.append(f"[{shown} …]")
            elif p.default is REQUIRED:
                parts.append(f"<{shown}>")
            else:
                parts.append(f"[{shown}]")
        for p in self.options:
            value = "" if p.converter.flag else f" <{p.converter.label or p.name}>"
            text = f"{p.options[0]}{value}"
            parts.append(text if p.default is REQUIRED else f"[{text}]")
        return " ".join(parts)

    def details(self) -> str:
        """Return the help of the single parameters, one a line."""
        named = [
            (p.name if p.slot is Slot.WORD else ", ".join(p.options), p.help)
            for p in self.parameters
            if p.help
        ]
        return "\n".join(f"  {name}: {text}" for name, text in named)

    def for_command(self, usage: str) -> Prepare:
        """Return the preparation that fills words and options from a command line."""
        layout = Layout.of(self.parameters)

        def prepare(ctx: Context, source: Source) -> Callable[[], Any]:
            assert isinstance(source, Line)
            try:
                words = split(source.text, source.start, source.pieces)
                values, extra = parse(layout, source.text, words, ctx)
            except BadLine as exc:
                raise Refuse(ask_missing(ctx, source, exc, explain(ctx, source, exc, usage))) from None
            return self._filled(ctx, values, extra)

        return prepare

    def for_match(self) -> Prepare:
        """Return the preparation that fills named groups from a regular expression's match."""

        def prepare(ctx: Context, source: Source) -> Callable[[], Any]:
            groups = source.groupdict() if isinstance(source, re.Match) else {}
            values: dict[str, Any] = {}
            for p in self.words:
                text = groups.get(p.name)
                try:
                    missing = None if p.default is REQUIRED else p.default
                    values[p.name] = (
                        missing if text is None else p.converter.read(Word(text, 0, len(text)), ctx)
                    )
                except BadWord as exc:
                    raise Refuse(ctx.render(exc.say)) from None
            return self._filled(ctx, values, ())

        return prepare

    def for_event(self) -> Prepare:
        """Return the preparation for a handler that takes no words."""
        return lambda ctx, source: self._call(ctx, {}, ())

    def _filled(self, ctx: Context, values: Mapping[str, Any], extra: tuple[Any, ...]) -> Callable[[], Any]:
        """Return the call, and let *ctx* know the values that somebody typed."""
        call = self._call(ctx, values, extra)
        if extra:
            values = {**values, next(p.name for p in self.parameters if p.variadic): extra}
        ctx.fill(values)
        return call

    def _call(self, ctx: Context, values: Mapping[str, Any], extra: tuple[Any, ...]) -> Callable[[], Any]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for p in self.parameters:
            if p.variadic:
                args.extend(extra)
                continue
            if p.slot is Slot.CONTEXT:
                value: Any = SyncContext(ctx, ctx.in_thread()) if self.threaded else ctx
            elif p.slot is Slot.EVENT:
                value = ctx.event
            elif p.slot is Slot.SERVICE:
                value = p.service.value(ctx) if p.looked_up else p.service  # type: ignore[attr-defined]
                if p.core and self.threaded:
                    value = Hopping(value, ctx.in_thread())
            elif p.slot is Slot.QUOTE:
                value = _quote(p, ctx)
            else:
                value = values[p.name]
            if p.keyword:
                kwargs[p.name] = value
            else:
                args.append(value)
        return functools.partial(self.function, *args, **kwargs)


def _quote(p: Parameter, ctx: Context) -> Quote | None:
    ref = ctx.event.reply_to if isinstance(ctx.event, Message) else None
    if ref is None and p.default is REQUIRED:
        raise Refuse(ctx.render(Say("refuse.no_quote")))
    return Quote(ref) if ref is not None else None


# -- reading a function ------------------------------------------------------------------------------


def location(function: Callable[..., Any] | None) -> str:
    """Return ``file:line`` of *function*, or "" where there is none."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""


def read(
    function: Callable[..., Any],
    *,
    services: Mapping[type[Any], object],
    enclosing: Mapping[str, Any],
    words: bool,
    groups: frozenset[str] | None = None,
    own: Mapping[type[Any], Converter] | None = None,
    threaded: bool = False,
    core: Collection[type[Any]] = (),
) -> Signature:
    """Return the signature of *function*.

    Args:
        services: What can be injected, by type.
        enclosing: Local names where the function was defined, for classes defined inside a function.
        words: Whether positional parameters are words of a command line.
        groups: Names that a regular expression offers to positional parameters instead; None when there
            is none.
        own: Converters of plugins, by type.
        threaded: Whether it will be called in a thread.
        core: The services that belong to the bot itself.

    Raises:
        PluginError: A parameter that nothing can fill; the message names it, with file and line.
    """
    where = location(function)
    hints = hints_of(function, enclosing, where)
    if unsayable := _unsayable(hints.get("return")):
        raise PluginError(
            f"{function.__name__}() returns {unsayable}, which cannot be said; return str, a segment, a tuple of"
            " both, or None",
            where=where,
        )
    parameters: list[Parameter] = []
    for raw in inspect.signature(function).parameters.values():
        if raw.name not in hints:
            raise PluginError(
                f"{function.__name__}(): the parameter {raw.name!r} needs a type annotation", where=where
            )
        if hints[raw.name] is SyncContext and not threaded:
            raise PluginError(
                f"{function.__name__}() runs where the bot runs and takes a Ctx; SyncCtx is for plain `def` functions, which run in"
                " threads",
                where=where,
            )
        parameters.append(
            _parameter(function, raw, hints[raw.name], services, words, groups, own, core, where)
        )
    options = [name for p in parameters for name in p.options]
    if twice := next((name for name in options if options.count(name) > 1), None):
        raise PluginError(f"{function.__name__}(): two parameters have the option {twice}", where=where)
    rests = [i for i, p in enumerate(p for p in parameters if p.slot is Slot.WORD) if p.rest]
    count = sum(p.slot is Slot.WORD for p in parameters)
    if rests and rests != [count - 1]:
        raise PluginError(f"{function.__name__}(): Rest must be the last word of the command", where=where)
    return Signature(function, tuple(parameters), threaded)


#: What handlers return by mistake. Other annotations may still turn out to be fine and are looked at when they run.
_UNSAYABLE = (int, float, bool, bytes, list, dict, set, datetime.datetime)


def _unsayable(hint: Any) -> str:
    """Return the type among those of the annotation that can never be an answer, or ""."""
    for one in (hint, *(typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else ())):
        kind = typing.get_origin(one) or one
        if kind in _UNSAYABLE:
            return _show(one)
    return ""


def hints_of(function: Callable[..., Any], enclosing: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the annotations of *function*, resolved. Raises `PluginError` where that cannot be done."""
    try:
        return typing.get_type_hints(inspect.unwrap(function), localns=dict(enclosing), include_extras=True)
    except NameError as exc:
        raise PluginError(
            f"{function.__name__}(): the name {exc.name!r} in an annotation cannot be resolved when the plugin is"
            " loaded; import it outside `if TYPE_CHECKING:`, and define classes above the function that uses them",
            where=where,
        ) from exc
    except (TypeError, SyntaxError, AttributeError) as exc:
        raise PluginError(f"{function.__name__}(): an annotation cannot be read: {exc}", where=where) from exc


def _parameter(
    function: Callable[..., Any],
    raw: inspect.Parameter,
    hint: Any,
    services: Mapping[type[Any], object],
    words: bool,
    groups: frozenset[str] | None,
    own: Mapping[type[Any], Converter] | None,
    core: Collection[type[Any]],
    where: str,
) -> Parameter:
    """Decide what fills one parameter."""
    extras: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        hint, *more = typing.get_args(hint)
        extras = tuple(more)
    keyword = raw.kind is inspect.Parameter.KEYWORD_ONLY
    if raw.kind is inspect.Parameter.VAR_KEYWORD:
        raise PluginError(f"{function.__name__}(): **{raw.name} cannot be filled from a message", where=where)
    common: dict[str, Any] = {"name": raw.name, "keyword": keyword}
    if hint in (Context, SyncContext):
        return Parameter(slot=Slot.CONTEXT, **common)
    if isinstance(hint, type) and issubclass(hint, Event):
        return Parameter(slot=Slot.EVENT, event=hint, **common)
    if isinstance(hint, type) and hint in services:
        service = services[hint]
        return Parameter(
            slot=Slot.SERVICE, service=service, looked_up=is_looked_up(service), core=hint in core, **common
        )
    if without_none(hint) is Quote:
        default = None if takes_none(hint) else REQUIRED
        return Parameter(slot=Slot.QUOTE, default=default, **common)
    converter = converter_for(hint, own)
    if groups is not None and not keyword:
        if raw.name not in groups:
            offered = ", ".join(sorted(groups)) or "none"
            raise PluginError(
                f"{function.__name__}(): the pattern has no group named {raw.name!r} (it has: {offered})",
                where=where,
            )
    elif not words:
        converter = None
    if converter is None:
        raise unfilled(function, raw.name, hint, services)
    default = raw.default
    if default is REQUIRED and takes_none(hint):
        default = None
    if keyword:
        opt = next((e for e in extras if isinstance(e, Opt)), Opt())
        names = opt.names or (f"--{raw.name.replace('_', '-')}",)
        if bad := [n for n in names if not re.fullmatch(r"-\w|--\w[\w-]*", n)]:
            raise PluginError(
                f"{function.__name__}(): {bad[0]!r} is not an option name; write -e or --env", where=where
            )
        if default is REQUIRED and converter.flag:
            default = False
        return Parameter(
            slot=Slot.OPTION, converter=converter, default=default, options=names, help=opt.help, **common
        )
    arg = next((e for e in extras if isinstance(e, Arg)), Arg())
    variadic = raw.kind is inspect.Parameter.VAR_POSITIONAL
    return Parameter(
        slot=Slot.WORD, converter=converter, default=default, variadic=variadic, rest=without_none(hint) is Rest, help=arg.help,
        **common,
    )  # fmt: skip


def unfilled(
    function: Callable[..., Any], name: str, hint: Any, services: Mapping[type[Any], object]
) -> Unfilled:
    """Return the error that nothing can fill the parameter *name* of *function*; it names the nearest type that is there."""
    known = sorted(one.__name__ for one in services)
    near = difflib.get_close_matches(_show(hint), known, 1)
    way_out = f"did you mean {near[0]}?" if near else f"injected are: {', '.join(known)}"
    return Unfilled(
        f"{function.__name__}(): nothing can fill the parameter {name!r} of type {_show(hint)}; {way_out}",
        where=location(function), hint=hint,
    )  # fmt: skip


def is_looked_up(service: object) -> bool:
    """Whether what is injected is found anew for each call, by ``value(ctx)``."""
    return isinstance(service, Provided | PerRoom)


def _show(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
