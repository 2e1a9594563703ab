"""Answers held against questions: what T9 counts. Knows no socket and no clock; moments come in as arguments."""

import re
import statistics

import attrs

GROUP = re.compile(rb'"group_id":\s*"?(\d+)')
MARK = re.compile(rb"s(\d+)n(\d+)")


@attrs.define
class Result:
    """What a phase has measured; times in seconds.

    Attributes:
        commands: Questions answered.
        events: Messages sent, questions among them.
        lost: Questions without an answer in time.
        duplicate: Answers to what was answered already or never asked.
        disordered: Answers after one to a later question of the same person in the same room.
        misrouted: Answers in a room where they were not asked for, and texts that answer no question.
    """

    commands: int = 0
    events: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    lost: int = 0
    duplicate: int = 0
    disordered: int = 0
    misrouted: int = 0
    waits: list[float] = attrs.field(factory=list)

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong, without what did not."""
        kinds = ("lost", "duplicate", "disordered", "misrouted")
        return {kind: count for kind in kinds if (count := getattr(self, kind))}

    def quantile(self, part: float) -> float:
        """The wait in milliseconds that *part* of the answers did not exceed; nan of none."""
        ordered = sorted(self.waits)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000 if ordered else float("nan")


@attrs.define
class Tally:
    """The questions of one phase and what became of them.

    Attributes:
        heard: Moment of the last frame.
        waiting: Room and moment of each question without an answer, by person and number.
        newest: Number of the latest question that was answered, by person and room.
        given_up: What earlier phases have counted as lost; an answer to it is late, not a second one.
    """

    heard: float
    given_up: set[tuple[int, int]] = attrs.field(factory=set)
    result: Result = attrs.field(factory=Result)
    waiting: dict[tuple[int, int], tuple[int, float]] = attrs.field(factory=dict)
    newest: dict[tuple[int, int], int] = attrs.field(factory=dict)

    def answered(self, frame: bytes, now: float) -> int | None:
        """Note a frame of the bot; return the person whose question it answers, None where it answers nothing."""
        mark = MARK.search(frame)
        if mark is None:
            self.result.misrouted += 1
            return None
        person, number = int(mark[1]), int(mark[2])
        asked = self.waiting.pop((person, number), None)
        if asked is None:
            if (person, number) in self.given_up:
                self.given_up.discard((person, number))
            else:
                self.result.duplicate += 1
            return None
        room, since = asked
        group = GROUP.search(frame)
        if group is None or int(group[1]) != room:
            self.result.misrouted += 1
        key = person, room
        if number < self.newest.get(key, 0):
            self.result.disordered += 1
        else:
            self.newest[key] = number
        self.result.waits.append(now - since)
        self.result.commands += 1
        return person

    def quiet(self, now: float, seconds: float) -> bool:
        """Whether nothing was heard for so long."""
        return now - self.heard > seconds


def median(values: list[float]) -> float:
    """The median; nan of nothing."""
    return statistics.median(values) if values else float("nan")
