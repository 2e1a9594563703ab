"""What became of each plugin: loaded, skipped with a reason, or left out."""

from __future__ import annotations

import enum

import attrs


class PluginState(enum.Enum):
    """What became of a plugin."""

    LOADED = "loaded"
    SKIPPED = "skipped"
    OFF = "off"


@attrs.frozen(kw_only=True)
class PluginReport:
    """What became of one plugin.

    Attributes:
        package: Distribution it came from, its file beside the settings, or "".
        entry: What its entry point leads to, or "".
        load_ms: Milliseconds from the import to the last hook.
        reason: Why it was skipped.
        where: ``file:line`` of the reason.
        mistakes: What is wrong in its table of the settings, each with its place and key, where it was skipped for that.
        traceback: All of the error behind the reason, as Python prints it; "" where there was none.
        notes: What its owner should know though it was loaded.
        unsettled: Those of the notes that ask its owner for something.
    """

    name: str
    state: PluginState
    package: str = ""
    version: str = ""
    entry: str = ""
    load_ms: float = 0.0
    reason: str = ""
    where: str = ""
    mistakes: tuple[str, ...] = ()
    traceback: str = attrs.field(default="", repr=False)
    notes: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({f'{self.package} {self.version}'.strip()})" if self.package else self.name

    @property
    def why(self) -> str:
        """Why it was skipped, with the place where there is one."""
        return f"{self.where}: {self.reason}" if self.where else self.reason

    @property
    def origin(self) -> tuple[str, str, str]:
        """What tells it from all others, also from those of its name."""
        return self.name, self.package, self.entry


class Reports(dict[str, PluginReport]):
    """What became of each plugin, by its name; where packages share a name, that which is loaded, else the last.

    Attributes:
        namesakes: What became of those that share a name with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.namesakes: list[PluginReport] = []

    def add(self, report: PluginReport) -> None:
        """Note *report*, in the place of an earlier one of the same plugin."""
        self.namesakes = [one for one in self.namesakes if one.origin != report.origin]
        before = self.get(report.name)
        if before is None or before.origin == report.origin:
            self[report.name] = report
        elif before.state is PluginState.LOADED:
            self.namesakes.append(report)
        else:
            self.namesakes.append(before)
            self[report.name] = report

    def all(self) -> list[PluginReport]:
        """Return what became of every plugin, those of one name next to each other."""
        return [
            one
            for report in self.values()
            for one in (report, *(other for other in self.namesakes if other.name == report.name))
        ]
