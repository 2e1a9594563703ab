"""The bounds of the dispatcher, as the settings give them."""

from __future__ import annotations

from typing import Annotated

import attrs

from qqops.model.allowed import LONGEST, Between, Count, CountOrNone


@attrs.frozen(kw_only=True)
class DispatchPolicy:
    """Bounds of the dispatcher.

    Attributes:
        slots: Handlers that run at the same time.
        per_plugin: How many of them one plugin may hold; 0 for a quarter of them.
        backlog: Matched messages that may wait; beyond that the connections are read later.
        timeout: Seconds a handler may take unless it declares its own.
        threads: Plain ``def`` handlers of one plugin that run at the same time.
        window: Messages of an account that are remembered at least, to recognise duplicates; for five minutes more are.
    """

    slots: Count = 64
    per_plugin: CountOrNone = 0
    backlog: Count = 10_000
    timeout: Annotated[float, Between(0.001, LONGEST)] = 60.0
    threads: Count = 4
    window: Count = 4096

    @property
    def of_one_plugin(self) -> int:
        """Slots that one plugin may hold."""
        return self.per_plugin or max(self.slots // 4, 1)
