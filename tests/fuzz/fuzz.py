"""Coverage-guided fuzzing of everything that reads what a peer or a file says: WebQQ, OneBot, HTTP, saved logins,
command lines, the simulator.

How to use it::

    uv pip install atheris                                   # once; it is no dependency of the project
    python tests/fuzz/fuzz.py --seconds 900            # all targets
    python tests/fuzz/fuzz.py --seconds 120 --target poll --corpus ~/qqops-corpus
    python tests/fuzz/fuzz.py --seconds 600 --keep-going      # collect distinct findings, stop at none
    python tests/fuzz/fuzz.py --replay "b'\\x01\\x00{}'"      # one input again; needs no atheris

Exit status: 0 when nothing was found, 1 when something was (the reproducer is printed as a bytes literal, with
the traceback), 2 when it cannot run. ``--corpus`` keeps what was learnt for the next run; without it a run
starts from the small built-in corpus and throws away what it learnt.

What counts as a finding:

* an exception that the docstrings do not name; in the end only those of `qqops.errors` may come out;
* an error whose text is long, of several lines or not printable: it goes into logs and onto screens;
* a text that UTF-8 cannot encode, or a value that should be hashable and is not;
* a request that HTTP could not carry, or a Cookie header with line breaks in it;
* a call that takes longer than a second for at most 64 kB, twice in a row; memory beyond 2 GB;
* a simulator that does not answer.

How it works: an input is a string of bytes. The first one chooses the target, the others are decisions
(`Draw`): which template to start from, which token to put where and how often. So small changes of the input are
small changes of a well-formed answer, and every input means something. A worker process runs libFuzzer; this
process feeds it, reads its figures and reports.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable

import structlog
from _inputs import ANSWERS, POLLS, Draw
from _run import run

try:
    import atheris
except ImportError:
    atheris = None

# Only the worker counts branches; elsewhere the code runs as it is.
WATCHED = ["qqops", "email._parseaddr"]
with (
    atheris.instrument_imports(include=WATCHED)
    if atheris and "--worker" in sys.argv
    else contextlib.nullcontext()
):
    import _core
    import _files
    import _onebot
    import _simulator
    from _checks import Slow

TARGETS: dict[str, Callable[[Draw], None]] = {
    "wire": _core.fuzz_wire,
    "poll": _core.fuzz_poll,
    "flows": _core.fuzz_flows,
    "cookies": _core.fuzz_cookies,
    "content": _core.fuzz_content,
    "send": _core.fuzz_send,
    "words": _core.fuzz_words,
    "simulator": _simulator.fuzz_simulator,
    "answer": _core.fuzz_answer,
    "saved": _files.fuzz_saved,
    "listen": _files.fuzz_listen,
    "pictures": _files.fuzz_pictures,
    "onebot_events": _onebot.fuzz_onebot_events,
    "onebot_answers": _onebot.fuzz_onebot_answers,
    "onebot_segments": _onebot.fuzz_onebot_segments,
    "onebot_intake": _onebot.fuzz_onebot_intake,
}


def one_input(data: bytes) -> None:
    """Run the target that the first byte names; what is slow must be slow twice."""
    target = list(TARGETS.values())[data[0] % len(TARGETS)] if data else _core.fuzz_wire
    with contextlib.suppress(Slow):
        target(Draw(data[1:]))
        return
    target(Draw(data[1:]))


def seeds() -> list[bytes]:
    """Return the built-in corpus: valid answers as raw input, and decisions that reach each template."""
    raw = [body for bodies in (*ANSWERS.values(), POLLS) for body in bodies]
    lines = [
        "x a --env=prod -e dev 5",
        "“a b” 「c d」 ——env prod",
        "--dry-run -- --x",
        "y the rest  of it --times 3",
    ]
    names = list(TARGETS)
    found = [bytes([names.index(name), 0]) + body for name in ("wire", "poll", "send") for body in raw]
    found += [bytes([names.index("words"), 0]) + line.encode() for line in lines]
    # What was found once, in full size: random decisions rarely make it.
    deep = b'{"retcode":0,"result":[' + b"[" * 600 + b'"\\ud800"' + b"]" * 600 + b"]}"
    quotes = b"ptuiCB('" + b"\\'" * 12_000 + b")"
    found += [
        bytes([names.index(name), 0]) + body for name in ("wire", "poll", "send") for body in (deep, quotes)
    ]
    found += [bytes([names.index("onebot_events"), 0, 7]) + frame for frame in _onebot.FRAMES]
    found += [bytes([names.index("onebot_answers"), 7]) + frame for frame in _onebot.ANSWERS]
    found += [bytes([names.index("listen"), 0, n, 0]) for n in range(len(_files.REQUESTS))]
    rng = random.Random(1)
    for index in range(len(names)):
        found += [bytes([index]) + rng.randbytes(size) for size in (16, 64, 256, 1024) for _ in range(8)]
    return found


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # nobody reads along
    sys.exit(run(list(TARGETS), one_input, seeds, __doc__ or ""))
