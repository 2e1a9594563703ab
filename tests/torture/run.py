"""What both commands do: read a plan from the arguments, run it, print a table of what was seen."""

from __future__ import annotations

import argparse
import pathlib
import tempfile

import trio

from tests.torture.ledger import Ledger
from tests.torture.ordeal import Ordeal
from tests.torture.plan import Plan


def run(plan: Plan, keep: pathlib.Path | None = None) -> int:
    """Run *plan* and print what was seen; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="qqops-ordeal-") as folder:
        ledger = trio.run(Ordeal(plan, keep or pathlib.Path(folder)).run)
    return report(plan, ledger)


def report(plan: Plan, ledger: Ledger) -> int:
    """Print the row of a run and what did not hold; return the exit code."""
    row = {"seed": plan.seed, "profile": plan.profile, "minutes": plan.minutes, **ledger.summary()}
    print("| " + " | ".join(row) + " |")
    print("|" + "---|" * len(row))
    print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print("\n".join(ledger.listing()))
    problems = ledger.check()
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("all that must hold does" if not problems else f"{len(problems)} things do not hold")
    return 1 if problems else 0


def plan_of(
    arguments: list[str] | None, description: str, *, rough: bool
) -> tuple[Plan, pathlib.Path | None]:
    """Return the plan that the arguments ask for, and the folder to keep, if one was named."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=1, help="seed of all dice")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long there is trouble")
    parser.add_argument("--profile", choices=["webqq2013", "smartqq"], default="webqq2013")
    parser.add_argument("--rate", type=float, default=10.0, help="messages per second")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the bot's files and log here")
    asked = parser.parse_args(arguments)
    if asked.minutes <= 0 or asked.rate <= 0:
        parser.error("--minutes and --rate must be > 0")
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(seed=asked.seed, minutes=asked.minutes, profile=asked.profile, rate=asked.rate, rough=rough)
    return plan, asked.folder
