"""Unit tests run on virtual time and may not open a socket."""

import inspect
import pathlib
import socket

import pytest

from qqops.testing.virtual import run_test

HERE = pathlib.Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=run_test))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A unit test that connects somewhere is in the wrong folder."""

    def refuse(*args, **kwargs):
        raise AssertionError("unit tests may not use the network; put this test into tests/loopback")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
