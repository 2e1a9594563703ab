"""Starts Python programs quickly: imports what they need once, then forks one for each request; see `conftest.Forks`.

A request is a line of JSON (``program``: ``qqops`` or a path, ``arguments``, ``cwd``, ``env``) with four open files: the
three of the program, and one to which its exit code is written (negative for a signal), after its number.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys

#: What the programs load on their way; nothing of it starts a thread or opens a file that stays open.
LOADED = (
    "qqops.cli.main", "qqops.cli.run", "qqops.cli.demo", "qqops.cli.simulate", "qqops.cli.plugins", "qqops.cli.config",
    "qqops.adapters.webqq.adapter", "qqops.adapters.onebot11.adapter", "qqops.runtime.storage.store", "qqops.runtime.storage.kv", "qqops.runtime.storage.backup",
    "alembic.command", "segno", "qqops_essentials",
)  # fmt: skip


def serve(requests):
    """Fork one program for each request until nobody asks any more; in a program, return what was asked for."""
    told = {}
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([requests, waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    tell(told[ended[0]], os.waitstatus_to_exitcode(ended[1]))
                    os.close(told.pop(ended[0]))
        if requests in ready:
            data, files, _, _ = socket.recv_fds(requests, 1 << 16, 4)
            if not data:
                return None
            while not data.endswith(b"\n"):
                data += requests.recv(1 << 16)
            pid = os.fork()
            if pid:
                told[pid] = files[3]
                tell(files[3], pid)
                for file in files[:3]:
                    os.close(file)
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            for file in (*files, *told.values(), waking, woken):
                os.close(file)
            requests.close()
            return json.loads(data)


def tell(file, number):
    """Write *number*; nobody need listen any more."""
    with contextlib.suppress(BrokenPipeError):
        os.write(file, f"{number}\n".encode())


def become(asked):
    """Go on as the program that was asked for."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.path[1:1] = [entry for entry in asked["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.argv = [asked["program"], *asked["arguments"]]
    if asked["program"] == "qqops":
        runpy.run_module("qqops", run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(asked["program"], run_name="__main__")


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()
    if (program := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        become(program)
