"""``qqops run --dev``: plugins whose files have changed are reloaded."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping

import structlog
import trio

from qqops.errors import Refuse
from qqops.plugin._modules import package_of
from qqops.plugin.plugins import Plugins

log = structlog.get_logger("qqops.dev")

#: Seconds between two looks at the files, and for which they must rest: an editor writes several.
LOOK_EVERY = 0.5

#: Path → when it was changed last, in ns, and its size.
Stamps = dict[str, tuple[int, int]]


async def watch(plugins: Plugins) -> None:
    """Reload what has changed on disk, until cancelled."""
    seen = {name: stamps(files_of(target)) for name, target in _packages(plugins).items()}
    log.info("watching the files of plugins", plugins=sorted(seen))
    while True:
        await trio.sleep(LOOK_EVERY)
        for name, target in _packages(plugins).items():
            now = stamps(files_of(target))
            before = seen.setdefault(name, now)
            if now == before:
                continue
            await trio.sleep(LOOK_EVERY)
            if stamps(files_of(target)) != now:
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


def _packages(plugins: Plugins) -> Mapping[str, str]:
    """Return the top-level package of each plugin that is not the bot's own, by the plugin's name."""
    found = {report.name: package_of(report.entry) for report in plugins.all()}
    own = __package__.partition(".")[0]
    return {name: package for name, package in found.items() if package not in ("", own)}


def files_of(package: str) -> Iterator[str]:
    """Yield the source files of *package*, which need not be imported: a broken one is not."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # it is half imported, or there is none
        return
    if spec is None:
        return
    for top in spec.submodule_search_locations or ():
        for folder, _, files in os.walk(top):  # it passes over folders that vanish under it
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
