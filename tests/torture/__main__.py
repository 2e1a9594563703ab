"""Torture: a bot whose process, disk, clock, names and connection are broken by the dice, under steady traffic.

``python -m tests.torture --seed 1 --minutes 10 --profile webqq2013`` prints a table of what was seen and ends with 1 when
something that must hold does not.
"""

from __future__ import annotations

import sys

from tests.torture.run import plan_of, run

if __name__ == "__main__":
    sys.exit(run(*plan_of(None, "Torture a bot.", rough=True)))
