"""The stages that a run passes, and what each has decided. `/why` and the debug log read the same record."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

import attrs

from qqops.texts import Say


class Stage(enum.Enum):
    """What stands between a message and its handler, in this order; the call itself is the last."""

    #: Whether plugin and command are on in the room.
    SWITCH = "switch"
    #: Rules and roles; a second time when the arguments are known, if any rule is about these.
    PERMISSION = "permission"
    #: The filters of plugins.
    FILTERS = "filters"
    #: Whether the words fit the signature.
    ARGUMENTS = "arguments"
    LIMITS = "limits"
    LOCK = "lock"
    APPROVAL = "approval"
    #: Whether a command that changes something could be recorded.
    AUDIT = "audit"
    CALL = "call"


_ORDER = {stage: number for number, stage in enumerate(Stage)}


@attrs.frozen
class Verdict:
    """What one stage has decided. A stage without a verdict that was passed had nothing to decide.

    Attributes:
        reason: Why not, or what spoke for it; None when there is nothing to say.
    """

    stage: Stage
    passed: bool
    reason: Say | None = None


#: The last stage of a handler that has come to its end, and of one that has not.
_CALLED, _FAILED = Verdict(Stage.CALL, True), Verdict(Stage.CALL, False)
#: The record of nearly all runs.
_ONLY_CALLED = (_CALLED,)


def in_full(verdicts: tuple[Verdict, ...], done: bool) -> tuple[tuple[Verdict, ...], Say | None]:
    """Return *verdicts* with that of the last stage, and the reason of the no among them.

    Args:
        done: Whether the handler has come to its end.
    """
    if done:
        return (*verdicts, _CALLED) if verdicts else _ONLY_CALLED, None
    no = next((one for one in verdicts if not one.passed), None)
    return (verdicts, no.reason) if no is not None else ((*verdicts, _FAILED), None)


def line(verdicts: Sequence[Verdict], render: Callable[[Say], str]) -> str:
    """Return *verdicts* as one line: every stage up to the one that ended it, ``✓`` or ``✗``, and what it had to say.

    The reason of a no is left out: it stands elsewhere.
    """
    said = {verdict.stage: verdict for verdict in verdicts}
    last = max((_ORDER[stage] for stage in said), default=-1)
    if no := next((verdict.stage for verdict in verdicts if not verdict.passed), None):
        last = _ORDER[no]
    parts = []
    for stage, number in _ORDER.items():
        if number > last:
            break
        verdict = said.get(stage)
        passed = verdict is None or verdict.passed
        more = f" ({render(verdict.reason)})" if passed and verdict is not None and verdict.reason else ""
        parts.append(f"{render(Say(f'stage.{stage.value}'))} {'✓' if passed else '✗'}{more}")
    return " → ".join(parts)
