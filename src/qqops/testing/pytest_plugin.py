"""The pytest side of the kit: loaded by pytest itself, so that authors need no conftest."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qqops.testing.bots import Bots


@pytest.fixture
def bots() -> Bots:
    """Start bots with plugins: ``async with bots.run(plugin) as bot: …``."""
    from qqops.testing.bots import Bots
    from qqops.testing.logs import without_locals

    without_locals()
    return Bots()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker of `qqops.testing.contract` known."""
    config.addinivalue_line("markers", "network_can(what): the test needs a network that can do this")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every async test that asks for `bots` on virtual time.

    pytest-trio looks for a clock only among the arguments of the test function itself; a marker on the item
    reaches it whatever the author's fixtures look like.
    """
    for item in items:
        if "bots" in getattr(item, "fixturenames", ()) and inspect.iscoroutinefunction(
            getattr(item, "obj", None)
        ):
            from qqops.testing.virtual import run_test

            item.add_marker(pytest.mark.trio(run=run_test))
