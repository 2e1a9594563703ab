"""For all tests, here and in plugins_builtin: which hypothesis profile holds.

`gate` is what a run of the tests means: the same examples every time, on every machine, so that red is never a matter of
luck. `explore` throws dice; what it finds becomes an `@example`. Chosen by the variable HYPOTHESIS_PROFILE.
"""

import os

from hypothesis import settings

settings.register_profile("gate", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "gate")
