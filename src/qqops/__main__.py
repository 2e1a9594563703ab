"""``python -m qqops`` and the command ``qqops``."""

from __future__ import annotations

import sys
import traceback


def main() -> None:
    """Run the command line and exit with its code; a bug shows its traceback and exits with 70."""
    from qqops.cli import exits
    from qqops.cli.main import main as run

    try:
        code = run()
    except Exception:  # noqa: BLE001 - the outermost border: say that it is a bug, and say where
        traceback.print_exc()
        print("qqops: this is a bug in qqops; please report it with the lines above", file=sys.stderr)
        code = exits.BUG
    sys.exit(code)


if __name__ == "__main__":
    main()
