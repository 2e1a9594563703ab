"""Exit codes, as documented in ``reference/cli``."""

OK = 0
#: A check failed, or an ``:expect`` was not met.
FAILED = 1
#: Settings or arguments are wrong.
USAGE = 2
#: No account can go on.
NO_ACCOUNTS = 3
#: Stopped, but the grace time was not enough for what still ran.
CUT = 4
#: A bug in qqops.
BUG = 70
#: Stopped by a second signal.
INTERRUPTED = 130
