"""Runs a fuzz harness: a worker with libFuzzer in it, a parent that feeds it, reads its figures and reports."""

from __future__ import annotations

import argparse
import ast
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence

import attrs
from _inputs import MAX_INPUT, TOKENS

Target = Callable[[bytes], None]

#: Seconds after which libFuzzer ends a call that hangs, and megabytes after which one that eats.
HANGS, MEMORY = 20, 2048
#: What libFuzzer calls the inputs on which the worker died.
_ARTIFACTS = ("timeout-*", "oom-*", "crash-*", "leak-*")
_STATUS = re.compile(r"#(\d+)\s.*?cov: (\d+) ft: (\d+)")
_FINAL = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@attrs.frozen
class Finding:
    """An input that breaks something, and what it breaks."""

    data: bytes
    trace: str

    def show(self) -> str:
        """Return it as a report."""
        return f"reproducer ({len(self.data)} bytes):\n{self.data!r}\n\n{self.trace}"


def run(targets: Sequence[str], one_input: Target, seeds: Callable[[], list[bytes]], usage: str) -> int:
    """Do what the command line says and return the exit status.

    Args:
        targets: Names; the first byte of an input is an index into them.
        seeds: Makes the built-in corpus.
    """
    options = _parser(targets, usage).parse_args()
    if options.replay:
        return _replay(one_input, options.replay)
    try:
        import atheris  # noqa: F401 - the worker uses it; say here that it is missing
    except ImportError:
        print("the fuzzer needs atheris: pip install atheris (or: uv pip install atheris)", file=sys.stderr)
        return 2
    if options.worker:
        _work(one_input, options)
    with tempfile.TemporaryDirectory(prefix="qqops-fuzz-") as folder:
        return _supervise(options, targets, seeds(), pathlib.Path(folder))


def _parser(targets: Sequence[str], usage: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long to run (default 60)")
    parser.add_argument("--target", choices=targets, help="only this one; default: all")
    parser.add_argument("--corpus", type=pathlib.Path, help="folder that keeps what was learnt")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0 is another one each time")
    parser.add_argument("--keep-going", action="store_true", help="collect distinct findings, stop at none")
    parser.add_argument("--replay", help="a bytes literal, or a file with one or with the bytes themselves")
    parser.add_argument("--worker", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    return parser


def _replay(one_input: Target, which: str) -> int:
    path = pathlib.Path(which) if len(which) < 1000 else None
    data = path.read_bytes() if path is not None and path.is_file() else which.encode()
    if data.startswith((b"b'", b'b"')):
        data = ast.literal_eval(data.decode().strip())
    one_input(data)
    print("nothing found")
    return 0


# -- the worker --------------------------------------------------------------------------------------


def _work(one_input: Target, options: argparse.Namespace) -> None:
    """Fuzz; never returns. Findings go into the folder of the parent."""
    import atheris

    known: set[str] = set()

    def guarded(data: bytes) -> None:
        if options.first is not None:
            data = bytes([options.first]) + data[1:]
        try:
            one_input(data)
        except Exception as exc:
            if (place := _place(exc)) in known:
                return
            known.add(place)
            record = {"data": repr(data), "trace": _trace(exc)}
            (options.worker / f"finding-{len(known):04}.json").write_text(json.dumps(record), "utf-8")
            if not options.keep_going:
                raise

    folder = options.worker
    flags = [
        f"-max_total_time={options.seconds}", f"-timeout={HANGS}", f"-rss_limit_mb={MEMORY}", f"-max_len={MAX_INPUT}",
        f"-artifact_prefix={folder}/", f"-dict={folder}/tokens.dict", f"-seed={options.seed}", "-print_final_stats=1", "-len_control=0",
        "-verbosity=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, str(options.corpus), str(folder / "seeds")], guarded)
    atheris.Fuzz()


def _trace(exc: BaseException) -> str:
    """Return the traceback, without the middle of a deep recursion."""
    lines = traceback.format_exception(exc)
    return "".join(lines if len(lines) <= 20 else [*lines[:10], "  …\n", *lines[-8:]])


def _place(exc: BaseException) -> str:
    """Return what makes a finding distinct: the type, the last line of qqops, and what the harness says of it."""
    frames = [f for f in traceback.extract_tb(exc.__traceback__) if "/qqops/" in f.filename]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    said = re.sub(r"\d+", "#", str(exc))[:40] if isinstance(exc, AssertionError) else ""
    return f"{type(exc).__name__} {where} {said}"


# -- the parent --------------------------------------------------------------------------------------


def _supervise(
    options: argparse.Namespace, targets: Sequence[str], seeds: list[bytes], folder: pathlib.Path
) -> int:
    """Start a worker, wait for it, report; return the exit status."""
    (folder / "seeds").mkdir()
    for number, seed in enumerate(seeds):
        (folder / "seeds" / f"{number:04}").write_bytes(seed)
    (folder / "tokens.dict").write_text(
        "".join(f'"{_escaped(token)}"\n' for token in TOKENS if len(token) < 32), "utf-8"
    )
    corpus = options.corpus or folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, sys.argv[0], "--worker", str(folder), "--corpus", str(corpus)]
    command += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    command += ["--first", str(targets.index(options.target))] if options.target else []
    command += ["--keep-going"] if options.keep_going else []
    began = time.monotonic()
    status, figures, tail = _watch(command)
    findings = _findings(folder)
    for number, finding in enumerate(findings, 1):
        print(f"\n=== finding {number} ===\n{finding.show()}")
    if status != 0 and not findings:
        print("the worker died:\n" + "".join(tail), file=sys.stderr)
    runs, coverage, features = figures
    print(
        f"\n{options.target or 'all targets'}: {runs} executions in {time.monotonic() - began:.0f} s,"
        f" coverage {coverage} edges, {features} features, corpus {len(list(corpus.iterdir()))} inputs,"
        f" {len(findings)} findings"
    )
    return 1 if findings or status != 0 else 0


def _watch(command: Sequence[str]) -> tuple[int, tuple[int, int, int], list[str]]:
    """Return the worker's exit status, (executions, coverage, features), and the last lines it said."""
    runs, coverage, features = 0, 0, 0
    tail: list[str] = []
    told = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            tail = [*tail[-60:], line]
            if found := _STATUS.search(line):
                runs, coverage, features = (int(group) for group in found.groups())
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    print(line.strip(), flush=True)
            elif found := _FINAL.search(line):
                runs = int(found[1])
    return worker.returncode, (runs, coverage, features), tail


def _findings(folder: pathlib.Path) -> list[Finding]:
    """Return what the worker wrote down, and the inputs on which it died."""
    found: list[Finding] = []
    for path in sorted(folder.glob("finding-*.json")):
        record = json.loads(path.read_text("utf-8"))
        found.append(Finding(ast.literal_eval(record["data"]), record["trace"]))
    for path in (path for pattern in _ARTIFACTS for path in sorted(folder.glob(pattern))):
        kind = path.name.partition("-")[0]
        if kind == "crash" and found:
            continue  # libFuzzer's own note of an exception that is already there
        found.append(Finding(path.read_bytes(), f"libFuzzer says: {kind} (limits: {HANGS} s, {MEMORY} MB)\n"))
    return found


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)
