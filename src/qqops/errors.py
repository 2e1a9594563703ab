"""Every error that qqops raises on purpose.

::

    QQOpsError
    ├── ConfigError           a setting, file or argument is wrong: fix it (exit code 2)
    ├── PluginError           a plugin cannot be loaded; named, never fatal for the others
    ├── Refuse                a handler, filter or converter says no, politely
    │   └── NoAnswer          a question to a person has ended without an answer
    │       ├── AnswerExpired     nobody answered in time
    │       └── AnswerCancelled   the person, a new command, a rejection or a shutdown ended it
    ├── AdapterError          something between us and a network
    │   ├── TransientError    try again later
    │   │   └── NotSent       … and what was to be sent has not left us
    │   ├── NeedsHuman        a person must act first (captcha, QR code)
    │   └── FatalError        stop this account
    ├── ProtocolError         the peer broke the rules of the wire
    └── StoreError            what should outlive the process cannot be written or read

Catch the base class of a branch to treat the branch alike; nothing else derives from `QQOpsError`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

import attrs

#: Longest excerpt of a peer's data that an error carries, in characters. Enough to recognise the
#: shape, too little to fill a log or to hold a whole secret-bearing answer.
PAYLOAD_EXCERPT = 160

#: What every network calls a secret.
_ALWAYS = frozenset({"password", "token"})


@attrs.frozen(eq=False)
class Redaction:
    """What excerpts of a network's data do not show: they say that a value was there, not what it was.

    Attributes:
        names: Fields, cookies and parameters that hold a secret, in any case. A name stands for all that end in it too
            (``key``: ``api_key``), and with a ``*`` behind it for all that go on (``key*``: ``keyring``); a name in
            double quotes is that field of a JSON text only. ``password`` and ``token`` are secrets everywhere and need
            not be named.
    """

    names: AbstractSet[str] = frozenset()
    _secrets: re.Pattern[str] = attrs.field(init=False, repr=False)

    @_secrets.default
    def _compiled(self) -> re.Pattern[str]:
        names = "|".join(re.escape(name).replace(r"\*", r"\w{1,20}") for name in sorted(self.names | _ALWAYS))
        return re.compile(rf"""((?:{names})"?'?\s*[=:]\s*"?'?)[^"'&,;\s}}]+""", re.IGNORECASE)

    def excerpt(self, payload: object, limit: int = PAYLOAD_EXCERPT) -> str:
        """Return *payload* as one printable line of at most *limit* characters, without its secrets."""
        if isinstance(payload, bytes):
            # Cut before decoding: a huge body must not be turned into text as a whole.
            text = payload[: limit * 4].decode("utf-8", "replace")
        elif isinstance(payload, str):
            text = payload[: limit * 4]
        else:
            text = _shown(payload)[: limit * 4]
        text = self._secrets.sub(r"\1***", text)
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= limit else line[: limit - 1] + "…"


def _shown(payload: object) -> str:
    try:
        return repr(payload)
    except RecursionError:  # what a peer sends may be nested as deeply as it likes
        return f"{type(payload).__name__}, nested too deeply to be shown"


#: For what belongs to no network in particular.
excerpt = Redaction().excerpt


class QQOpsError(Exception):
    """Base of all errors of qqops."""


class ConfigError(QQOpsError):
    """A setting, file or argument is wrong; or several are, see `of`.

    Attributes:
        where: File, line and key (``qqops.toml:4: bot.language``), or "".
        hint: What to do, or "".
    """

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        self.message = message
        self.where = where
        self.hint = hint
        self._several: tuple[ConfigError, ...] = ()
        parts = [f"{where}: " if where else "", message, f" ({hint})" if hint else ""]
        super().__init__("".join(parts))

    @property
    def all(self) -> Sequence[ConfigError]:
        """Each single mistake; just itself where it is one."""
        return self._several or (self,)

    @classmethod
    def of(cls, mistakes: Iterable[ConfigError]) -> ConfigError:
        """Return one error that stands for all *mistakes*, which are one at least; as a text it has a line for each."""
        every = tuple(one for mistake in mistakes for one in mistake.all)
        if len(every) == 1:
            return every[0]
        several = cls("\n".join(map(str, every)))
        several._several = every
        return several


class Mistakes:
    """Gathers what is wrong, so that all of it is told at once.

    Attributes:
        found: What was gathered, in order.
    """

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def add(self, message: str, *, where: str = "", hint: str = "") -> None:
        """Note one mistake; the arguments are those of `ConfigError`."""
        self.found.append(ConfigError(message, where=where, hint=hint))

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note a `ConfigError` that the block raises, and go on behind it."""
        try:
            yield
        except ConfigError as exc:
            self.found += exc.all

    def check(self) -> None:
        """Raise `ConfigError` with all that was found, if anything was."""
        if self.found:
            raise ConfigError.of(self.found)


class PluginError(QQOpsError):
    """A plugin cannot be loaded or declares something impossible.

    Attributes:
        plugin: Name of the plugin, or "" while it is not known yet.
        where: ``file:line`` of the cause, or "".
    """

    def __init__(self, reason: str, *, plugin: str = "", where: str = "") -> None:
        self.reason = reason
        self.plugin = plugin
        self.where = where
        super().__init__(f"{where}: {reason}" if where else reason)


class Refuse(QQOpsError):
    """A handler, filter or converter says no; *text* is the answer in the chat.

    Attributes:
        say: What was given instead of a text: something that is rendered in the language of the room.
    """

    def __init__(self, text: object = "") -> None:
        self.say = None if isinstance(text, str) else text
        self.text = str(text)
        super().__init__(self.text)


class RunEnded(QQOpsError):
    """The run that a thread works for has ended (too long, stopped, unloaded): the bot does nothing more for it."""


class NoAnswer(Refuse):
    """A question to a person has ended without an answer that fits. Not caught, it ends the handler as refused."""


class AnswerExpired(NoAnswer):
    """Nobody answered in time."""


class AnswerCancelled(NoAnswer):
    """The person said cancel or gave another command, somebody rejected it, or the bot, the plugin or the account is gone."""


class AdapterError(QQOpsError):
    """Something between us and a network went wrong; the supervisor decides what follows."""


class TransientError(AdapterError):
    """The session is over, and a new attempt is likely to work.

    Attributes:
        retry_after: Seconds the server asked us to wait, or None.
    """

    def __init__(self, cause: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(cause)


class NotSent(TransientError):
    """What was to be sent has certainly not reached anybody; it may be sent again after the reconnect."""


class NeedsHuman(AdapterError):
    """A person must act and nobody could ever be asked; a blind retry would only lock the account."""


class FatalError(AdapterError):
    """This account cannot go on: wrong password, banned, refused."""


class ProtocolError(QQOpsError):
    """The peer sent something that breaks the rules of the wire.

    A network raises a class of its own, whose `redaction` names what is secret there.

    Attributes:
        payload: Shortened text of the offending data, without its secrets.
    """

    redaction: ClassVar[Redaction] = Redaction()

    def __init__(self, message: str, *, payload: object = "") -> None:
        self.payload = self.redaction.excerpt(payload)
        super().__init__(f"{message}: {self.payload}" if self.payload else message)


class StoreError(QQOpsError):
    """The store cannot be opened, written or read."""


class ContentLost(StoreError):
    """A picture or file that was kept is not there any more, or is damaged; trying again does not help."""
