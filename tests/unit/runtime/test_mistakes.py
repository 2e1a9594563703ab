"""What trio and asyncio say when asyncio is used under trio, and what the log adds to it. The real things are run."""

import asyncio

import pytest
import trio

from qqops.errors import Refuse
from qqops.runtime.mistakes import ASYNCIO, hint_for


async def nothing():
    return None


async def sleep_0():
    await asyncio.sleep(0)


async def sleep_1():
    await asyncio.sleep(1)


async def gather():
    loop = asyncio.new_event_loop()
    try:
        await asyncio.gather(loop.create_future())
    finally:
        loop.close()


async def future():
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


async def create_task():
    coroutine = nothing()
    try:
        asyncio.create_task(coroutine)  # noqa: RUF006 - it never becomes one
    finally:
        coroutine.close()


async def lock_that_waits():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def event():
    await asyncio.Event().wait()


async def queue():
    await asyncio.Queue().get()


async def time_limit():
    async with asyncio.timeout(1):  # noqa: ASYNC100 - it fails before
        pass


async def to_thread():
    await asyncio.to_thread(print)


async def loop_in_a_thread():
    await trio.to_thread.run_sync(asyncio.get_event_loop)


async def in_a_nursery():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep_1)


MISTAKES = [
    sleep_0, sleep_1, gather, future, create_task, lock_that_waits, event, queue, time_limit, to_thread, loop_in_a_thread, in_a_nursery,
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.__name__)
async def test_asyncio_under_trio_is_told_from_other_errors(mistake):
    hint = None
    try:
        await mistake()
    except Exception as exc:
        hint = hint_for(exc)
    assert hint == ASYNCIO


async def test_a_lock_that_is_free_is_no_error_at_all():
    async with asyncio.Lock():
        pass


@pytest.mark.parametrize(
    "exc", [RuntimeError("no"), TypeError("None is not iterable"), Refuse("no"), ValueError("no running event loop")]
)  # fmt: skip
def test_of_other_errors_nothing_is_said(exc):
    assert hint_for(exc) == ""


def test_an_attribute_of_none_elsewhere_is_not_asyncios():
    try:
        None.create_future  # noqa: B018
    except AttributeError as exc:
        assert hint_for(exc) == ""
