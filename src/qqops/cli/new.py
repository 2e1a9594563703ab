"""``qqops plugin new``: from nothing to a plugin, as a package or as one file beside the settings."""

from __future__ import annotations

import keyword
import pathlib
import tempfile

from qqops.assemble import PLUGINS
from qqops.cli import exits, template
from qqops.errors import ConfigError

#: What to type into the console to see the plugin at work, by kind.
_TRY = {"command": "/{name} world", "listener": "OPS-42", "service": "/{name} tea"}


def new_package(into: pathlib.Path, name: str, kind: str, author: str, licence: str) -> int:
    """Write the package of a plugin into a folder of its own in *into*; return the exit code.

    Raises:
        ConfigError: The name is none for a plugin, something of that name exists, or *into* cannot be written.
    """
    values = template.context(plugin_name=name, kind=kind, author=author, licence=licence)
    template.check(values)
    project = into / values["__dist"]
    if project.exists():
        raise ConfigError(f"{project} exists already", hint="choose another name, or --into another folder")
    try:
        into.mkdir(parents=True, exist_ok=True)
        # It appears as a whole or not at all, and a rename works within one file system only.
        with tempfile.TemporaryDirectory(prefix=".qqops-new-", dir=into) as aside:
            template.render_package(pathlib.Path(aside), values).rename(project)
    except OSError as exc:
        raise ConfigError(f"cannot write {project}: {exc.strerror}") from exc
    print(f"{project} written. Next / 接下来:")
    print(f"  cd {project}")
    print("  pip install -e '.[test]'")
    print("  pytest")
    _show_how_to_try("qqops console", name, kind)
    return exits.OK


def new_file(into: pathlib.Path | None, name: str, kind: str, author: str) -> int:
    """Write a plugin of one file into *into*, or ``plugins``; return the exit code.

    Raises:
        ConfigError: The name is none for a plugin, something of that name exists, or *into* cannot be written.
    """
    values = template.context(plugin_name=name, kind=kind, author=author)
    template.check(values)
    if keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r}: no file can be imported that is called like a word of Python; try my-{name}"
        )
    into = into or pathlib.Path(PLUGINS)
    file = into / f"{name.replace('-', '_')}.py"
    if taken := next((path for path in (file, file.with_suffix("")) if path.exists()), None):
        raise ConfigError(f"{taken} exists already", hint="choose another name, or --into another folder")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".qqops-new-", dir=into) as aside:
            draft = pathlib.Path(aside, file.name)
            draft.write_bytes(template.render_module(values).encode("utf-8"))
            draft.rename(file)
    except OSError as exc:
        raise ConfigError(f"cannot write {file}: {exc.strerror}") from exc
    print(f"{file} written. Next / 接下来:")
    _show_how_to_try(f"qqops console --plugins {into}", name, kind)
    return exits.OK


def _show_how_to_try(command: str, name: str, kind: str) -> None:
    typed = _TRY.get(kind, "").format(name=name)
    print(f"  {command}" + (f"    # and type / 然后输入: {typed}" if typed else ""))
