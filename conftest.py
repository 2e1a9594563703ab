"""For all tests, here and in plugins_builtin: which hypothesis profile holds.

`gate` is what a run of the tests means: the same examples every time, on every machine, so that red is never a matter of
luck. `explore` throws dice; what it finds becomes an `@example`. Chosen by the variable HYPOTHESIS_PROFILE; how many
examples `explore` tries is said by HYPOTHESIS_EXAMPLES. A test whose examples are dear or cheap asks for a share of the
profile's number, never for a number of its own: so it too has more in `explore`.
"""

import os

from hypothesis import settings

settings.register_profile(
    "gate", derandomize=True, deadline=None, database=None, print_blob=True, max_examples=100
)
settings.register_profile(
    "explore", deadline=None, print_blob=True, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES") or 1000)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "gate")
