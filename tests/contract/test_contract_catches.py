"""The contract of adapters fails for adapters that are broken, each in the test that names the fault."""

import inspect

import pytest

from qqops.testing.contract import AdapterContract
from qqops.testing.virtual import run_virtual

from . import _broken_events, _broken_sends, _broken_sessions  # noqa: F401 - they note their adapters
from . import _pages as pages
from ._broken import CAUGHT_BY

TESTS = {name for name, _ in inspect.getmembers(AdapterContract, inspect.iscoroutinefunction)}


def leaves(exc):
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for one in exc.exceptions for leaf in leaves(one)]
    return [exc]


def run(test, adapter):
    """Run one test of the contract for *adapter*; return what it does not like, or None."""

    class Stage(pages.tests.Stage):
        def __init__(self, nursery, clock):
            super().__init__(nursery, clock)
            whole = self.adapter
            self.adapter = adapter(whole.account, whole._options, self.dial)

    class Contract(pages.tests.TestParley):
        def stage(self, nursery, clock):
            return Stage(nursery, clock)

    try:
        run_virtual(getattr(Contract(), test))
    except BaseException as exc:
        found = leaves(exc)
        if not any(isinstance(one, AssertionError) for one in found):
            raise
        return found
    return None


@pytest.mark.parametrize("adapter", CAUGHT_BY, ids=lambda cls: cls.__name__)
def test_a_broken_adapter_is_caught(adapter):
    test = CAUGHT_BY[adapter]
    assert run(test, adapter), f"{adapter.__name__} passes {test}: {adapter.__doc__}"


@pytest.mark.parametrize("test", sorted(set(CAUGHT_BY.values())))
def test_the_same_test_passes_for_the_whole_one(test):
    assert run(test, pages.adapter.Parley) is None


def test_each_way_to_be_broken_is_told_in_a_sentence():
    assert [cls.__name__ for cls in CAUGHT_BY if not cls.__doc__] == []
    assert set(CAUGHT_BY.values()) <= TESTS
