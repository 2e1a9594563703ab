"""Content of pictures and files: once on the disk, whatever waits for it, and honest when it is gone."""

import gc
import hashlib

import attrs
import pytest
import trio

from qqops import Blob, Blobs, Ctx, Delivery, Forward, Image, Node, Plugin, Refuse, Text
from qqops.app import AppPolicy
from qqops.errors import ContentLost, StoreError, TransientError
from qqops.model import Draft, File, Pace
from qqops.model.blob import media_type_of
from qqops.runtime.observe import Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage import blobs
from qqops.runtime.storage.blobs import BlobPolicy

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 1000
SHA = hashlib.sha256(PNG).hexdigest()
DAY = 86_400.0


def policy(**more):
    return AppPolicy(seed=1, grace_seconds=1, blobs=BlobPolicy(**more))


def files(folder):
    return sorted(path.name for path in folder.glob("blobs/??/*"))


async def settled(bot):
    with trio.fail_after(600):
        while not bot.app.idle():
            await trio.sleep(0.1)
    if bot.app.store is not None:
        await bot.app.store.read(lambda _: None)


def picture(bot, content=PNG, name="a.png"):
    return Draft.of(bot.room("ops").room.ref, (Text("look"), Image(name, content=content)))


def rows(connection):
    return [draft for (draft,) in connection.execute("SELECT draft FROM outbound")]


async def test_a_picture_arrives_whole_and_lies_once_on_the_disk(bots, tmp_path):
    sent = []
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        bot.app.observers.add(lambda record: sent.append(record) if isinstance(record, Sent) else None)
        box = bot.app.supervisors[0].outbox
        for name in ("a.png", "b.png"):
            assert (await box.send(picture(bot, name=name))).ok
        await settled(bot)
        assert [draft.segments[1].content for draft in bot.network.sent] == [PNG, PNG]
        assert files(tmp_path) == [SHA]
    assert [record.draft.segments[1].content for record in sent] == [b"", b""], "observers get the reference"
    assert sent[0].draft.segments[1].blob == Blob(SHA, len(PNG), "image/png", "a.png")


async def test_what_waits_and_the_journal_hold_the_reference_and_a_restart_finds_the_content(bots, tmp_path):
    async with bots.run(folder=tmp_path, policy=policy(), pace=Pace(gap=1000)) as bot:
        assert (await bot.app.supervisors[0].outbox.send(Draft.of(bot.room("ops").room.ref, "first"))).ok
        forward = Forward(nodes=(Node("1", "Ali", (Image("c.png", content=PNG + b"!"),)),))
        for draft in (picture(bot), Draft.of(bot.room("ops").room.ref, forward)):
            entry = bot.app.supervisors[0].outbox.put(draft)
            assert PNG not in repr(entry.parts).encode()
        noted = await bot.app.store.read(rows)
        assert len(noted) == 2
        assert all(len(text) < 1000 for text in noted)
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        await trio.sleep(60)
        one, two = bot.network.sent
        assert one.segments[1].content == PNG
        assert two.segments[0].nodes[0].segments[0].content == PNG + b"!"


@pytest.mark.parametrize("how", ["missing", "corrupted", "cut"])
async def test_content_that_is_gone_or_damaged_costs_that_message(bots, tmp_path, how):
    async with bots.run(folder=tmp_path, policy=policy(), pace=Pace(gap=1000)) as bot:
        assert (await bot.app.supervisors[0].outbox.send(Draft.of(bot.room("ops").room.ref, "first"))).ok
        bot.app.supervisors[0].outbox.put(picture(bot))
        bot.app.supervisors[0].outbox.put(Draft.of(bot.room("ops").room.ref, "next"))
        await bot.app.store.read(rows)
    [path] = tmp_path.glob("blobs/??/*")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(PNG[:-1] if how == "cut" else PNG.replace(b"p", b"q", 1))
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        await trio.sleep(60)
        assert [draft.text for draft in bot.network.sent] == ["next"]
    outcome = next(record.outcome for record in bot.records if isinstance(record, Sent))
    assert outcome.delivery is Delivery.REFUSED
    assert outcome.reason.startswith(
        "'a.png' is not kept any more" if how == "missing" else "'a.png' is damaged on the disk"
    )
    assert files(tmp_path) == [], "the next one who sends it writes it anew"


async def test_content_that_is_too_large_is_refused_with_the_setting(bots):
    async with bots.run(policy=policy(max_bytes=1000)) as bot:
        outcome = await bot.app.supervisors[0].outbox.send(picture(bot))
        assert outcome.delivery is Delivery.REFUSED
        assert outcome.reason == "a.png has 7,008 bytes, more than blobs.max_bytes (1,000)"
        with pytest.raises(Refuse, match="more than blobs"):
            bot.app.blobs.keep(b"x" * 1001)


