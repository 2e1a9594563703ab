"""Questions to a person in a room: one at a time, answered by what that person says there next.

A question is found by (room, person) before anything else is looked up, so its answer reaches nobody else. Who waits
holds no slot. A question ends by an answer that fits, by too many that do not, by its deadline, by the word cancel, by
another command, when its account is removed, or with the bot; a lost connection does not end it, nor an account that is
stopped, a restart does.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import structlog
import trio

from qqops.errors import AnswerCancelled, AnswerExpired, NoAnswer, Refuse
from qqops.model import AccountRef, Message, PersonRef, RoomRef
from qqops.protocol.words import plainer
from qqops.runtime.alarms import Alarm, Alarms
from qqops.runtime.border import ANYTHING
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.context import Content, Context

log = structlog.get_logger("qqops.conversations")

#: Words that end a question, in any case and width.
CANCEL_WORDS = frozenset({"cancel", "取消"})
#: Characters beyond which nothing is looked at: such a message is none of them, whatever it says.
CANCEL_LIMIT = 32
#: What may stand around them.
_AROUND = " .。!,;~…\"'“”‘’「」"

#: Where and with whom.
Key: TypeAlias = tuple[RoomRef, PersonRef]
#: A message → the value that was asked for. Raises `NotThat`.
Reader: TypeAlias = Callable[[Message], Any]
#: A type, and who asks → how it is read. Raises `TypeError` for a type that nothing can read.
Readers: TypeAlias = Callable[[Any, "Context"], Reader]


class NotThat(Exception):
    """An answer does not fit what was asked; *say* is the reason."""

    def __init__(self, say: Content) -> None:
        self.say = say
        super().__init__(str(say))


class Ending(enum.Enum):
    """Why a question ended without an answer; the value is the key of what is said about it."""

    EXPIRED = "converse.expired"
    CANCELLED = "converse.cancelled"
    REPLACED = "converse.replaced"
    STOPPING = "converse.stopping"
    UNLOADED = "converse.unloaded"
    REMOVED = "converse.removed"
    WRONG = "converse.wrong"


@attrs.define(eq=False, kw_only=True)
class Question:
    """An open question to one person in one room.

    Attributes:
        say: Speaks in that room.
        retries: Answers that do not fit and are forgiven.
        replaceable: Whether another command of the same person ends it.
        settled: Called once, when there is a value or an ending.
        reason: Why the last answer did not fit.
    """

    key: Key
    plugin: str
    read: Reader
    say: Callable[[Content], None]
    settled: Callable[[Question], None]
    retries: int = 1
    replaceable: bool = False
    value: Any = None
    message: Message | None = None
    ending: Ending | None = None
    reason: Content = ""
    alarm: Alarm | None = None


def said(message: Message) -> str:
    """Return the text of *message*."""
    return message.text.strip()


def cancels(message: Message) -> bool:
    """Whether *message*, without what addresses the bot, says that a question shall end."""
    text = message.text
    return len(text) < CANCEL_LIMIT and plainer(text).strip().strip(_AROUND).casefold() in CANCEL_WORDS


class Conversations:
    """All open questions of a bot.

    Attributes:
        open: Them, by room and person.
        ask_missing: Whether a command that lacks an argument asks for it.
        there: Whether there is an account; nobody can be asked by one that was removed.
    """

    def __init__(self, alarms: Alarms, readers: Readers | None = None, *, ask_missing: bool = True) -> None:
        self.open: dict[Key, Question] = {}
        self.ask_missing = ask_missing
        self.alarms = alarms
        self._readers = readers
        self.there: Callable[[AccountRef], bool] = lambda account: True
        self._closed = False
        self._accounts: dict[AccountRef, int] = {}

    def concerns(self, account: AccountRef) -> bool:
        """Whether a question is open in *account*."""
        return account in self._accounts

    def waits_for(self, room: RoomRef, person: PersonRef) -> bool:
        """Whether *person* has a question to answer in *room*."""
        return (room, person) in self.open

    # -- opening --------------------------------------------------------------------------------

    def begin(self, question: Question, within: float) -> Say | None:
        """Open *question* for *within* seconds; return None, or why it cannot be put now."""
        if self._closed:
            return Say(Ending.STOPPING.value)
        account = question.key[0].account
        if not self.there(account):
            return Say(Ending.REMOVED.value)
        other = self.open.get(question.key)
        if other is not None:
            if not other.replaceable:
                return Say("converse.busy")
            self.end(other, Ending.REPLACED)
        self.open[question.key] = question
        self._accounts[account] = self._accounts.get(account, 0) + 1
        question.alarm = self.alarms.after(within, lambda: self.end(question, Ending.EXPIRED))
        return None

    async def ask(
        self,
        ctx: Context,
        text: Content,
        read: Reader,
        *,
        within: float,
        retries: int,
        aside: AbstractAsyncContextManager[None],
        replaceable: bool,
    ) -> Any:
        """Put *text* to who has set *ctx* off and return what the answer is read as.

        Args:
            aside: Entered while it waits.

        Raises:
            NoAnswer: It ended without an answer.
        """
        answered = trio.Event()
        question = Question(
            key=(ctx.room.ref, ctx.sender.ref), plugin=ctx.plugin, read=read, say=ctx.answer, retries=retries,
            replaceable=replaceable, settled=lambda _: answered.set(),
        )  # fmt: skip
        refusal = self.begin(question, within)
        if refusal is not None:
            await trio.lowlevel.checkpoint()  # who tries again and again must not stop the world
            raise AnswerCancelled(ctx.render(refusal))
        try:
            ctx.answer(text)
            async with aside:
                await answered.wait()
        finally:
            self._close(question)
        if question.ending is None:
            return question.value
        raise error(ctx, question.ending, question.reason)

    def reader(self, kind: Any, ctx: Context) -> Reader:
        """Return how an answer of type *kind* to *ctx* is read. Raises `TypeError` when nothing can."""
        return said if self._readers is None else self._readers(kind, ctx)

    # -- hearing --------------------------------------------------------------------------------

    def take(self, message: Message, calls: Callable[[Message], bool]) -> bool:
        """Give *message* to the question that waits for it; False when it is for others.

        Args:
            message: Without what addresses the bot.
            calls: Whether a message calls a command by a prefix.
        """
        question = self.open.get((message.room.ref, message.sender.ref))
        if question is None:
            return False
        if cancels(message):
            self.end(question, Ending.CANCELLED)
        elif not calls(message):
            self.hear(question, message)
        elif question.replaceable:
            self.end(question, Ending.REPLACED)
            return False
        else:
            question.say(Say("converse.busy"))
        return True

    @trio.lowlevel.enable_ki_protection
    def hear(self, question: Question, message: Message) -> None:
        """Take *message* as the answer to *question*."""
        try:
            question.value = question.read(message)
        except (NotThat, Refuse) as exc:
            question.reason = exc.say if isinstance(exc, NotThat) else exc.text
            if question.retries > 0:
                question.retries -= 1
                question.say(question.reason)
            else:
                self.end(question, Ending.WRONG)
            return
        except ANYTHING:  # a converter of a plugin; nothing in it waits
            log.exception("an answer could not be read", plugin=question.plugin)
            self.end(question, Ending.WRONG)
            return
        question.message = message
        self._close(question)
        question.settled(question)

    # -- ending ---------------------------------------------------------------------------------

    def end(self, question: Question, ending: Ending) -> None:
        """End *question* without an answer."""
        if self.open.get(question.key) is question:
            question.ending = ending
            self._close(question)
            question.settled(question)

    def end_plugin(self, plugin: str) -> None:
        """End every question of a plugin that is being unloaded."""
        for question in [q for q in self.open.values() if q.plugin == plugin]:
            self.end(question, Ending.UNLOADED)

    def end_account(self, account: AccountRef) -> None:
        """End every question that was put by *account*, which is removed."""
        for question in [q for (room, _), q in self.open.items() if room.account == account]:
            self.end(question, Ending.REMOVED)

    def close(self) -> None:
        """End every question, and refuse new ones: the bot is stopping."""
        self._closed = True
        for question in list(self.open.values()):
            self.end(question, Ending.STOPPING)

    def _close(self, question: Question) -> None:
        if self.open.get(question.key) is question:
            del self.open[question.key]
            account = question.key[0].account
            self._accounts[account] -= 1
            if not self._accounts[account]:
                del self._accounts[account]
        if question.alarm is not None:
            question.alarm.off()


def error(ctx: Context, ending: Ending, reason: Content = "") -> NoAnswer:
    """Return what is raised for *ending*."""
    kind = {Ending.EXPIRED: AnswerExpired, Ending.WRONG: NoAnswer}.get(ending, AnswerCancelled)
    told = reason if ending is Ending.WRONG and reason else Say(ending.value)
    return kind(ctx.render(told) if isinstance(told, str | Say) else "")
