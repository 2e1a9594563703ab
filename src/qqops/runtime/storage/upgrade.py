"""Brings what a plugin has stored to the version that the plugin understands, before anybody reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import structlog

from qqops.errors import StoreError
from qqops.runtime.border import ANYTHING, theirs
from qqops.runtime.observe import Broke, Observer, nobody
from qqops.runtime.storage.kv import KV, Change, Rows, Transaction

if TYPE_CHECKING:
    from qqops.runtime.storage.store import Store

log = structlog.get_logger("qqops.upgrade")

#: Namespace in which the versions of the others stand.
VERSIONS = "core:versions"


@attrs.frozen
class Migration:
    """One step: from version *number* - 1 to *number*."""

    number: int
    call: Callable[[Transaction], Awaitable[None]]
    where: str


async def upgrade(
    store: KV, steps: Sequence[Migration], rows: Rows, file: Store | None, tell: Observer = nobody
) -> None:
    """Run the *steps* that are due, after a snapshot; the store is released at the end, or closed with the reason.

    A step and the new version are stored together: one that is cut off is run again by the next start.
    """
    try:
        await _upgrade(store, steps, rows, file, tell)
    except StoreError as exc:
        log.error("stored data cannot be used", plugin=store.namespace, reason=str(exc))  # noqa: TRY400
        store.release(str(exc))
    except ANYTHING as exc:
        theirs(exc)
        log.exception("migration failed: nothing was changed", plugin=store.namespace)
        store.release(f"a migration of {store.namespace} failed: {type(exc).__name__}")
    else:
        store.release()


async def _upgrade(
    store: KV, steps: Sequence[Migration], rows: Rows, file: Store | None, tell: Observer
) -> None:
    name, newest = store.namespace, len(steps)
    text = await rows.get(VERSIONS, name, 0.0)
    version = int(text) if text is not None else 0
    if version > newest:
        raise StoreError(f"the data of {name} has version {version}, the plugin knows up to {newest}")
    if version == newest:
        return
    if text is None and not await rows.scan(name, "", 0.0):
        await rows.apply(
            [Change(VERSIONS, name, str(newest))], 0.0
        )  # nothing there: it begins with the newest
        return
    if file is not None:
        path = await file.snapshot(f"{name}-{version}")
        log.info("snapshot before a migration", plugin=name, file=str(path))
    for step in steps[version:]:
        inside = Transaction(store, rows)
        try:
            await step.call(inside)
        except ANYTHING as exc:
            error = theirs(exc)
            tell(Broke(plugin=name, what="migration", name=str(step.number), where=step.where, error=error))
            raise
        changes = [*inside.changes.values(), Change(VERSIONS, name, str(step.number))]
        await rows.apply(changes, 0.0)
        log.info("stored data was brought to a new version", plugin=name, version=step.number)
