"""The command line, ``nmfnet``; needs ``pip install 'nmfnet[cli]'``."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = ("typer", "rich", "matplotlib")


def main() -> None:
    """Run the command line, or say what it lacks."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"error: the command line needs {', '.join(missing)}: pip install 'nmfnet[cli]'")
    from nmfnet.cli.app import app

    app(prog_name="nmfnet")