async def test_old_content_goes_and_what_waits_stays(bots, tmp_path):
    async with bots.run(folder=tmp_path, policy=policy(max_age=DAY)) as bot:
        box = bot.app.supervisors[0].outbox
        assert (await box.send(picture(bot, b"old"))).ok
        await trio.sleep(DAY - 10)
        bot.network.drop(TransientError("gone"))
        await trio.sleep(0.01)
        box.put(picture(bot, b"waits"))
        await settled_writes(bot)
        for path in tmp_path.glob("blobs/??/*"):
            blobs_age(path, bot, 2 * DAY)
        bot.app.blobs.sweep()
        await settled_writes(bot)
        assert files(tmp_path) == [hashlib.sha256(b"waits").hexdigest()]


async def settled_writes(bot):
    await bot.app.store.read(lambda _: None)


def blobs_age(path, bot, seconds):
    import os

    time = bot.app.clock.now().timestamp() - seconds
    os.utime(path, (time, time))


async def test_the_oldest_goes_when_there_is_too_much(bots, tmp_path):
    async with bots.run(folder=tmp_path, policy=policy(max_bytes=1000, max_total=2500)) as bot:
        kept = []
        for n in range(5):
            kept.append(bot.app.blobs.keep(bytes([n]) * 1000))
            await trio.sleep(1)
        bot.app.blobs.sweep()
        await settled_writes(bot)
        assert files(tmp_path) == sorted(blob.sha256 for blob in kept[-2:])


async def test_a_folder_that_cannot_be_written_costs_no_message_and_is_said_once(bots, tmp_path, capsys):
    (tmp_path / "blobs").write_text("in the way")
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        box = bot.app.supervisors[0].outbox
        for content in (b"one", b"two"):
            assert (await box.send(picture(bot, content))).ok
        await settled(bot)
        assert [draft.segments[1].content for draft in bot.network.sent] == [b"one", b"two"]
    assert capsys.readouterr().out.count("would not survive a restart") == 1


async def test_without_a_disk_it_is_kept_in_memory_up_to_a_bound(bots, monkeypatch):
    monkeypatch.setattr(blobs, "MEMORY", 2500)
    async with bots.run(policy=policy()) as bot:
        kept = [bot.app.blobs.keep(bytes([n]) * 1000) for n in range(4)]
        assert await bot.app.blobs.read(kept[3]) == b"\x03" * 1000
        with pytest.raises(ContentLost, match="not kept any more"):
            await bot.app.blobs.read(kept[0])
        outcome = await bot.app.supervisors[0].outbox.send(
            Draft.of(bot.room("ops").room.ref, Image(blob=kept[0]))
        )
        assert outcome.delivery is Delivery.REFUSED
        assert (
            await bot.app.supervisors[0].outbox.send(Draft.of(bot.room("ops").room.ref, Image(blob=kept[3])))
        ).ok


async def test_what_lies_on_the_disk_leaves_the_memory(bots, tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "CACHE", 2500)
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        kept = []
        for n in range(5):
            kept.append(bot.app.blobs.keep(bytes([n]) * 1000))
            await settled_writes(bot)
        assert bot.app.blobs._held <= 3000
        assert await bot.app.blobs.read(kept[0]) == bytes(1000)


async def test_a_store_that_cannot_be_read_now_holds_the_message_and_no_other_room(
    bots, tmp_path, monkeypatch
):
    monkeypatch.setattr(blobs, "CACHE", 0)
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        blob = bot.app.blobs.keep(PNG)
        bot.app.blobs.keep(b"something else")
        await settled_writes(bot)
        bot.app.blobs.keep(b"and else")
        read, failing = bot.app.blobs._store.read, [True]

        async def broken(query):
            if failing:
                raise StoreError("no such file")
            return await read(query)

        monkeypatch.setattr(bot.app.blobs._store, "read", broken)
        box = bot.app.supervisors[0].outbox
        entry = box.put(Draft.of(bot.room("ops").room.ref, Image(blob=blob)))
        assert (await box.send(Draft.of(bot.room("dev").room.ref, "meanwhile"))).ok
        await trio.sleep(12)
        assert entry.outcome is None
        failing.clear()
        await trio.sleep(10)
        assert entry.outcome.ok
        assert bot.network.sent[-1].segments[0].content == PNG


async def test_a_plugin_keeps_and_reads_content(bots):
    plugin = Plugin("media")

    @plugin.command("keep")
    async def keep(ctx: Ctx, *, blobs: Blobs) -> Image:
        blob = blobs.keep(PNG, "a.png")
        assert await blobs.read(blob) == PNG
        return Image(blob=blob)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/keep")
        await trio.sleep(1)
        assert [draft.segments[0].content for draft in bot.network.sent] == [PNG]


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (PNG, "", "image/png"), (b"\xff\xd8\xff\xe0", "a.png", "image/jpeg"), (b"GIF89a", "", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "", "image/webp"), (b"BM", "", "image/bmp"), (b"text", "a.txt", "text/plain"),
        (b"", "", ""), (b"?", "noending", ""),
    ],
)  # fmt: skip
def test_the_media_type_is_seen_in_the_content_or_the_name(content, name, kind):
    assert media_type_of(content, name) == kind


