"""The entry points of the installed distributions, also where what one of them says about itself cannot be read."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint

import attrs

from qqops.plugin.hooks import ENTRY_POINTS

#: The file in which a distribution lists what it offers.
FILE = "entry_points.txt"


@attrs.frozen(kw_only=True)
class Metadata:
    """What a distribution says about itself; nothing where it says nothing that can be read."""

    package: str = ""
    version: str = ""
    requires: tuple[str, ...] = ()

    @classmethod
    def of(cls, dist: Distribution | None) -> Metadata:
        """Return what *dist* says."""
        if dist is None:
            return cls()
        try:
            return cls(
                package=dist.name or "", version=dist.version or "", requires=tuple(dist.requires or ())
            )
        except Exception:  # noqa: BLE001 - a file of others, in whatever state
            return cls()


@attrs.frozen
class Broken:
    """A distribution that offers plugins in a file that cannot be read.

    Attributes:
        name: What it is called, as a plugin would be.
    """

    name: str
    reason: str
    metadata: Metadata


def installed() -> Iterator[EntryPoint | Broken]:
    """Yield the entry points of plugins. Of two copies of a distribution the first on the search path counts."""
    try:
        yield from importlib.metadata.entry_points(group=ENTRY_POINTS)
    except Exception:  # noqa: BLE001 - one broken file of whatever package: they are looked at one by one
        yield from _one_by_one()


def _one_by_one() -> Iterator[EntryPoint | Broken]:
    seen = set()
    for dist in importlib.metadata.distributions():
        metadata = Metadata.of(dist)
        name = re.sub(r"[^a-z0-9]+", "-", metadata.package.lower()).strip("-")
        if name and name in seen:
            continue
        seen.add(name)
        try:
            yield from dist.entry_points.select(group=ENTRY_POINTS)
        except Exception as exc:  # noqa: BLE001 - as above
            if _offers_plugins(dist, exc):
                reason = f"what it offers cannot be read, in {dist.locate_file('')}: its {FILE} is broken; install it anew"
                yield Broken(name or "nameless", reason, metadata)


def _offers_plugins(dist: Distribution, exc: Exception) -> bool:
    """Whether what could not be read concerns us."""
    if isinstance(exc, UnicodeDecodeError):
        return ENTRY_POINTS.encode() in exc.object
    return ENTRY_POINTS in (dist.read_text(FILE) or "")
