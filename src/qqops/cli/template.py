"""The template of a plugin, rendered: ``cookiecutter-plugin`` of the repository, which lies in the wheel as well.

Understood is what that template uses: ``{{ cookiecutter.NAME }}``, with the filters ``replace`` and ``tojson``. Its hooks run
as cookiecutter runs them, so both make the same of it.
"""

from __future__ import annotations

import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from qqops.errors import ConfigError

#: A place to be filled, and a filter behind it.
_HOLE = re.compile(
    r"\{\{ ?cookiecutter\.(?P<name>\w+)(?: \| (?P<filter>\w+)(?:\('(?P<old>.*?)', '(?P<new>.*?)'\))?)? ?\}\}"
)
#: Seconds that a hook may take; it moves some files.
_PATIENCE = 60.0


def folder() -> pathlib.Path:
    """Return where the template lies: in the package, or in the repository from which that is run."""
    package = pathlib.Path(__file__).parents[1]
    inside = package / "_template"
    return inside if inside.is_dir() else package.parents[1] / "cookiecutter-plugin"


def context(**answers: str) -> dict[str, str]:
    """Return what fills the template: its own answers, *answers* in their place, and what is made of them."""
    asked: dict[str, str | list[str]] = json.loads((folder() / "cookiecutter.json").read_text("utf-8"))
    filled = {
        name: answers.get(name, value if isinstance(value, str) else value[0])
        for name, value in asked.items()
        if not name.startswith("_")
    }
    for name, value in asked.items():
        if name.startswith("__"):
            filled[name] = render(str(value), filled)
    return filled


def render(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with its places filled. Raises `KeyError` for one that is not known."""

    def fill(hole: re.Match[str]) -> str:
        value = values[hole["name"]]
        match hole["filter"]:
            case None:
                return value
            case "replace":
                return value.replace(hole["old"], hole["new"])
            case "tojson":
                return json.dumps(value)
            case unknown:
                raise KeyError(unknown)

    return _HOLE.sub(fill, text)


def check(values: Mapping[str, str]) -> None:
    """Raises `ConfigError` when nothing good can be made of *values*."""
    with tempfile.TemporaryDirectory(prefix="qqops-") as empty:
        _hook("pre_gen_project", pathlib.Path(empty), values)


def render_package(into: pathlib.Path, values: Mapping[str, str]) -> pathlib.Path:
    """Write the package into *into*, and return its folder. *values* have been looked at by `check`."""
    asked = json.loads((folder() / "cookiecutter.json").read_text("utf-8"))
    (top,) = (path for path in folder().iterdir() if path.name.startswith("{{"))
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        target = into / render(f"{top.name}/{name}", values)
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes().decode("utf-8")
        as_it_is = any(fnmatch.fnmatch(name, pattern) for pattern in asked["_copy_without_render"])
        target.write_bytes((text if as_it_is else render(text, values)).encode("utf-8"))
    project = into / render(top.name, values)
    _hook("post_gen_project", project, values)
    return project


def render_module(values: Mapping[str, str]) -> str:
    """Return the module of the kind in *values*, for a plugin of one file."""
    (top,) = (path for path in folder().iterdir() if path.name.startswith("{{"))
    return render((top / "kinds" / values["kind"] / "plugin.py-tpl").read_text("utf-8"), values)


def _hook(name: str, where: pathlib.Path, values: Mapping[str, str]) -> None:
    """Run a hook in *where*. Raises `ConfigError` with what it refuses."""
    code = render((folder() / "hooks" / f"{name}.py").read_text("utf-8"), values)
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", code],
        cwd=where,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise ConfigError(done.stderr.strip().removeprefix("plugin_name "))
