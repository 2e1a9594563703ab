"""Questions that only a person can answer: in rooms, in a folder, and when nobody is there."""

import pytest
import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.app import AppPolicy
from qqops.cli.human import Folder
from qqops.errors import NeedsHuman
from qqops.model import AccountRef, Image
from qqops.runtime.questions import Place, Questions
from qqops.runtime.rooms import RoomSettings
from qqops.testing.bots import Nobody
from qqops_essentials import plugin as essentials

CAPTCHA = Question(
    account=AccountRef("webqq", "main"), kind=QuestionKind.CAPTCHA, text="captcha", picture=b"\x89PNG"
)
HERE = AppPolicy(
    seed=1, ask_in=(Place("test", "ops"),), rooms=RoomSettings(default="en", languages={"zh": "zh"})
)


async def test_a_room_is_asked_once_and_its_answer_counts(bots):
    async with bots.run(essentials, policy=HERE) as bot:
        ops, elsewhere = bot.room("ops"), bot.room("elsewhere")
        answers = []

        async def ask():
            answers.append(await bot.app.questions.ask(CAPTCHA))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await ops.expect("main cannot log in.*/answer main")
            await bot.settle()
            pictures = [d for d in bot.network.sent if any(isinstance(s, Image) for s in d.segments)]
            assert [d.segments[0].content for d in pictures] == [b"\x89PNG"]
            await bot.user("Eve", room=elsewhere).say("/answer main wrong")
            await elsewhere.expect("asks nothing here")
            await bot.user("Ali", room=ops).say("/answer other abcd")
            await ops.expect("asks nothing here")
            await bot.advance(3600)
            assert len(bot.network.sent) == 4, "asked once, however long it takes"
            await bot.user("Ali", room=ops).say("/answer main abcd")
            await ops.expect("thank you")
        assert answers == ["abcd"]
        assert bot.app.questions.open == []


async def test_the_account_that_needs_help_does_not_ask_itself(bots):
    async with bots.run(essentials, policy=HERE) as bot:
        bot.room("ops")
        with trio.move_on_after(100):
            own = Question(
                account=AccountRef("memory", "test"), kind=QuestionKind.QR, text="scan", picture=b"x"
            )
            await bot.app.questions.ask(own)
        assert bot.network.sent == []


async def test_when_nobody_is_there_that_is_said(bots):
    async with bots.run(essentials) as bot:
        with pytest.raises(NeedsHuman):
            await bot.app.questions.ask(CAPTCHA)
        with pytest.raises(NeedsHuman):
            await bot.app.questions.show(CAPTCHA)


async def test_the_first_of_several_counts_and_the_others_are_let_go(bots):
    class Slow:
        async def ask(self, question):
            await trio.sleep(100)
            return "slow"

    class Quick:
        async def ask(self, question):
            await trio.sleep(1)
            return "quick"

    async with bots.run(essentials) as bot:
        questions = Questions([Nobody(), Slow(), Quick()], bot.app.rooms)
        began = trio.current_time()
        assert await questions.ask(CAPTCHA) == "quick"
        assert trio.current_time() - began == pytest.approx(1)


def test_a_folder_is_asked_by_files(tmp_path):
    async def main():
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
            assert any(path.suffix == ".png" for path in tmp_path.iterdir())
            (tmp_path / "answer-main.txt").write_text("abcd\n")
        assert answers == ["abcd"]
        assert not note.exists()
        assert not (tmp_path / "answer-main.txt").exists()

    trio.run(main)
