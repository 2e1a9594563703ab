"""Directory of names: which permanent numbers were seen under them, across sessions and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from qqops.errors import StoreError
from qqops.model import AccountRef, Clock
from qqops.runtime.storage import statements as sql

if TYPE_CHECKING:
    from qqops.runtime.storage.store import Store

log = structlog.get_logger("qqops.directory")

#: Names that are kept in memory; the least recently seen ones are forgotten there.
MAX_NAMES = 100_000
#: Seconds after which a name that is seen again is written again.
REFRESH = 3600.0


class NameDirectory:
    """The `qqops.adapters.base.Directory` of one bot; in memory, and in the store where there is one."""

    def __init__(self, store: Store | None, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # (account, kind, place, name) → number → when it was seen last
        self._names: dict[tuple[str, str, str, str], dict[str, float]] = {}

    async def load(self) -> None:
        """Read what earlier runs have seen."""
        if self._store is None:
            return
        try:
            rows = await self._store.read(
                lambda connection: connection.execute(sql.NAMES, {"most": MAX_NAMES}).fetchall()
            )
        except StoreError as exc:
            log.warning("the known names are not available", reason=str(exc))
            return
        for account, kind, place, name, number, last in reversed(rows):
            self._names.setdefault((account, kind, place, name), {}).setdefault(number, last)

    def note(self, account: AccountRef, kind: str, place: str, name: str, number: str) -> None:
        """Note that *number* is called *name*; see `qqops.adapters.base.Directory`."""
        key = (str(account), kind, place[:200], name[:200])
        now = self._clock.now().timestamp()
        numbers = self._names.get(key)
        if numbers is None:
            numbers = self._names[key] = {}
            if len(self._names) > MAX_NAMES:
                del self._names[next(iter(self._names))]
        last = numbers.get(number)
        if last is not None and 0 <= now - last < REFRESH:
            return
        numbers[number] = now
        self._write(key, number, now)

    def find(self, account: AccountRef, kind: str, place: str, name: str) -> Sequence[str]:
        """Return the numbers that were called so, the latest first."""
        numbers = self._names.get((str(account), kind, place[:200], name[:200]), {})
        return sorted(numbers, key=lambda number: numbers[number], reverse=True)

    def _write(self, key: tuple[str, str, str, str], number: str, now: float) -> None:
        if self._store is None:
            return
        account, kind, place, name = key
        values = {
            "account": account, "kind": kind, "place": place, "name": name, "number": number[:200], "now": now,
        }  # fmt: skip
        self._store.write(sql.SEE, values)
