"""``qqops run --dev``: plugins whose files have changed are reloaded, and new ones beside the settings are loaded.

The files are looked through in a thread, one package at a time: there may be thousands, on a disk that is far away.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
from collections.abc import Iterator, Mapping

import structlog
import trio

from qqops.errors import ConfigError, Refuse
from qqops.plugin._beside import find
from qqops.plugin._modules import package_of
from qqops.plugin.plugins import Plugins
from qqops.runtime.threads import InThread, in_thread

log = structlog.get_logger("qqops.dev")

#: Seconds between two looks at the files, and for which they must rest: an editor writes several.
LOOK_EVERY = 0.5
#: Between two looks it rests this much longer than a look takes: a large package must not keep the machine busy.
REST = 9

#: Path → when it was changed last, in ns, and its size.
Stamps = dict[str, tuple[int, int]]


async def watch(plugins: Plugins, threads: InThread = in_thread) -> None:
    """Reload what has changed on disk, and load what is new beside the settings, until cancelled.

    Args:
        threads: Runs what looks at the disk.

    Cancellation: a look that is under way ends by itself, and changes nothing.
    """
    limiter = trio.CapacityLimiter(1)

    async def look(package: str) -> Stamps:
        call = functools.partial(_look, package)
        found: Stamps = await threads(call, limiter=limiter, abandon_on_cancel=True)
        return found

    seen = {name: await look(package) for name, package in _packages(plugins).items()}
    log.info("watching the files of plugins", plugins=sorted(seen))
    took = 0.0
    while True:
        await trio.sleep(max(LOOK_EVERY, took * REST))
        took = 0.0
        if (folder := plugins.host.folder) is not None:
            began = trio.current_time()
            there = await threads(functools.partial(_beside, folder), limiter=limiter, abandon_on_cancel=True)
            took += trio.current_time() - began
            for name in [one for one in there if one not in plugins.host.reports]:
                log.info("a new plugin", plugin=name)
                await _renew(plugins, name)
        for name, package in _packages(plugins).items():
            began = trio.current_time()
            now = await look(package)
            took += trio.current_time() - began
            before = seen.setdefault(name, now)
            if now == before:
                continue
            await trio.sleep(LOOK_EVERY)
            if await look(package) != now:
                continue  # it is being written
            seen[name] = now
            changed = sorted(path for path in {*now, *before} if now.get(path) != before.get(path))
            log.info("changed on disk", plugin=name, files=[os.path.basename(path) for path in changed])
            await _renew(plugins, name)


async def _renew(plugins: Plugins, name: str) -> None:
    try:
        await (plugins.reload(name) if plugins.host.is_loaded(name) else plugins.load(name))
    except Refuse as exc:
        log.warning("not reloaded", plugin=name, reason=exc.text)


def _beside(folder: pathlib.Path) -> list[str]:
    """Return the names of the plugins in *folder*; none while it cannot be read."""
    try:
        return [one.name for one in find(folder)]
    except ConfigError:
        return []


def _packages(plugins: Plugins) -> Mapping[str, str]:
    """Return the package of each plugin that is not the bot's own, by the plugin's name."""
    found = {report.name: package_of(report.entry) for report in plugins.all()}
    own = __package__.partition(".")[0]
    return {name: package for name, package in found.items() if package not in ("", own)}


def _look(package: str) -> Stamps:
    return stamps(files_of(package))


def files_of(package: str) -> Iterator[str]:
    """Yield the source files of *package*, which need not be imported: a broken one is not."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, KeyError):  # half imported, taken out just now, or there is none
        return
    if spec is None:
        return
    for top in spec.submodule_search_locations or ():
        for folder, folders, files in os.walk(top):  # it passes over folders that vanish under it
            folders[:] = [one for one in folders if one != "__pycache__" and not one.startswith(".")]
            yield from (os.path.join(folder, name) for name in files if name.endswith(".py"))
    if spec.origin is not None and not spec.submodule_search_locations:
        yield spec.origin


def stamps(files: Iterator[str]) -> Stamps:
    """Return what tells whether one of *files* has changed."""
    found: Stamps = {}
    for path in files:
        try:
            about = os.stat(path)
        except OSError:
            continue
        found[path] = about.st_mtime_ns, about.st_size
    return found
