"""How fast bots answer on OneBot v11: ``python tests/bench/onebot/run.py [--lab FOLDER] [--rounds N] [--only NAME,…]``.

One process of load, one bot, each on a core of its own where there are two. All targets take turns in every round; the
table shows medians, under it stand ratios and what was reached of the targets T1–T9. Peers run from a lab folder that
``peers.sh`` fills; without one only qqops and the bare loop run. Ends with 0 whatever the figures are.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter

import attrs

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import report  # noqa: E402
from load import Load, Stopped  # noqa: E402
from tally import Result, median  # noqa: E402

TARGETS = HERE / "targets"
#: Seconds within which a bot must listen and answer its first command.
PATIENCE = 30.0


@attrs.frozen
class Target:
    """A bot: how it is started, where it is dialled, and how much is asked of it."""

    name: str
    command: list[str]
    path: str = "/onebot/v11/ws"
    count: int = 20_000
    say: str = "/echo %s"
    env: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class Found:
    """What a target has shown: figures of each round, and faults by phase and kind of all rounds."""

    figures: list[dict[str, float]] = attrs.field(factory=list)
    faults: Counter[str] = attrs.field(factory=Counter)

    def row(self) -> dict[str, float]:
        """Return the medians, and the faults of all rounds together."""
        medians = {key: median([one[key] for one in self.figures]) for key in self.figures[0]}
        return medians | {"faults": self.faults.total()}


def own_targets() -> list[Target]:
    """Return what runs everywhere: qqops in several set-ups, and the loop under it."""

    def qqops(name: str, commands: int, mode: str, count: int = 20_000) -> Target:
        script = [sys.executable, str(TARGETS / "qqops_bot.py"), "PORT", str(commands), mode]
        return Target(name, script, count=count, say="/bench %s")

    return [
        Target("bare loop", [sys.executable, str(TARGETS / "bare.py"), "PORT"]),
        qqops("qqops", 1, "async"),
        qqops("qqops inline", 1, "inline"),
        qqops("qqops 1000 commands", 1000, "async"),
        qqops("qqops journal", 1, "journal", count=5000),
    ]


def peers(lab: pathlib.Path) -> list[Target]:
    """Return the peers that *lab* holds; those it does not hold are named on standard error."""
    found = []

    def add(present: bool, *several: Target) -> None:
        found.extend(several if present else ())
        for one in () if present else several:
            print(f"left out, not in the lab: {one.name}", file=sys.stderr)

    def script(name: str, *more: str) -> list[str]:
        return [str(TARGETS / name), "PORT", *more]

    usual, melobot = str(lab / "v/bin/python"), str(lab / "m/bin/python")
    node, modules = shutil.which("node"), lab / "k/node_modules"
    add(
        os.path.exists(usual),
        Target("NoneBot2", [usual, *script("nonebot_bot.py", "1", "documented")], count=600),
        Target("NoneBot2 best", [usual, *script("nonebot_bot.py", "1", "best")], count=1500),
        Target("aiocqhttp", [usual, *script("aiocqhttp_bot.py")], "/ws/", 4000),
    )
    add(os.path.exists(melobot), Target("melobot", [melobot, *script("melobot_bot.py")], "/", 2000))
    add(
        bool(node) and (modules / "koishi-plugin-adapter-onebot").exists(),
        Target(
            "Koishi", [node or "node", *script("koishi_bot.js")], "/onebot", 1200,
            env={"NODE_PATH": str(modules)},
        ),
    )  # fmt: skip
    return found


def targets(lab: pathlib.Path | None) -> list[Target]:
    """Return what can be run here."""
    return own_targets() + (peers(lab.resolve()) if lab else [])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def pin(core: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


def answering(target: Target, process: subprocess.Popen, port: int) -> tuple[Load, float, Result]:
    """Dial until somebody takes the connection and answers; return it, the moment of the answer and what was found.

    A bot may listen before it is ready and hang up on us: then it is dialled again.
    """
    until = time.perf_counter() + PATIENCE
    while (left := until - time.perf_counter()) > 0:
        if process.poll() is not None:
            raise Stopped(f"has ended with {process.returncode}")
        load = None
        try:
            load = Load(port, target.path, target.say, process.pid)
            return load, *load.first(left)
        except (OSError, Stopped):
            if load is not None:
                load.close()
            time.sleep(0.005)
    raise Stopped("does not answer")


def idle_rss(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


FIRST, SECOND = 0, 0


@contextlib.contextmanager
def running(target: Target, log):
    """Start a bot; yields the connection, seconds from its start to its first answer, and what that first phase found.

    What it writes goes to a folder of its own, so that no journal of an earlier round is read.
    """
    with tempfile.TemporaryDirectory(prefix="qqops-bench-") as home:
        port = free_port()
        command = [str(port) if part == "PORT" else part for part in target.command]
        env = os.environ | {"TMPDIR": home} | target.env
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=str(HERE), env=env, preexec_fn=lambda: pin(FIRST)
        )
        try:
            load, moment, result = answering(target, process, port)
            with contextlib.closing(load):
                yield load, moment - began, result
        finally:
            process.kill()
            process.wait()


def measure(target: Target, share: float, log, found: Found) -> None:
    """Run one target through all phases and add what it shows to *found*."""

    def note(phase: str, result: Result) -> Result:
        found.faults.update({f"{phase}: {kind}": count for kind, count in result.faults.items()})
        return result

    with running(target, log) as (load, start, first):
        note("start", first)
        row = {"start s": start, "RSS MB": idle_rss(load.pid)}
        count = max(int(target.count * share), 100)
        note("warm-up", load.closed(count // 4))
        full = note("commands", load.closed(count))
        row["commands/s"] = full.commands / full.seconds
        row["µs/command"] = full.cpu / max(full.commands, 1) * 1e6
        row["busy %"] = full.cpu / full.seconds * 100
        mixed = note("mixed", load.closed(count, chatter=9))
        row["mixed events/s"] = mixed.events / mixed.seconds
        row["µs/event"] = mixed.cpu / max(mixed.events, 1) * 1e6
        note("burst", load.burst(max(count // 2, 768)))
        alone = note("alone", load.closed(max(count // 10, 50), window=1))
        row["p50 alone ms"] = alone.quantile(0.5)
        for rate in (100, 1000):
            steady = note(f"{rate}/s", load.steady(rate, 4 * min(share * 2, 1)))
            row[f"p99 at {rate}/s ms"] = steady.quantile(0.99)
    found.figures.append(row)


@contextlib.contextmanager
def bytecode_kept():
    """Let all bots keep their bytecode in one folder, whatever the environment says about that.

    Else those that pip has compiled would start against some that are compiled anew each time, which doubles both
    time and memory.
    """
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="qqops-bench-") as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        yield


@contextlib.contextmanager
def failing_aloud(target: Target):
    """Say what goes wrong with a bot, and go on."""
    try:
        yield
    except (Stopped, OSError) as exc:
        print(f"{target.name}: {exc}", file=sys.stderr)


def rounds(chosen: list[Target], number: int, share: float) -> dict[str, Found]:
    """Let all targets take turns; what fails is said and left out of the round."""
    found = {target.name: Found() for target in chosen}
    with open(os.devnull, "w") as log, bytecode_kept():
        for target in chosen:
            with failing_aloud(target), running(target, log):
                pass  # compiles, and brings the files into memory
        for done in range(1, number + 1):
            for target in chosen:
                with failing_aloud(target):
                    measure(target, share, log, found[target.name])
            print(f"round {done} of {number} is done", file=sys.stderr)
    return {name: one for name, one in found.items() if one.figures}


def save_raw(folder: pathlib.Path, found: dict[str, Found]) -> None:
    """Write onebot.json: all that was measured, round by round."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {name: attrs.asdict(one) for name, one in found.items()}
    (folder / "onebot.json").write_text(json.dumps(raw, indent=1) + "\n")


def save(folder: pathlib.Path, rows: report.Rows, text: str) -> None:
    """Write onebot.txt and, where Pillow is installed, onebot.png."""
    (folder / "onebot.txt").write_text(text + "\n")
    try:
        import plot
    except ImportError:
        print("no onebot.png: Pillow is not installed here", file=sys.stderr)
    else:
        plot.draw(rows, folder / "onebot.png")


def main() -> None:
    """Run the command line."""
    global FIRST, SECOND
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=pathlib.Path, help="folder that peers.sh has filled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="part of the usual counts")
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--out", type=pathlib.Path, help="folder for onebot.json, onebot.txt and onebot.png")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    FIRST, SECOND = cores[0], cores[-1]
    pin(SECOND)
    chosen = [t for t in targets(args.lab) if not args.only or t.name in args.only.split(",")]
    found = rounds(chosen, args.rounds, args.share)
    if not found:
        print("nothing was measured")
        return
    if args.out:
        save_raw(args.out, found)  # first, because it took the time
    rows = {name: one.row() for name, one in found.items()}
    text = report.full(rows, {name: one.faults for name, one in found.items()})
    print(text)
    if args.out:
        save(args.out, rows, text)


if __name__ == "__main__":
    main()
