"""``qqops audit``."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time
from collections import deque
from collections.abc import Iterator

from qqops.cli import exits
from qqops.errors import ConfigError, StoreError
from qqops.runtime._audit_file import NAME, lines_of, verify
from qqops.settings import load_settings

#: Seconds between two looks for new entries.
LOOK = 0.3


def check_audit(config: pathlib.Path) -> int:
    """Say whether every line is there and unchanged; return the exit code."""
    try:
        verdict = verify(_folder(config))
    except StoreError as exc:
        raise ConfigError(str(exc)) from exc
    if verdict.problem:
        print(f"damaged: {verdict.problem} ({verdict.lines} entries before it are good)", file=sys.stderr)
        return exits.FAILED
    older = f"; entries before {verdict.first} are not here any more" if verdict.first > 1 else ""
    print(f"good: {verdict.lines} entries, none missing or changed{older}")
    return exits.OK


def show_audit(config: pathlib.Path, *, last: int, follow: bool, as_json: bool) -> int:
    """Print the last entries, and with *follow* those to come; return the exit code."""
    folder = _folder(config)
    try:
        every = (line for _, _, line in lines_of(folder))
        shown = 0
        for line in deque(every, maxlen=last) if last > 0 else every:
            shown = _print(line, as_json, shown)
        for line in _new(folder, shown) if follow else ():
            shown = _print(line, as_json, shown)
    except OSError as exc:
        raise ConfigError(f"the audit cannot be read: {exc}") from exc
    return exits.OK


def _folder(config: pathlib.Path) -> pathlib.Path:
    settings, _ = load_settings(config, os.environ)
    return config.parent / settings.bot.data


def _new(folder: pathlib.Path, shown: int) -> Iterator[bytes]:
    """Yield whole lines after entry *shown*, for ever; a file that was put aside meanwhile is read to its end."""
    size = -1
    while True:
        newest = folder / NAME
        grown = newest.stat().st_size if newest.exists() else 0
        if grown != size:
            size = grown
            for _, _, line in lines_of(folder):
                number = _number(line)
                if number > shown:
                    shown = number
                    yield line
        time.sleep(LOOK)


def _number(line: bytes) -> int:
    try:
        return int(json.loads(line)["n"])
    except (ValueError, KeyError, TypeError):
        return 0


def _print(line: bytes, as_json: bool, shown: int) -> int:
    """Print one entry and return its number; what is not an entry is named, not hidden."""
    text = line.decode("utf-8", "replace")
    number = _number(line)
    if as_json:
        print(text, flush=True)
    elif not number:
        print(f"? {text}", flush=True)
    else:
        entry = json.loads(line)
        parts = [entry["at"], str(number), entry["what"], entry.get("name", ""), entry.get("room", "")]
        parts += [entry.get("command", ""), entry.get("lock", ""), "(dry)" if entry.get("dry") else ""]
        parts += [str(entry.get(key, "")) for key in ("result", "by_whom", "reason")]
        parts += [f"approved by {', '.join(entry['approvals'])}" if entry.get("approvals") else ""]
        parts += [f"{entry['seconds']:g} s" if "seconds" in entry else ""]
        print("  ".join(part for part in parts if part), flush=True)
    return number or shown
