"""Soak: one bot process under steady traffic and passing faults, for as long as you like; nothing may grow.

``python -m tests.torture.soak --minutes 60`` prints a table and ends with 1 when something that must hold does not.
"""

from __future__ import annotations

import sys

from tests.torture.run import plan_of, run

if __name__ == "__main__":
    sys.exit(run(*plan_of(None, "Soak a bot.", rough=False)))
