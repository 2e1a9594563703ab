"""For all tests: hypothesis without its own deadline, which a slow machine would trip over."""

from hypothesis import settings

settings.register_profile("qqops", deadline=None, print_blob=True)
settings.load_profile("qqops")
