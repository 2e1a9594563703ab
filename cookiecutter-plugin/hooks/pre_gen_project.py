"""Refuse names that cannot be a plugin, before anything is written."""

import re
import sys

name = "{{ cookiecutter.plugin_name }}"
if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
    sys.exit(f"plugin_name {name!r}: lower-case letters, digits and single dashes only, e.g. daily-luck")
if name.startswith("qqops"):
    sys.exit(f"plugin_name {name!r}: leave the qqops out, it is put before the name anyway")
