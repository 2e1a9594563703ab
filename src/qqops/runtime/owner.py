"""How a new bot gets its owner: a code in the log, typed once in a private chat."""

from __future__ import annotations

import hmac
import secrets

#: Seconds for which a code holds; a restart makes a new one.
LASTS = 900.0
#: Wrong tries within a minute after which nobody is listened to for the rest of it, and in all until the code is void.
TRIES_A_MINUTE, TRIES = 5, 20
#: Letters and digits that nobody confuses.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Claim:
    """The code of a bot that has no owner. *now* is in seconds of a steady clock.

    Attributes:
        code: The code; "" once it was used, is void or too old, or when none was made.
    """

    def __init__(self) -> None:
        self.code = ""
        self._until = 0.0
        self._tries = 0
        self._minute = (0.0, 0)

    def open(self, now: float) -> str:
        """Make a new code and return it."""
        self.code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
        self._until = now + LASTS
        self._tries = 0
        return self.code

    def close(self) -> None:
        """Forget the code: there is an owner."""
        self.code = ""

    def take(self, said: str, now: float) -> bool:
        """Whether *said* is the code, which is then used up. Wrong tries are counted, whoever makes them."""
        if self.code and now >= self._until:
            self.code = ""
        start, tries = self._minute
        if now >= start + 60 or now < start:
            start, tries = now, 0
        if not self.code or tries >= TRIES_A_MINUTE:
            return False
        right = hmac.compare_digest(said.strip().upper().encode(), self.code.encode())
        if right:
            self.code = ""
            return True
        self._minute = start, tries + 1
        self._tries += 1
        if self._tries >= TRIES:
            self.code = ""
        return False
