"""Files of plugins: in a folder of their own, whole or not at all, and by no name anywhere else."""

import os
import stat
import tempfile

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from qqops import Files, Plugin, SyncCtx
from qqops.runtime import files as module
from qqops.runtime.files import Folders, checked
from qqops.testing.virtual import HeldThreads


@pytest.fixture
def files(tmp_path):
    return Files(Folders(tmp_path / "files", HeldThreads()), "demo")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_was_written_is_read_and_listed_and_deleted(files):
    await files.write("a.txt", "中文")
    await files.write("reports/today.bin", b"\0\1")
    assert await files.read_text("a.txt") == "中文"
    assert await files.read("reports/today.bin") == b"\0\1"
    assert await files.list() == ["a.txt", "reports/today.bin"]
    assert await files.list("rep") == ["reports/today.bin"]
    assert await files.delete("a.txt") is True
    assert await files.delete("a.txt") is False
    assert await files.list() == ["reports/today.bin"]
    with pytest.raises(FileNotFoundError):
        await files.read("a.txt")


@pytest.mark.skipif(os.name != "posix", reason="modes")
async def test_nobody_else_can_look_into_it(files, tmp_path):
    assert not (tmp_path / "files").exists()
    await files.write("in/a", "x")
    folder = tmp_path / "files"
    for one in (folder, folder / "demo", folder / "demo" / "in"):
        assert mode(one) == 0o700
    assert mode(folder / "demo" / "in" / "a") == 0o600
    assert files.path == folder / "demo"


@pytest.mark.parametrize(
    "name",
    [
        "", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b", "a\nb", "C:/x", "C:x", "a\\..\\b", "nul",
        "NUL.txt", "com1", "a/LPT9.log", "con .txt", "aux", "COM¹", "a.", "a ", "a?", ".qqops-x", "x" * 201, "中" * 70, "a/" * 600 + "a", 3,
        "\ud800",
    ],
    ids=lambda name: repr(name)[:20],
)  # fmt: skip
async def test_a_name_that_leads_elsewhere_is_refused(files, tmp_path, name):
    for call in (files.read, files.delete, lambda name: files.write(name, "x")):
        with pytest.raises(ValueError, match="is no name for a file of a plugin: "):
            await call(name)
    assert not (tmp_path / "files").exists()


@given(st.text(max_size=40))
def test_a_name_that_is_taken_stays_inside(tmp_path_factory, name):
    try:
        parts = checked(name)
    except ValueError:
        return
    base = tmp_path_factory.getbasetemp()
    path = base.joinpath(*parts)
    assert os.path.normpath(path) == str(path)
    assert path.is_relative_to(base)
    assert path != base


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
async def test_a_link_that_leads_out_is_refused_and_one_inside_is_not(files, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s")
    (tmp_path / "elsewhere").mkdir()
    (files.path / "out").symlink_to(secret)
    (files.path / "dir").symlink_to(tmp_path / "elsewhere")
    for name in ("out", "dir/new"):
        for call in (files.read, files.delete, lambda name: files.write(name, "x")):
            with pytest.raises(ValueError, match="a symbolic link leads out of its folder"):
                await call(name)
    assert secret.read_text() == "s"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    await files.write("real", "r")
    (files.path / "inside").symlink_to(files.path / "real")
    assert await files.read_text("inside") == "r"


async def test_a_file_has_a_size(files, monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    with pytest.raises(ValueError, match="11 bytes are more than"):
        await files.write("a", "x" * 11)
    await files.write("a", "x" * 10)
    with pytest.raises(ValueError, match="holds more than 9 bytes"):
        await files.read("a", most=9)
    assert len(await files.read("a", most=10)) == 10


async def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(files, monkeypatch):
    await files.write("a", "old")

    def full(number):
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        await files.write("a", "new")
    monkeypatch.undo()
    assert await files.read_text("a") == "old"
    assert os.listdir(files.path) == ["a"]


async def test_a_file_that_is_being_written_is_not_listed(files):
    await files.write("a", "x")
    (files.path / f"{module.UNFINISHED}1").write_text("half")
    assert await files.list() == ["a"]


async def test_who_is_cancelled_leaves_a_whole_file(files):
    with trio.CancelScope() as scope:
        scope.cancel()
        await files.write("a", "x" * 1000)
    assert await files.list() in ([], ["a"])
    assert [name for name in os.listdir(files.path) if name != "a"] == []


def keeper():
    plugin = Plugin("keep")

    @plugin.command("put")
    async def put(text: str, *, files: Files) -> str:
        await files.write("text", text)
        return "put"

    @plugin.command("get")
    def get(ctx: SyncCtx, *, files: Files) -> str:
        return f"{ctx.wait(files.read_text, 'text')} in {files.path.name}"

    return plugin


async def test_files_stay_over_reloads_and_restarts(bots, tmp_path):
    async with bots.run(keeper(), folder=tmp_path) as bot:
        ali = bot.user("ali")
        await ali.say("/put hello")
        await ali.expect("put")
        await bot.reload(keeper())
        await ali.say("/get")
        await ali.expect("^hello in keep$")
        await bot.restart()
        await ali.say("/get")
        await ali.expect("^hello in keep$")
    assert (tmp_path / "files" / "keep" / "text").read_text() == "hello"


async def test_without_a_folder_they_go_with_the_bot(bots, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with bots.run(keeper()) as bot:
        ali = bot.user("ali")
        assert os.listdir(tmp_path) == []
        await ali.say("/put hello")
        await ali.expect("put")
        await ali.say("/get")
        await ali.expect("^hello in keep$")
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == []


async def test_a_failed_test_leaves_no_folder_behind(bots, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AssertionError, match="on purpose"):
        async with bots.run(keeper()) as bot:
            await bot.user("ali").say("/put hello")
            await bot.expect("put")
            raise AssertionError("on purpose")
    assert os.listdir(tmp_path) == []


async def test_plugins_do_not_see_each_other(bots, tmp_path):
    other = Plugin("other")

    @other.command("look")
    async def look(*, files: Files) -> str:
        return f"sees {await files.list()}"

    async with bots.run(keeper(), other, folder=tmp_path) as bot:
        ali = bot.user("ali")
        await ali.say("/put hello")
        await ali.expect("put")
        await ali.say("/look")
        await ali.expect(r"^sees \[\]$")
