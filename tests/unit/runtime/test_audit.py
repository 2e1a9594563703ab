"""The audit on disk: what stands there, what a damaged one shows, and what happens when it cannot be written."""

import errno
import json
import os
import re
import stat

import pytest
import trio
import trio.testing

from qqops import Ctx, Plugin
from qqops.app import AppPolicy
from qqops.cli.audit import _new, check_audit, show_audit
from qqops.errors import StoreError
from qqops.runtime._audit_file import AuditFile, Verdict, files, verify
from qqops.runtime.audit import MAX_WAITING, Audit
from qqops.runtime.granted import AccessPolicy
from qqops.testing.virtual import HeldThreads, VirtualClock
from qqops_essentials import plugin as essentials

#: The commands of the essentials are for everybody here.
ALL = AppPolicy(seed=1, access=AccessPolicy(permissions={"everyone": ("locks.set", "audit.read")}))


def on_disk(folder, **more):
    return lambda clock: Audit(clock, AuditFile(folder, **more), HeldThreads())


def plugin_with_effects():
    plugin = Plugin("p")
    plugin.ran = []

    @plugin.command("ship", effects=True, redact=("key",))
    async def ship(ctx: Ctx, what: str, *, key: str = "") -> str:
        plugin.ran.append(what)
        if what == "bad":
            raise ValueError(what)
        return f"shipped {what}"

    return plugin


def lines(folder):
    return [json.loads(line) for path in files(folder) for line in path.read_text("utf-8").splitlines()]


async def test_a_command_with_effects_stands_there_before_and_after(bots, tmp_path):
    plugin = plugin_with_effects()
    async with bots.run(plugin, essentials, audit=on_disk(tmp_path), policy=ALL) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/ship it --key s3cret")
        await ali.expect("shipped it")
        await ali.say("/ship bad")
        await ali.expect("went wrong")
        await bot.advance(0.1)  # until the thread that writes has ended
        await ali.say("/audit 2")
        await ali.expect("3 .* start ali: ship bad.*\n4 .* end ali: ship bad.* failed")
    found = lines(tmp_path)
    assert [(e["n"], e["what"], e.get("result")) for e in found] == [
        (1, "start", None), (2, "end", "done"), (3, "start", None), (4, "end", "failed"),
    ]  # fmt: skip
    assert found[0]["command"] == "ship it --key ***"
    assert found[0]["who"] == "memory:test/u-ali"
    assert found[0]["room"] == "memory:test/group:g-ops"
    assert "s3cret" not in (tmp_path / "audit.jsonl").read_text("utf-8")
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600
    assert verify(tmp_path) == Verdict(4, 1)


async def test_a_full_disk_refuses_commands_with_effects_and_nothing_else(bots, tmp_path):
    full = []

    def write(fd, data):
        if full:
            os.write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    plugin = plugin_with_effects()
    async with bots.run(plugin, essentials, audit=on_disk(tmp_path, write=write), policy=ALL) as bot:
        ali = bot.user("ali")
        await ali.say("/ship one")
        await ali.expect("shipped one")
        full.append(True)
        await ali.say("/ship two")
        await ali.expect("cannot be recorded now: .*No space left")
        await ali.say("/ping")
        await ali.expect("pong")
        await ali.say("/lock prod x")  # has happened, so it is written as soon as that is possible
        full.clear()
        await ali.say("/ship three")
        await ali.expect("shipped three")
    assert plugin.ran == ["one", "three"]
    assert [e["what"] for e in lines(tmp_path)] == ["start", "end", "lock", "start", "end"]
    assert verify(tmp_path) == Verdict(5, 1)


class Slow(HeldThreads):
    """A disk that takes *seconds* for each write."""

    seconds = 0.0

    async def __call__(self, call, /, *, limiter, abandon_on_cancel):
        with trio.CancelScope(shield=True):  # a thread hears of no cancellation
            await trio.sleep(self.seconds)
        return await super().__call__(call, limiter=limiter, abandon_on_cancel=abandon_on_cancel)


