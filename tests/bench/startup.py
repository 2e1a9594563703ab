"""How fast qqops starts and how small it stays: ``python tests/bench/startup.py [ROUNDS] [PYTHON]``.

Prints, with what is promised beside it: seconds until a process has imported qqops, seconds to the first answer of
``qqops console`` and ``qqops demo``, seconds of ``--help`` and ``check``, as ``wall (CPU, user and system)``, the best of all
rounds after one that is not counted (it leaves compiled modules behind); then MB (2**20 bytes) that ``qqops run`` holds (VmRSS)
after idling for 10 s with one account, store, journal and audit: on the network in memory, and on WebQQ, the simulator in
another process. PYTHON is the interpreter of another checkout: both take turns, and the ratio of CPU is printed. Linux only.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

#: Seconds that the bot idles before its memory is read.
IDLE = 10
#: What is said in the console and the demo.
LINE = b"/help\n"
SETTINGS = {
    "idle bot, network in memory": 'schema = 1\n[accounts.idle]\nnetwork = "memory"\n',
    "idle bot, WebQQ": """\
schema = 1
[accounts.idle]
network = "webqq"
profile = "webqq2013"
number = 100200300
password = { env = "QQOPS_DEMO_PASSWORD" }
endpoints = { "*" = "URL" }
""",
}
#: What a user has, and no more: modules are compiled once.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

#: (what, arguments, whether it ends with the first answer, promise in seconds).
STARTS = [
    ("python", ["-c", "pass"], False, None),
    ("import trio", ["-c", "import trio"], False, None),
    ("import qqops", ["-c", "import qqops"], False, 0.2),
    ("from qqops import Plugin, Ctx", ["-c", "from qqops import Plugin, Ctx"], False, 0.2),
    ("console, first answer", ["-m", "qqops", "console", "--script", "-"], True, 0.45),
    ("demo, first answer", ["-m", "qqops", "demo", "--script", "-"], True, None),
    ("--help", ["-m", "qqops", "--help"], False, None),
    ("check", ["-m", "qqops", "check"], False, None),
]


def started(python, arguments, answers, folder):
    """Return (seconds until it has ended or answered, seconds of CPU) of one process."""
    began = time.perf_counter()
    with subprocess.Popen(
        [python, *arguments],
        cwd=folder,
        env=ENVIRON,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.stdin.write(LINE if answers else b"")
        process.stdin.close()
        took = None
        for line in process.stdout:
            if answers and took is None and line.startswith(b"bot"):
                took = time.perf_counter() - began
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or (answers and took is None):
            sys.exit(f"{python} {' '.join(arguments)}: exit code {process.returncode}, no measurement")
        return took or time.perf_counter() - began, used.ru_utime + used.ru_stime


def idle_megabytes(python, settings, folder):
    """Return VmRSS of a bot that has nothing to do."""
    quiet = {
        "cwd": folder,
        "stderr": subprocess.DEVNULL,
        "env": {**ENVIRON, "QQOPS_DEMO_PASSWORD": "sim-pass-1"},
    }
    with subprocess.Popen(
        [python, "-m", "qqops", "simulate", "webqq"], stdout=subprocess.PIPE, text=True, **quiet
    ) as simulator:
        url = simulator.stdout.readline().split()[1]
        (folder / "qqops.toml").write_text(settings.replace("URL", url), "utf-8")
        with subprocess.Popen([python, "-m", "qqops", "run"], stdout=subprocess.DEVNULL, **quiet) as bot:
            time.sleep(IDLE)
            status = pathlib.Path(f"/proc/{bot.pid}/status").read_text("ascii")
            bot.terminate()
        simulator.terminate()
    if not (folder / "qqops-data" / "qqops.db").exists():
        sys.exit(f"{python}: the bot has not made its store, no measurement")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    pythons = [sys.executable, *sys.argv[2:]]
    compared = len(pythons) > 1
    names = ["here", "there"][: len(pythons)]
    print(f"{'':32}{'promise':>9}" + "".join(f"{name:>16}" for name in names) + f"{'ratio':>8}" * compared)
    for what, arguments, answers, promise in STARTS:
        found = {python: [] for python in pythons}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(rounds + 1):
                for python in pythons:
                    took = started(python, arguments, answers, folder)
                    if number:
                        found[python].append(took)
        best = [[min(column) for column in zip(*each, strict=True)] for each in found.values()]
        row = "".join(f"{f'{wall:.2f} ({cpu:.2f}) s':>16}" for wall, cpu in best)
        ratio = f"{best[0][1] / best[1][1]:8.2f}" if compared else ""
        print(f"{what:32}{f'{promise} s' if promise else '':>9}{row}{ratio}")
    for what, settings in SETTINGS.items():
        sizes = []
        for python in pythons:
            with tempfile.TemporaryDirectory() as folder:
                sizes.append(idle_megabytes(python, settings, pathlib.Path(folder)))
        row = "".join(f"{f'{size:.1f} MB':>16}" for size in sizes)
        print(f"{what:32}{'45 MB':>9}{row}" + (f"{sizes[0] / sizes[1]:8.2f}" if compared else ""))


if __name__ == "__main__":
    main()
