"""Refuse what cannot be a plugin, in one line, before anything is written."""

import re
import sys

#: Longest name: folders, archives and module names are made of it.
LONGEST = 40
#: Plugins and packages that belong to qqops itself.
TAKEN = ("core", "essentials", "qqofficial")
#: What Windows does not take for the name of a file.
DEVICES = r"con|prn|aux|nul|(com|lpt)\d"

name = {{ cookiecutter.plugin_name | tojson }}
texts = {"description": {{ cookiecutter.description | tojson }}, "author": {{ cookiecutter.author | tojson }}}

if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
    near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
    hint = f"; try {near}" if near and not near.startswith("qqops") else "; try daily-luck"
    sys.exit(f"plugin_name {name!r}: lower-case letters, digits and single dashes only, a letter first{hint}")
if name.startswith("qqops"):
    rest = name.removeprefix("qqops").strip("-") or "daily-luck"
    sys.exit(f"plugin_name {name!r}: leave the qqops out, it is put before the name anyway; try {rest}")
if len(name) > LONGEST:
    sys.exit(f"plugin_name {name!r}: {len(name)} letters are too many, {LONGEST} are enough")
if name in TAKEN or re.fullmatch(DEVICES, name):
    whose = "qqops" if name in TAKEN else "Windows"
    sys.exit(f"plugin_name {name!r}: this name belongs to {whose}; try my-{name}")
for key, text in texts.items():
    if not text.isprintable() or not text.strip() or re.search(r'["\\]', text):
        sys.exit(f"{key} {text!r}: one line, without double quotes and backslashes")
