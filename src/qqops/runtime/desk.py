"""Where a run turns to when it needs a person. One for all runs of a bot."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import attrs

from qqops.model import Message
from qqops.runtime.approvals import Approvals
from qqops.runtime.context import Content, Context
from qqops.runtime.conversations import (
    Conversations,
    Ending,
    NotThat,
    Question,
    Reader,
    said,
)
from qqops.texts import Say

T = TypeVar("T")

#: Seconds that a person has to name a missing argument, and tries that may be wrong.
MISSING_WITHIN, MISSING_RETRIES = 60.0, 2


class Rerun(Protocol):
    """Runs the command that a message calls; see `Dispatcher.rerun`."""

    def __call__(self, message: Message, handler: str, *, journal: bool) -> bool:
        """Return whether it could be queued."""


@attrs.frozen(kw_only=True)
class Desk:
    """What a context asks people with.

    Attributes:
        aside: Lets others have the slot of a run while it waits.
        rerun: Runs a command again.
        prefixed: Whether a message calls a command by a prefix.
    """

    talks: Conversations
    approvals: Approvals
    aside: Callable[[Any], AbstractAsyncContextManager[None]]
    rerun: Rerun
    prefixed: Callable[[Message], bool]

    async def ask(
        self, ctx: Context, run: Any, text: Content, read: Reader, within: float, retries: int
    ) -> Any:
        """Put *text* to who has set *run* off; see `Context.ask`."""
        return await self.talks.ask(
            ctx,
            text,
            read,
            within=within,
            retries=retries,
            aside=self.aside(run),
            replaceable=run.hit.handler.converse == "replace",
        )

    async def choose(
        self, ctx: Context, run: Any, text: str | Say, items: Sequence[T], within: float, retries: int
    ) -> T:
        """Offer *items* by number and name; see `Context.choose`."""
        if not items:
            raise ValueError("there is nothing to choose from")
        names = [_name(item) for item in items]
        shown = "\n".join(f"{number}. {name}" for number, name in enumerate(names, 1))
        by_number = {str(number): item for number, item in enumerate(items, 1)}
        by_name = {name.casefold(): item for name, item in reversed([*zip(names, items, strict=True)])}

        def read(message: Message) -> T:
            word = said(message)
            found = by_name if word.casefold() in by_name else by_number
            try:
                return found[word.casefold().rstrip(".。")]
            except KeyError:
                raise NotThat(Say("converse.no_item", {"word": word[:64]})) from None

        chosen: T = await self.ask(ctx, run, f"{ctx.render(text)}\n{shown}", read, within, retries)
        return chosen

    def yes_or_no(self, ctx: Context, text: str | Say) -> str:
        """Return *text* with the answers that it may have."""
        return ctx.render(Say("converse.yes_no", {"text": ctx.render(text)}))

    def complete(
        self, ctx: Context, run: Any, text: str, read: Reader, full: Callable[[Message], Message]
    ) -> str:
        """Ask for what a command line lacks; see `Context.complete`."""
        message = ctx.event
        if not self.talks.ask_missing or not isinstance(message, Message):
            return text
        if not message.room.private and not self.prefixed(message):
            return text

        def settled(question: Question) -> None:
            if question.message is not None:
                self.rerun(full(question.message), run.hit.handler.key, journal=True)
            elif question.ending is not None and question.ending is not Ending.REPLACED:
                wrong = question.reason if question.ending is Ending.WRONG else ""
                question.say(wrong or Say(question.ending.value))

        question = Question(
            key=(message.room.ref, message.sender.ref), plugin=ctx.plugin, retries=MISSING_RETRIES,
            say=ctx.answer, replaceable=True, settled=settled, read=read,
        )  # fmt: skip
        if self.talks.begin(question, MISSING_WITHIN) is not None:
            return text
        return f"{text}\n{ctx.render(Say('converse.missing'))}"


def _name(item: object) -> str:
    return str(item.value if isinstance(item, enum.Enum) else getattr(item, "name", item))
