"""The network of the page on writing an adapter, broken in the ways in which adapters are broken.

Each class of `_broken_sessions`, `_broken_events` and `_broken_sends` names the test of the contract that has to notice.
"""

import trio

from . import _pages as pages

Parley = pages.adapter.Parley
#: Broken adapter → the test that must fail for it.
CAUGHT_BY = {}


def caught_by(test):
    def note(cls):
        CAUGHT_BY[cls] = test
        return cls

    return note


class Twisted:
    """Something of which some methods do something else."""

    def __init__(self, inner, **other):
        self.__dict__.update(other, _inner=inner)

    def __getattr__(self, name):
        return getattr(self._inner, name)


def nothing(*args):
    pass


async def wait(*args):
    await trio.sleep_forever()
