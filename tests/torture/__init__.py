"""The rig for soak and torture: a simulator, a bot in a process of its own, and trouble by the dice.

It works from a checkout and is not a part of what is installed: ``python -m tests.torture --help``.
"""

import pathlib

#: The checkout. Whatever is started by the rig is started from here, where Python finds the rig.
ROOT = pathlib.Path(__file__).parents[2]