def test_a_file_is_known_by_its_name_in_words():
    assert attrs.evolve(File(name="a.txt"), content=b"x").name == "a.txt"


async def test_what_is_refused_leaves_nothing_in_memory(bots, tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "CACHE", 10_000)
    async with bots.run(folder=tmp_path, policy=policy(max_bytes=8000), pace=Pace(gap=1000)) as bot:
        box = bot.app.supervisors[0].outbox
        box._policy = OutboxPolicy(size=2)
        room = bot.room("ops").room.ref
        for n in range(100):
            content = PNG + b"%d" % n
            box.put(picture(bot, content))
            box.put(Draft.of(room, (Image("a.png", content=content), Image("b.png", content=b"x" * 9000))))
        await settled_writes(bot)
        assert bot.app.blobs._held <= 30_000


@pytest.mark.parametrize("broken", ["folder", "store"])
async def test_memory_is_bounded_while_the_disk_takes_nothing(bots, tmp_path, monkeypatch, broken):
    monkeypatch.setattr(blobs, "CACHE", 10_000)
    monkeypatch.setattr(blobs, "MEMORY", 50_000)
    if broken == "folder":
        (tmp_path / "blobs").write_text("in the way")
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        if broken == "store":
            monkeypatch.setattr(bot.app.store, "_transaction", lambda batch: "the disk is full")
        for n in range(100):
            assert (await bot.app.supervisors[0].outbox.send(picture(bot, PNG + b"%d" % n))).ok
        assert bot.app.blobs._held <= 60_000
        gc.collect()
        assert sum(len(one.content) for one in gc.get_objects() if isinstance(one, blobs._Held)) <= 60_000
        monkeypatch.undo()


async def test_a_file_that_is_no_whole_one_is_written_again(bots, tmp_path):
    for n in range(2):
        async with bots.run(folder=tmp_path, policy=policy()) as bot:
            assert (await bot.app.supervisors[0].outbox.send(picture(bot))).ok
            await settled_writes(bot)
        [path] = tmp_path.glob("blobs/??/*")
        assert path.read_bytes() == PNG
        if not n:
            path.write_bytes(b"")  # as a loss of power may leave it


async def test_the_first_sweep_waits_for_what_an_earlier_run_has_left(bots, tmp_path):
    async with bots.run(folder=tmp_path, policy=policy(), pace=Pace(gap=1000)) as bot:
        box = bot.app.supervisors[0].outbox
        assert (await box.send(Draft.of(bot.room("ops").room.ref, "first"))).ok
        box.put(picture(bot))
        await settled_writes(bot)
        [path] = tmp_path.glob("blobs/??/*")
        blobs_age(path, bot, 30 * DAY)
    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        await trio.sleep(60)
        assert [draft.segments[1].content for draft in bot.network.sent] == [PNG]


async def test_content_that_is_sent_by_its_reference_counts_as_queued(bots, tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "CACHE", 0)
    async with bots.run(folder=tmp_path, policy=policy(max_age=7 * DAY)) as bot:
        blob = bot.app.blobs.keep(PNG)
        bot.app.blobs.keep(b"something else")
        for _ in range(20):
            await trio.sleep(DAY)
            outcome = await bot.app.supervisors[0].outbox.send(
                Draft.of(bot.room("ops").room.ref, Image(blob=blob))
            )
            assert outcome.ok, outcome.reason


async def test_while_the_store_fails_content_is_tried_again_and_a_sweep_is_not(bots, tmp_path, monkeypatch):
    swept, tried, real = [], [], blobs.Blobs._write

    def write(self, sha, now):
        tried.append(sha)
        return real(self, sha, now) if len(tried) > 3 else False

    def fail(parts, *, wait):
        raise StoreError("the disk is full")

    async with bots.run(folder=tmp_path, policy=policy()) as bot:
        await bot.app.blobs.resumed.wait()
        await bot.settle()  # the first sweep is behind us
        await settled_writes(bot)
        monkeypatch.setattr(blobs.Blobs, "_sweep", lambda self, kept, now: swept.append(kept) or True)
        monkeypatch.setattr(blobs.Blobs, "_write", write)
        file = bot.app.store.file
        going_well, file.write = file.write, fail
        bot.app.blobs.sweep()
        assert (await bot.app.supervisors[0].outbox.send(picture(bot))).ok
        await trio.sleep(10)
        assert len(swept) == 1
        assert len(tried) == 4, "until it went well"
        file.write = going_well
        await trio.sleep(5)
        await settled_writes(bot)
        assert files(tmp_path) == [SHA]
