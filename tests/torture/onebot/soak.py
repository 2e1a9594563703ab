"""Soak of the OneBot adapter: many events, or a steady stream for long, with trouble; nothing may be lost or come twice.

``python -m tests.torture.onebot.soak --events 100000`` or ``… --minutes 30 --rate 200`` prints a table of what was seen
and ends with 1 when something that must hold does not.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

import trio

from qqops.simulator.onebot.makes import MAKES
from tests.torture.onebot.ledger import Ledger
from tests.torture.onebot.ordeal import Ordeal
from tests.torture.onebot.plan import Plan


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments ask for; return the exit code."""
    return run(*plan_of(arguments))


def run(plan: Plan, keep: pathlib.Path | None = None) -> int:
    """Run *plan* and print what was seen; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="qqops-soak-") as folder:
        ledger = trio.run(Ordeal(plan, keep or pathlib.Path(folder)).run)
    return report(plan, ledger)


def report(plan: Plan, ledger: Ledger) -> int:
    """Print the row of a run and what did not hold; return the exit code."""
    row: dict[str, object] = {
        "seed": plan.seed, "flavor": plan.flavor, "transport": "reverse" if plan.reverse else "forward",
        "rate": f"{plan.rate:g}/s" if plan.rate else "full", "trouble": "mixed" if plan.trouble else "none",
        "journal": "on" if plan.journal else "off", **ledger.summary(),
    }  # fmt: skip
    problems = ledger.check()
    lines = [
        "| " + " | ".join(row) + " |",
        "|" + "---|" * len(row),
        "| " + " | ".join(str(value) for value in row.values()) + " |",
        *(f"BROKEN: {problem}" for problem in problems),
        "all that must hold does" if not problems else f"{len(problems)} things do not hold",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if problems else 0


def plan_of(arguments: list[str] | None) -> tuple[Plan, pathlib.Path | None]:
    """Return the plan that the arguments ask for, and the folder to keep, if one was named."""
    parser = argparse.ArgumentParser(description="Soak a bot that is connected by OneBot v11.")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--events", type=int, default=100_000, help="how many events there are")
    length.add_argument("--minutes", type=float, default=0.0, help="how long people talk, instead")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="events per second; 0: as fast as the bot takes them"
    )
    parser.add_argument("--trouble", choices=["none", "mixed"], default="mixed")
    parser.add_argument("--seed", type=int, default=1, help="seed of all dice")
    parser.add_argument("--flavor", choices=list(MAKES), default="napcat")
    parser.add_argument("--transport", choices=["forward", "reverse"], default="reverse")
    parser.add_argument("--journal", choices=["on", "off"], default="off")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the bot's files and log here")
    asked = parser.parse_args(arguments)
    if asked.events <= 0 or asked.minutes < 0 or asked.rate < 0:
        parser.error("--events must be > 0, --minutes and --rate 0 or more")
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        seed=asked.seed, events=asked.events, minutes=asked.minutes, rate=asked.rate, trouble=asked.trouble == "mixed",
        flavor=asked.flavor, reverse=asked.transport == "reverse", journal=asked.journal == "on",
    )  # fmt: skip
    return plan, asked.folder


if __name__ == "__main__":
    sys.exit(main())