@pytest.mark.parametrize("others", [0, 1], ids=["it is being written", "it waits for others"])
@pytest.mark.parametrize(("within", "said"), [(3, "took longer"), (60, "too slow")], ids=["cut", "too slow"])
async def test_what_never_began_does_not_stand_there_without_an_end(bots, tmp_path, within, said, others):
    plugin, disk = Plugin("p"), Slow()

    @plugin.command("ship", effects=True, timeout=within)
    async def ship(ctx: Ctx) -> str:
        return "shipped"

    async with bots.run(plugin, audit=lambda clock: Audit(clock, AuditFile(tmp_path), disk)) as bot:
        disk.seconds = 20
        for number in range(others):
            bot.app.audit.note("other", number=str(number))
            await bot.advance(0.5)
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/ship")
        await bot.advance(11)
        await ali.expect(said)
        disk.seconds = 0
        await bot.advance(30)
    whats = [(one["what"], one.get("result")) for one in lines(tmp_path) if one["what"] != "other"]
    assert whats in ([], [("start", None), ("end", "cancelled")])


async def test_what_was_given_up_does_not_happen(tmp_path):
    audit = Audit(VirtualClock(), AuditFile(tmp_path), HeldThreads())
    async with trio.open_nursery() as nursery:

        async def ship():
            with pytest.raises(StoreError, match="too much is waiting"):
                await audit.record("start")

        nursery.start_soon(ship)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(MAX_WAITING):
            audit.note("other")


async def test_it_goes_on_where_the_last_run_has_ended(bots, tmp_path):
    for run in range(2):
        async with bots.run(plugin_with_effects(), essentials, audit=on_disk(tmp_path), policy=ALL) as bot:
            ali = bot.user("ali")
            if run:
                await ali.say("/audit")
                await ali.expect("1 .* start")
            await ali.say("/ship it")
            await ali.expect("shipped")
    assert verify(tmp_path) == Verdict(4, 1)


def written(folder, count, **more):
    file = AuditFile(folder, **more)
    file.open()
    for number in range(count):
        file.append([{"at": "now", "what": "start", "command": f"c{number}"}])
    file.close()


def test_full_files_are_put_aside_and_the_chain_goes_on(tmp_path):
    written(tmp_path, 40, max_bytes=600)
    assert len(files(tmp_path)) > 5
    assert verify(tmp_path) == Verdict(40, 1)
    written(tmp_path, 20, max_bytes=600, kept=3)
    assert len(files(tmp_path)) <= 5
    verdict = verify(tmp_path)
    assert verdict.problem == ""
    assert verdict.first > 1
    assert verdict.first + verdict.lines == 61


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda rows: rows[:2] + rows[3:], "the line after 2 is missing"),
        (
            lambda rows: [rows[0], rows[1].replace(b'"c1"', b'"cX"'), *rows[2:]],
            "audit.jsonl:3: the line before was changed",
        ),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "is missing|was changed"),
        (lambda rows: [*rows[:2], b"nonsense", *rows[2:]], "audit.jsonl:3: this is not a line"),
        (lambda rows: [rows[0].replace(b'"prev":"0', b'"prev":"1'), *rows[1:]], "audit.jsonl:1: .*changed"),
    ],
)
def test_a_line_that_was_removed_or_changed_shows(tmp_path, damage, problem):
    written(tmp_path, 5)
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())) + b"\n")

    assert re.search(problem, verify(tmp_path).problem)


def test_a_line_that_a_crash_has_cut_short_is_cut_off(tmp_path):
    written(tmp_path, 3)
    path = tmp_path / "audit.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    written(tmp_path, 1)
    assert verify(tmp_path) == Verdict(3, 1)


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        AuditFile(tmp_path / "file").append([{"what": "x"}])


def settings(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text('[bot]\ndata = "data"\n')
    return path


def test_the_command_line_shows_and_verifies(tmp_path, capsys):
    written(tmp_path / "data", 3)
    config = settings(tmp_path)
    assert show_audit(config, last=2, follow=False, as_json=False) == 0
    assert capsys.readouterr().out == "now  2  start  c1\nnow  3  start  c2\n"
    assert show_audit(config, last=0, follow=False, as_json=True) == 0
    assert [json.loads(line)["n"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]
    assert check_audit(config) == 0
    assert "good: 3 entries" in capsys.readouterr().out
    path = tmp_path / "data/audit.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:2]) + b"x\n")
    assert check_audit(config) == 1
    assert "damaged" in capsys.readouterr().err


def test_following_sees_what_comes_and_what_was_put_aside(tmp_path):
    written(tmp_path, 3)
    new = _new(tmp_path, 2)
    assert json.loads(next(new))["n"] == 3
    written(tmp_path, 4, max_bytes=300)
    assert [json.loads(next(new))["n"] for _ in range(4)] == [4, 5, 6, 7]
