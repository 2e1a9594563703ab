"""Names and numbers of earlier sessions: the way back to a number that the service does not tell any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import attrs

from qqops.protocol.webqq.lists import Contact, Group


class Known(Protocol):
    """Names and numbers of earlier sessions; `qqops.adapters.base.Directory` for one account."""

    def note(self, kind: str, place: str, name: str, number: str) -> None:
        """Note that *number* is called *name*."""

    def find(self, kind: str, place: str, name: str) -> Sequence[str]:
        """Return the numbers that were called so."""


@attrs.define
class Earlier:
    """What is remembered, or nothing.

    Attributes:
        ambiguous: Names that more than one number was seen with, and that therefore stay names.
    """

    known: Known | None = None
    ambiguous: dict[str, tuple[str, ...]] = attrs.field(factory=dict)

    def note_person(self, number: str, contact: Contact, mark: str, place: str) -> None:
        """Remember what somebody is called.

        Args:
            mark: Our own name for them, or "".
            place: Permanent id of the room in which *contact* has its card; "" for none.
        """
        for kind, where, name in (
            ("remark", "", mark),
            ("card", place, contact.card),
            ("nick", "", contact.nick),
        ):
            if name and (where or kind != "card") and self.known is not None:
                self.known.note(kind, where, name, number)

    def note_group(self, number: str, name: str) -> None:
        """Remember what a group is called."""
        if self.known is not None and name:
            self.known.note("room", "", name, number)

    def person(
        self, contact: Contact, mark: str, place: str, people: Collection[Contact], friends: Iterable[Contact]
    ) -> tuple[str, bool]:
        """Return (number, verified) of somebody who was known by the same name, or ("", False).

        A remark is given by ourselves, so nobody can take on another one's; but we may have given it to somebody else
        since. So it counts as proof together with the nick that was seen with the number. Cards and nicks are everybody's
        own choice: they give the number back to data that hangs on it, but prove nothing. A name that two people have,
        now or then, is not resolved at all.

        Args:
            people: Who is in the same place.
        """
        if self.known is None:
            return "", False
        if mark and (number := self._only("remark", "", mark, (one.mark for one in friends))):
            return number, number in self.known.find("nick", "", contact.nick)
        if contact.card and place:
            number = self._only("card", place, contact.card, (one.card for one in people))
            if number:
                return number, False
        return self._only("nick", "", contact.nick, (one.nick for one in people)), False

    def group(self, group: Group, groups: Iterable[Group]) -> str:
        """Return the number of the group that was called like *group*; "" for none."""
        return self._only("room", "", group.name, (one.name for one in groups))

    def _only(self, kind: str, place: str, name: str, now: Iterable[str]) -> str:
        """Return the one number that was called *name*; "" when there is none, or more than one.

        Args:
            now: The names that are used at present.
        """
        numbers = tuple(self.known.find(kind, place, name)) if self.known is not None and name else ()
        if not numbers:
            return ""
        if len(numbers) > 1 or sum(one == name for one in now) > 1:
            self.ambiguous[name] = numbers
            return ""
        return numbers[0]
