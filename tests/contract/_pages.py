"""The code of a page, as modules."""

import pathlib
import re
import sys
import types

ROOT = pathlib.Path(__file__).parents[2]


def files(language, name="how-to/write-an-adapter.md"):
    """Return the files that stand in a page, by the path in their first line."""
    page = (ROOT / "docs" / language / name).read_text("utf-8")
    found = re.findall(r"^```(?:python|toml)\n(# (\S+)\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return {path: code for code, path in found}


def module(name, path):
    """Return the module *name*, made of the file *path* of the page; the same one each time."""
    if name not in sys.modules:
        made = types.ModuleType(name)
        if path.endswith("__init__.py"):
            made.__path__ = []
        sys.modules[name] = made
        exec(compile(files("en")[path], f"write-an-adapter.md/{path}", "exec"), made.__dict__)
    return sys.modules[name]


package = module("qqops_parley", "qqops_parley/__init__.py")
line = module("qqops_parley.line", "qqops_parley/line.py")
adapter = module("qqops_parley.adapter", "qqops_parley/adapter.py")
tests = module("page_test_parley", "tests/test_parley.py")
