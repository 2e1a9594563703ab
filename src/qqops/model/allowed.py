"""What a setting may be, declared beside its type: ``send_gap: Annotated[float, Between(0, 60)] = 0.5``.

`qqops.settings` holds values to it. Who makes an object of the class by hand is not checked.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

import attrs

from qqops.errors import ConfigError


class Allowed:
    """Base of what can be declared."""

    def check(self, value: object) -> None:
        """Raise `ConfigError` when *value*, which has the right type, is not allowed."""


@attrs.frozen
class Between(Allowed):
    """A number from *least* to *most*, both included.

    Attributes:
        above: Whether *least* itself is too little.
    """

    least: float
    most: float
    above: bool = False

    def check(self, value: object) -> None:
        """Raise `ConfigError` for a number that lies outside."""
        assert isinstance(value, int | float)
        if value < self.least or (self.above and value == self.least):
            raise ConfigError(
                f"must be {'>' if self.above else 'at least'} {self.least:g}, got {_shown(value)}"
            )
        if value > self.most:
            raise ConfigError(f"must be at most {_shown(self.most)}, got {_shown(value)}")


@attrs.frozen
class OneOf(Allowed):
    """One of a few words."""

    words: tuple[str, ...]

    def check(self, value: object) -> None:
        """Raise `ConfigError` for another word."""
        if value not in self.words:
            named = ", ".join(word for word in self.words if word)
            raise ConfigError(f"unknown value {value!r}", hint=f"one of: {named}")


@attrs.frozen
class Form(Allowed):
    """A text that matches *pattern* as a whole.

    Attributes:
        name: What it is, as ``an hour like 04:30``.
    """

    pattern: str
    name: str

    def check(self, value: object) -> None:
        """Raise `ConfigError` for a text of another form."""
        if not re.fullmatch(self.pattern, str(value), re.ASCII):
            raise ConfigError(f"must be {self.name}, got {value!r}")


#: Ten years in seconds. What is longer is a slip, and would not fit into a date any more.
LONGEST = 10 * 365 * 86_400
#: Of what is counted. More would never fit into the memory of a machine.
MOST = 1_000_000_000
#: A PiB, the largest size in bytes.
LARGEST = 2**50

#: Seconds, more than none: a deadline, an interval.
Seconds: TypeAlias = Annotated[float, Between(0, LONGEST, above=True)]
#: Seconds, or none: a gap, a pause.
Pause: TypeAlias = Annotated[float, Between(0, LONGEST)]
#: How many, one at least.
Count: TypeAlias = Annotated[int, Between(1, MOST)]
#: How many, or 0 for what the setting says of it.
CountOrNone: TypeAlias = Annotated[int, Between(0, MOST)]
#: Bytes, or 0 for no limit.
Bytes: TypeAlias = Annotated[int, Between(0, LARGEST)]
#: A number that a service has given to somebody, or 0 for nobody; it fits into 63 bits everywhere.
Number: TypeAlias = Annotated[int, Between(0, 2**63 - 1)]


def _shown(number: float) -> str:
    """Return a number as people write it; whole ones may have any length."""
    text = str(number) if isinstance(number, int) else f"{number:g}"
    return text if len(text) <= 20 else f"{text[:17]}…"
