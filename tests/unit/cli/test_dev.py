"""`qqops run --dev`: what changes on disk is reloaded."""

import os
import shutil
import sys

import pytest
import trio

from qqops.cli.dev import files_of, watch
from qqops.plugin._finding import Candidate, reach
from qqops.testing.virtual import HeldThreads

GOOD = """
from qqops import Plugin

plugin = Plugin("devpkg")


@plugin.command("word")
async def word() -> str:
    return "{word}"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "devpkg_under_test" / "__init__.py"
    file.parent.mkdir()
    yield file, Candidate(name="devpkg", load=lambda: reach("devpkg_under_test"), target="devpkg_under_test")
    sys.modules.pop("devpkg_under_test", None)


async def test_what_changes_on_disk_is_reloaded_and_what_is_broken_is_not(bots, package):
    file, candidate = package
    file.write_text(GOOD.format(word="one"))
    async with bots.run() as bot, trio.open_nursery() as nursery:
        bot.app.host.load(candidate)
        bot.app.refresh()
        nursery.start_soon(watch, bot.app.plugins, HeldThreads())
        ali = bot.user("ali")
        for text, answer in (
            (GOOD.format(word="other"), "^other$"),
            ("def f(:", "^other$"),
            (GOOD.format(word="mended again"), "^mended again$"),
        ):
            await bot.advance(2)
            file.write_text(text)
            await bot.advance(2)
            await ali.say("/word")
            await ali.expect(answer)
        nursery.cancel_scope.cancel()


async def test_a_plugin_that_was_broken_at_the_start_is_loaded_once_it_is_mended(bots, package):
    file, candidate = package
    file.write_text("def f(:")
    async with bots.run() as bot, trio.open_nursery() as nursery:
        bot.app.host.load(candidate)
        assert not bot.app.host.is_loaded("devpkg")
        nursery.start_soon(watch, bot.app.plugins, HeldThreads())
        await bot.advance(2)
        file.write_text(GOOD.format(word="at last"))
        await bot.advance(2)
        ali = bot.user("ali")
        await ali.say("/word")
        await ali.expect("at last")
        nursery.cancel_scope.cancel()


class FarAway(HeldThreads):
    """A disk on which a look takes its time."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.looks = []

    async def __call__(self, call, /, *, limiter, abandon_on_cancel):
        assert abandon_on_cancel
        self.looks.append(trio.current_time())
        await trio.sleep(self.seconds)
        return await super().__call__(call, limiter=limiter, abandon_on_cancel=abandon_on_cancel)


async def test_a_look_that_takes_its_time_holds_nobody_up_and_is_followed_by_a_rest(bots, package):
    file, candidate = package
    file.write_text(GOOD.format(word="one"))
    disk = FarAway(20)
    async with bots.run() as bot, trio.open_nursery() as nursery:
        bot.app.host.load(candidate)
        bot.app.refresh()
        began = trio.current_time()
        nursery.start_soon(watch, bot.app.plugins, disk)
        await bot.advance(10)
        ali = bot.user("ali")
        await ali.say("/word")
        await ali.expect("one")
        await bot.advance(300)
        assert [one - began for one in disk.looks] == [0, 20.5, 220.5]
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_being_written_is_waited_for(bots, package):
    file, candidate = package
    file.write_text(GOOD.format(word="one"))
    async with bots.run() as bot, trio.open_nursery() as nursery:
        bot.app.host.load(candidate)
        nursery.start_soon(watch, bot.app.plugins, HeldThreads())
        await bot.advance(2)
        loaded = bot.app.host.collected("devpkg")
        for length in range(1, 8):
            file.write_text("#" * length)  # ever more, always within the half second
            await bot.advance(0.4)
            assert bot.app.host.collected("devpkg") is loaded
        nursery.cancel_scope.cancel()


def test_a_folder_that_vanishes_while_it_is_looked_through_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("one", "two", "three"):
        (tmp_path / "vanishing_pkg" / name).mkdir(parents=True)
        (tmp_path / "vanishing_pkg" / name / "inner.py").touch()
    (tmp_path / "vanishing_pkg" / "__init__.py").touch()
    found = []
    for path in files_of("vanishing_pkg"):
        found.append(os.path.relpath(path, tmp_path / "vanishing_pkg"))
        for name in ("one", "two", "three"):
            if len(found) == 2 and name not in path:
                shutil.rmtree(tmp_path / "vanishing_pkg" / name)
    assert len(found) == 2
    assert found[0] == "__init__.py"
