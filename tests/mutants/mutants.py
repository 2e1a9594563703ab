"""Breaks the reliability logic on purpose, one line at a time, and demands that a named test notices.

``python tests/mutants/mutants.py`` copies ``src`` for each mutant, changes the copy, and runs the test that must fail
against it. It ends with 1 when a mutant survives, when the line to be changed is not there any more, or when the tests
fail without any change. ``--only WORD`` takes the mutants whose name holds the word.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
#: Seconds that one run of a test may take; one that hangs has noticed, too.
PATIENCE = 60
WRITES = "tests/loopback/test_store_writes.py"
GUARANTEES = "tests/unit/runtime/test_guarantees.py"
OWNERS = "tests/unit/plugin/test_owners.py"
OUTBOX = "tests/unit/runtime/test_outbox.py"
QUEUE = "tests/unit/runtime/test_sendqueue.py"
SUPERVISOR = "tests/unit/runtime/test_supervisor.py"
BLOBS = "tests/unit/runtime/test_blobs.py"
SIBLINGS = "tests/unit/runtime/test_siblings.py"
LISTENER = "tests/unit/runtime/test_listener.py"
RUNS = "tests/unit/runtime/test_runs.py"
AT_ONCE = "tests/unit/runtime/test_links_at_once.py"


class Mutant(NamedTuple):
    """One change, and who must notice it."""

    name: str
    file: str
    old: str
    new: str
    test: str


RUNTIME = "src/qqops/runtime/"
MUTANTS = [
    Mutant(
        "ready() ignores the backlog", RUNTIME + "dispatch.py", "        while self.full:\n", "        while False:\n",
        f"{GUARANTEES}::test_a_reader_waits_while_the_backlog_is_full",
    ),
    Mutant(
        "ready() does not wait for the journal", RUNTIME + "dispatch.py",
        "            await self._journal.safe()\n", "            pass\n",
        f"{GUARANTEES}::test_a_reader_waits_until_what_it_has_read_is_on_the_disk",
    ),
    Mutant(
        "the window is not filled from the journal", RUNTIME + "dispatch.py",
        "            self._seen.add(where, key)\n", "            pass\n",
        f"{GUARANTEES}::test_what_was_accepted_is_handled_once_by_whichever_run",
    ),
    Mutant(
        "a part that went is not journalled", RUNTIME + "outbox.py",
        "                self.journal.landed(entry.row, len(entry.outcomes))\n", "                pass\n",
        f"{GUARANTEES}::test_a_message_that_went_in_part_goes_on_where_it_was",
    ),
    Mutant(
        "too old rows are handled", RUNTIME + "storage/journal.py",
        "if not one.started and one.age > self._policy.max_age:", "if False:",
        f"{GUARANTEES}::test_what_is_too_old_is_told_and_not_handled",
    ),
    Mutant(
        "the outbox forgets its rows at close", RUNTIME + "outbox.py", "            if keep and entry.row:\n",
        "            if False:\n", f"{GUARANTEES}::test_a_message_that_went_in_part_goes_on_where_it_was",
    ),
    Mutant(
        "a freed slot is not used", RUNTIME + "runs.py", "                self._vacate(run.plugin, task.key)\n                self._begin()\n",
        "                self._vacate(run.plugin, task.key)\n",
        f"{GUARANTEES}::test_a_rush_is_worked_off_and_leaves_no_task",
    ),
    Mutant(
        "a run begins where it was caused", RUNTIME + "runs.py", "self._spawn(self._work, name=\"run\")",
        "self._nursery.start_soon(self._work)",
        f"{GUARANTEES}::test_context_variables_do_not_leak_from_run_to_run_or_from_who_caused_it",
    ),
    Mutant(
        "runs begin in any order", RUNTIME + "runs.py", "self._starting.popleft()", "self._starting.pop()",
        f"{GUARANTEES}::test_runs_begin_in_the_order_in_which_they_were_set_off",
    ),
    Mutant(
        "what is unloaded goes on running", RUNTIME + "runs.py",
        '                task.scope.cancel(reason="the plugin is unloaded")\n', "                pass\n",
        f"{OWNERS}::test_unloading_ends_everything_and_says_so",
    ),
    Mutant(
        "a held plugin begins", RUNTIME + "runs.py", " or plugin in self._held:", ":",
        f"{OWNERS}::test_what_waits_for_its_turn_is_run_by_the_new_copy_and_refused_when_there_is_none",
    ),
    Mutant(
        "a failed reload leaves the new modules", "src/qqops/plugin/plugins.py",
        "            if not isinstance(found, Collected):\n                modules.put_back()\n",
        "            if not isinstance(found, Collected):\n",
        f"{OWNERS}::test_the_old_copy_stays_when_the_new_one_cannot_be_loaded",
    ),
    Mutant(
        "a job starts while closing", RUNTIME + "dispatch.py",
        "        done = ticket.done = trio.Event()\n        if not self._runs.open:\n",
        "        done = ticket.done = trio.Event()\n        if False:\n",
        f"{GUARANTEES}::test_no_job_starts_while_the_bot_is_closing",
    ),
    Mutant(
        "purge deletes what is open", RUNTIME + "storage/statements.py", "WHERE state > 1 AND at <", "WHERE at <",
        f"{GUARANTEES}::test_what_is_open_is_not_deleted_however_old_it_is",
    ),
    Mutant(
        "no bound of kept writes", RUNTIME + "storage/store.py", "if len(self._queue) > MAX_KEPT:", "if False:",
        f"{GUARANTEES}::test_a_store_that_cannot_be_written_keeps_so_much_and_no_more",
    ),
    Mutant(
        "a row that is being written is changed", RUNTIME + "storage/journal.py",
        "            if write is not None and not write.taken:\n                write.values[-1] = 1",
        "            if write is not None:\n                write.values[-1] = 1",
        f"{WRITES}::test_a_row_that_is_being_written_is_not_changed",
    ),
    Mutant(
        "what failed is written after what came later", RUNTIME + "storage/store.py",
        "self._queue = back + self._queue", "self._queue = self._queue + back",
        f"{WRITES}::test_a_reader_does_not_bring_what_comes_later_before_what_failed",
    ),
    Mutant(
        "who was told no is written later", RUNTIME + "storage/store.py",
        "if error is None and one.kept:", "if error is None:",
        f"{WRITES}::test_who_was_told_that_nothing_was_stored_can_rely_on_it",
    ),
    Mutant(
        "the loop waits for the platter", RUNTIME + "storage/datafile.py",
        'self.quick = mode == "wal" and self._policy.synchronous == "normal"', "self.quick = True",
        f"{WRITES}::test_only_what_does_not_wait_for_the_platter_is_written_on_the_spot",
    ),
    Mutant(
        "no bound of names", RUNTIME + "storage/directory.py", "if len(self._names) > MAX_NAMES:", "if False:",
        f"{GUARANTEES}::test_names_are_remembered_up_to_a_bound",
    ),
    Mutant(
        "a resumed event runs twice", RUNTIME + "dispatch.py",
        "self._ticket(hit, event, event.account, one.row)", "self._ticket(hit, event, event.account)",
        f"{GUARANTEES}::test_what_was_accepted_is_handled_once_by_whichever_run",
    ),
    # -- what came later ------------------------------------------------------------------------
    Mutant(
        "what was cut before it began counts as begun", RUNTIME + "storage/journal.py",
        "            self._store.write(sql.UNSTART, (row,))\n", "            pass\n",
        f"{GUARANTEES}::test_what_was_accepted_is_handled_once_by_whichever_run",
    ),
    Mutant(
        "accounts are connected before the journal is loaded", RUNTIME + "links.py",
        "                    await self._journal.loaded.wait()\n", "                    pass\n",
        f"{GUARANTEES}::test_no_account_is_connected_before_it_is_known_what_was_there",
    ),
    Mutant(
        "a bug in a send ends the session", RUNTIME + "carry.py", "            if not ends:\n", "            if False:\n",
        f"{OUTBOX}::test_an_error_in_the_adapter_costs_that_message",
    ),
    Mutant(
        "what has not left is unknown", RUNTIME + "carry.py", "            if result is None and flight.left:\n",
        "            if result is None:\n",
        f"{OUTBOX}::test_a_part_that_has_not_left_when_its_session_ends_goes_with_the_next",
    ),
    Mutant(
        "an ending session puts more on the wire", RUNTIME + "carry.py",
        "        await trio.lowlevel.checkpoint_if_cancelled()", "        pass",
        f"{SUPERVISOR}::test_what_was_on_the_wire_is_unknown_and_never_sent_again",
    ),
    Mutant(
        "nobody looks at the age of a message", RUNTIME + "outbox.py", "            self._set_alarm(entry.expires)\n",
        "            pass\n", f"{OUTBOX}::test_a_message_is_refused_at_its_age_though_nobody_looks",
    ),
    Mutant(
        "a room has two parts out", RUNTIME + "sendqueue.py", "if room.out is None and not room.resting:",
        "if not room.resting:", f"{QUEUE}::test_nothing_is_lost_or_doubled_or_out_of_order",
    ),
    Mutant(
        "silence overrides a fatal error", RUNTIME + "supervisor.py",
        "if session.scope.cancelled_caught and not end.fatal:", "if session.scope.cancelled_caught:",
        f"{SUPERVISOR}::test_a_fatal_error_on_the_way_out_of_a_silent_session_stops_the_account",
    ),
    Mutant(
        "the first of two holders gives the deadline back", RUNTIME + "supervisor.py",
        "        if self._holders:\n            self._left = seconds\n", "        if False:\n            self._left = seconds\n",
        f"{SUPERVISOR}::test_a_session_that_several_readers_hold_up_has_its_time_left_afterwards",
    ),
    Mutant(
        "two of our accounts handle one message", RUNTIME + "siblings.py",
        "            return not meant or copy.meant", "            return False",
        f"{SIBLINGS}::test_what_comes_late_was_handled_already",
    ),
    Mutant(
        "what is said to one account is swallowed by another", RUNTIME + "siblings.py",
        "            return not meant or copy.meant", "            return True",
        f"{SIBLINGS}::test_a_late_answer_is_an_answer_whatever_another_account_has_made_of_it",
    ),
    Mutant(
        "what is held is dropped at a stop", RUNTIME + "dispatch.py", "        self.siblings.close()\n", "",
        f"{SIBLINGS}::test_what_is_held_when_the_bot_stops_is_handled",
    ),
    Mutant(
        "an account that has died unnoticed is waited for", RUNTIME + "siblings.py",
        "            place.behind.add((late, type(copy.held[0])))\n", "            break\n",
        f"{SIBLINGS}::test_an_account_that_hears_nothing_is_waited_for_once_until_it_keeps_up_again",
    ),
    Mutant(
        "a room's setting goes to whoever takes on its name", RUNTIME + "named_rooms.py",
        "            self._meant[account, name] = found[0].ref\n", "            pass\n",
        "tests/unit/runtime/test_named_rooms.py::test_no_other_room_gets_what_is_set_by_taking_on_the_name",
    ),
    Mutant(
        "content is not written with its row", RUNTIME + "outbox.py",
        "self.journal.queued(self.account, draft, plugin, message, write)", "self.journal.queued(self.account, draft, plugin, message)",
        f"{BLOBS}::test_what_waits_and_the_journal_hold_the_reference_and_a_restart_finds_the_content",
    ),
    Mutant(
        "damaged content is sent", RUNTIME + "storage/blobs.py",
        "if hashlib.sha256(content).hexdigest() != blob.sha256:", "if False:",
        f"{BLOBS}::test_content_that_is_gone_or_damaged_costs_that_message",
    ),
    Mutant(
        "content that waits is deleted", RUNTIME + "storage/blobs.py",
        "if path.name not in waiting and (", "if (",
        f"{BLOBS}::test_old_content_goes_and_what_waits_stays",
    ),
    Mutant(
        "a stopping bot takes new requests", RUNTIME + "listener.py", "        if self._closed:\n            await",
        "        if False:\n            await",
        f"{LISTENER}::test_while_the_bot_stops_new_requests_are_refused_and_what_is_open_goes_on",
    ),
    Mutant(
        "a closed route ends nothing", RUNTIME + "listener.py",
        "            for scope in self._scopes:\n", "            for scope in ():\n",
        f"{LISTENER}::test_a_closed_route_ends_what_it_serves_and_nothing_else",
    ),
    Mutant(
        "a head may take its time", "src/qqops/adapters/http/server.py", "trio.current_time() + HEAD_DEADLINE",
        "trio.current_time() + HEAD_DEADLINE * 10",
        f"{LISTENER}::test_the_head_of_a_request_must_be_whole_within_thirty_seconds",
    ),
    Mutant(
        "any number of connections", RUNTIME + "listener.py", "if self._connections >= MAX_CONNECTIONS:", "if False:",
        f"{LISTENER}::test_one_connection_too_many_is_closed_and_room_is_found_again",
    ),
    Mutant(
        "any number of large bodies", RUNTIME + "listener.py", "self.handle, self._large)", "self.handle)",
        f"{LISTENER}::test_large_bodies_are_read_a_few_at_a_time",
    ),
    Mutant(
        "an account that is being taken off is begun", RUNTIME + "links.py",
        "if link.turn.locked() or not self._known(link):", "if not self._known(link):",
        f"{AT_ONCE}::test_one_who_starts_an_account_the_moment_it_has_left_starts_it_once_or_not_at_all",
    ),
    Mutant(
        "a removed account is heard", RUNTIME + "links.py", "        link.supervisor.detach()\n", "",
        f"{AT_ONCE}::test_an_account_that_leaves_long_after_it_was_removed_harms_nobody",
    ),
    Mutant(
        "questions of a removed account stay", RUNTIME + "dispatch.py", "        self.talks.end_account(ref)\n", "",
        "tests/unit/runtime/test_links_gone.py::test_what_an_account_asks_people_ends_when_it_is_removed_and_the_journal_knows",
    ),
    Mutant(
        "a cut in a group does not count", RUNTIME + "runs.py",
        "        except BaseException:\n            self._cut", "        except trio.Cancelled:\n            self._cut",
        f"{RUNS}::test_what_waits_is_not_begun_when_everything_is_cancelled",
    ),
    Mutant(
        "one of two hears of an end", RUNTIME + "runs.py", "            if self._gone.is_set():\n", "            if True:\n",
        f"{RUNS}::test_two_who_end_plugins_at_once_both_hear_of_it",
    ),
    Mutant(
        "runs inside filters are not waited for", RUNTIME + "handlers.py",
        "        await self._runs.over(self._inside(plugin))\n", "",
        "tests/unit/plugin/test_reload_filters.py::test_who_is_inside_a_filter_is_waited_for",
    ),
]  # fmt: skip


#: Exit codes of pytest: all passed, some failed; whatever else means that the tests could not be run.
PASSED, FAILED = 0, 1


def run(change: Mutant | None, *tests: str) -> tuple[int, str]:
    """Run *tests* against a copy of the package with *change*; return pytest's exit code, and what it said last."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        if change is not None:
            file = pathlib.Path(folder) / change.file
            file.write_text(file.read_text("utf-8").replace(change.old, change.new), "utf-8")
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return FAILED, "it hangs"
        return done.returncode, (done.stdout or done.stderr)[-2000:]


def try_one(mutant: Mutant) -> tuple[str, float]:
    """Return what is wrong with *mutant*, "" when it dies as it must, and the seconds that took."""
    began = time.monotonic()
    found = (ROOT / mutant.file).read_text("utf-8").count(mutant.old)
    if found != 1:
        return f"the line to be changed is there {found} times in {mutant.file}", 0.0
    code, said = run(mutant, mutant.test)
    problem = {PASSED: "it survives", FAILED: ""}.get(code, f"its test cannot be run: {said[-300:]}")
    return problem, time.monotonic() - began


def main() -> int:
    """Try all; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="WORD")
    only = parser.parse_args().only
    mutants = [one for one in MUTANTS if only in one.name]
    code, said = run(None, *sorted({one.test for one in mutants}))
    if code != PASSED:
        print(said, "\nthe tests fail without any change", file=sys.stderr)
        return 1
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, (problem, seconds) in zip(mutants, pool.map(try_one, mutants), strict=True):
            failures += bool(problem)
            print(
                f"{'!!' if problem else 'ok'}  {seconds:4.1f} s  {mutant.name}  {problem or mutant.test}",
                flush=True,
            )
    print(f"{len(mutants) - failures} of {len(mutants)} mutants die")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
