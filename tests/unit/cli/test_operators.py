"""A terminal and a folder by themselves: files that are whole and private, answers that are taken once."""

import io
import os
import resource
import stat

import pytest
import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.cli import picture
from qqops.cli.operators import Folder, Terminal
from qqops.errors import NeedsHuman, TransientError
from qqops.model import AccountRef

CAPTCHA = Question(
    account=AccountRef("webqq", "main"), kind=QuestionKind.CAPTCHA, text="captcha", picture=b"\x89PNG" * 1000
)


def real(function):
    """Run a test on the real clock: it waits for a folder."""

    def test(tmp_path, monkeypatch):
        async def main():
            with trio.fail_after(120):  # a hang
                await function(tmp_path, monkeypatch)

        trio.run(main)

    test.__doc__ = function.__doc__
    return test


@real
async def test_a_folder_is_asked_by_files(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    answers = []

    async def ask():
        answers.append(await folder.ask(CAPTCHA))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        note = tmp_path / "question-main.txt"
        while not note.exists():
            await trio.sleep(0.01)
        assert "answer-main.txt" in note.read_text()
        (saved,) = tmp_path.glob("*.png")
        assert saved.read_bytes() == CAPTCHA.picture
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        (tmp_path / "answer-main.txt").write_text("abcd\n")
    assert answers == ["abcd"]
    assert not note.exists()
    assert not (tmp_path / "answer-main.txt").exists()


@real
async def test_an_answer_that_cannot_be_deleted_is_not_used(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "answer-main.txt").write_text("abcd")
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(TransientError, match="Permission denied"):
        await Folder(tmp_path).ask(CAPTCHA)


@real
async def test_a_full_disk_leaves_the_picture_before_and_no_half_ones(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    await folder.show(CAPTCHA)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(TransientError, match="cannot be saved"):
            await folder.show(CAPTCHA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CAPTCHA.picture]


@real
async def test_a_folder_that_is_a_file_can_be_mended(tmp_path, monkeypatch):
    (tmp_path / "data").write_text("")
    with pytest.raises(TransientError):
        await Folder(tmp_path / "data").show(CAPTCHA)
    os.unlink(tmp_path / "data")
    await Folder(tmp_path / "data").show(CAPTCHA)


@real
async def test_a_terminal_whose_input_has_ended_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(NeedsHuman, match="there is no terminal"):
        await Terminal(tmp_path).ask(CAPTCHA)


@real
async def test_a_terminal_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch):
    class FullDisk(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", FullDisk())
    with pytest.raises(TransientError, match="standard error"):
        await Terminal(tmp_path).show(CAPTCHA)


def test_the_name_of_an_account_leads_nowhere_else(tmp_path):
    odd = Question(account=AccountRef("webqq", "../x/y"), kind=QuestionKind.QR, text="", picture=b"x")
    assert picture.save(odd, tmp_path / "in") == tmp_path / "in" / "qr-.._x_y.png"
