"""Put the chosen kind and licence in their places, and remove the others.

Modules of kinds end in ``py-tpl``: the template lies in a wheel, and who compiles all in that must not stumble over them.
"""

import pathlib
import shutil

kind, licence = pathlib.Path("kinds", "{{ cookiecutter.kind }}"), "{{ cookiecutter.licence }}"
pathlib.Path("tests").mkdir(exist_ok=True)
(kind / "plugin.py-tpl").rename("src/{{ cookiecutter.__module }}/__init__.py")
(kind / "test_plugin.py-tpl").rename("tests/test_plugin.py")
if licence == "none":
    project = pathlib.Path("pyproject.toml")
    lines = project.read_text("utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith("license"))
    project.write_text(kept, "utf-8", newline="\n")
else:
    pathlib.Path("licences", licence).rename("LICENSE")
shutil.rmtree("kinds")
shutil.rmtree("licences")
