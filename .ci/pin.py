"""Write the exact versions of the development set into pyproject.toml, without naming a registry.

``uv.lock`` names registry hosts and is not committed; these constraints do the same job. Run it after changing a
dependency: ``python .ci/pin.py``.
"""

import pathlib
import re
import subprocess

COMMAND = (
    "uv export --no-hashes --no-header --no-annotate --all-groups --all-packages --no-emit-workspace --quiet"
)

path = pathlib.Path(__file__).parents[1] / "pyproject.toml"
text = path.read_text("utf-8")
block = re.compile(r"\n+\[tool\.uv\]\nconstraint-dependencies = \[\n.*?\n\]\n+", re.DOTALL)
path.write_text(block.sub("\n\n", text), "utf-8")
lines = subprocess.run(
    COMMAND.split(), cwd=path.parent, check=True, capture_output=True, text=True
).stdout.splitlines()
pins = [line.strip() for line in lines if re.match(r"[a-z0-9]", line)]
rows = "".join(f'    "{pin}",\n' for pin in pins)  # markers are quoted with single quotes
text = path.read_text("utf-8")
marker = "\n[tool.uv.workspace]\n"
path.write_text(
    text.replace(marker, f"\n[tool.uv]\nconstraint-dependencies = [\n{rows}]\n{marker}", 1), "utf-8"
)
print(f"{len(pins)} pins written")
