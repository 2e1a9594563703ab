"""Remove what the chosen licence does not need."""

import pathlib

if "{{ cookiecutter.licence }}" != "MIT":
    pathlib.Path("LICENSE").unlink()
