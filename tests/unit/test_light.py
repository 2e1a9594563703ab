"""A module that is loaded later is the module itself for whoever uses it, whenever that is."""

import importlib
import sys

import pytest

from qqops._light import later, without


@pytest.fixture
def slow(tmp_path, monkeypatch):
    (tmp_path / "slow_to_load.py").write_text("answer = 42\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_to_load"
    sys.modules.pop("slow_to_load", None)


def test_it_is_loaded_when_it_is_first_used(slow):
    with later(slow):
        module = importlib.import_module(slow)
    assert slow not in sys.modules
    assert module.answer == 42
    assert slow in sys.modules


def test_who_uses_it_at_once_has_it_at_once(slow):
    with later(slow):
        module = importlib.import_module(slow)
        assert module.answer == 42
    assert sys.modules[slow].answer == 42, "it is loaded now, and stays"


def test_what_is_loaded_stays(slow):
    before = importlib.import_module(slow)
    with later(slow), without(slow):
        assert importlib.import_module(slow) is before


def test_what_is_left_out_cannot_be_imported_meanwhile(slow):
    with without(slow), pytest.raises(ImportError):
        importlib.import_module(slow)
    assert importlib.import_module(slow).answer == 42
