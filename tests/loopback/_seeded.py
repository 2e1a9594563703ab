"""A process that writes whatever its seed says until it is killed; run by test_kill_seeded.

It says on its output what it is about to do (``try``), what a call has returned for (``did``) and what has raised (``no``).
"""

import os
import pathlib
import random
import signal
import sys

import trio

from qqops.errors import StoreError
from qqops.model import AccountRef, Draft, Message, PersonRef, Room, RoomKind, RoomRef, Text, User
from qqops.runtime.clock import WallClock
from qqops.runtime.storage import backup
from qqops.runtime.storage import store as module
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.journal import Journal, JournalPolicy
from qqops.runtime.storage.keep import StoredKeep
from qqops.runtime.storage.kv import KV, StoredRows
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store
from qqops.runtime.storage.upgrade import Migration, upgrade

ME = AccountRef("memory", "me")
ROOM = Room(ref=RoomRef(ME, RoomKind.GROUP, "g"), name="g")


class Victim:
    def __init__(self, seed, url, folder):
        self.rng = random.Random(seed)
        self.folder = folder
        self.url = url
        self.points = 0
        # Half of them die at a point that is reached, half at some moment.
        self.at = self.rng.randrange(1, 400) if self.rng.random() < 0.5 else 0
        if not self.at:
            signal.setitimer(signal.ITIMER_REAL, self.rng.uniform(0.001, 0.12))
        policy = StorePolicy(synchronous=self.rng.choice(["normal", "normal", "full"]))
        module.CHECKPOINT_EVERY = self.rng.choice([5, 40])
        if url:
            self.file = Store(Postgres(url, folder, self.reached))
        else:
            self.file = Store(folder / "q.db", policy, reached=self.reached)
        rows = StoredRows(self.file)
        self.rows = rows
        self.store, self.keep = KV("victim", rows, WallClock()), StoredKeep(self.file, "core:victim")
        self.journal = Journal(self.file, WallClock(), JournalPolicy())

    def reached(self, point):
        self.points += 1
        if self.points == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def say(self, *words):
        print(*words, flush=True)

    async def pair(self, n):
        async with self.store.transaction() as inside:
            inside.put("a", n)
            inside.put("b", n)

    async def bad(self, n):
        try:
            async with self.store.transaction() as inside:
                inside.put("bad", n)
                inside.put("worse", "\ud800")
        except StoreError:
            self.say("no", "bad", n)

    async def kept(self, n):
        self.keep.save("n", n)
        assert await self.keep.safe()

    async def fly(self, n):
        row = self.journal.queued(ME, Draft.of(ROOM.ref, f"number {n}"), "p", str(n))
        self.say("try", "queue", row)
        await self.journal.flying([row])
        self.say("did", "queue", row)
        self.say("try", "sent", row)
        self.journal.sent(row)

    async def hear(self, n):
        sender = User(ref=PersonRef(ME, "ali"), name="ali")
        message = Message(id=str(n), at=WallClock().now(), room=ROOM, sender=sender, segments=(Text("x"),))
        (row,) = self.journal.accepted(message, [("p:x", -1)])
        if self.rng.random() < 0.5:
            await self.journal.safe()
            self.say("did", "heard", row)
        await self.journal.starting(row)
        self.say("did", "began", row)
        self.say("try", "end", row)
        self.journal.ended(row)

    async def copy(self, n):
        self.say("did", "copied", await self.file.snapshot("seeded"))

    async def saved(self, n):
        target = self.folder / "copy.db"
        if self.url:
            await trio.to_thread.run_sync(backup.backup_server, Postgres(self.url, self.folder), target)
        else:
            await trio.to_thread.run_sync(backup.backup, self.folder / "q.db", target, self.reached)
        self.say("did", "copied", target)

    async def run(self):
        async with trio.open_nursery() as nursery:
            await nursery.start(self.file.run)
            await self.file.opened.wait()
            assert not self.file.failing, self.file.failing
            await self.journal.load()
            steps = [self.pair, self.bad, self.kept, self.fly, self.hear]
            for n in range(60):
                todo = self.rng.sample(steps, k=self.rng.randrange(1, 4))
                if self.rng.random() < 0.05:
                    todo.append(self.rng.choice([self.copy, self.saved]))
                async with trio.open_nursery() as together:
                    for step in todo:
                        together.start_soon(self.one, step, n)
            await self.migrate()
            nursery.cancel_scope.cancel()

    async def one(self, step, n):
        self.say("try", step.__name__, n)
        await step(n)
        self.say("did", step.__name__, n)

    async def migrate(self):
        async def step(inside):
            inside.put("a", 1000)
            inside.put("b", 1000)

        self.say("try", "pair", 1000)
        await upgrade(self.store, [Migration(1, step, "")], self.rows, self.file)
        self.say("did", "pair", 1000)


if __name__ == "__main__":
    trio.run(Victim(int(sys.argv[1]), os.environ.get("URL", ""), pathlib.Path(sys.argv[2])).run)
