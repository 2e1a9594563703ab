"""The same for the OneBot adapter: ``python -m tests.torture.onebot.soak --help``."""
