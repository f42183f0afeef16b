"""The command line, ``nmfnet``; needs ``pip install 'nmfnet[cli]'``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from nmfnet.cli.streams import lenient, say

NEEDED = ("typer", "rich", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or say what it lacks; errors in the use of it are a line, too."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"error: the command line needs {', '.join(missing)}: pip install 'nmfnet[cli]'")
    with lenient(sys.stdout), lenient(sys.stderr):
        sys.exit(_status(arguments))


def _status(arguments: Sequence[str] | None) -> int:
    """Run the command line and return the exit status."""
    try:
        from nmfnet.cli.app import app

        return app(arguments, prog_name="nmfnet", standalone_mode=False) or 0
    except KeyboardInterrupt:  # while the libraries are being loaded, say
        say("interrupted")
        return 130
    except Exception as error:
        if not hasattr(error, "format_message"):  # that of a wrong option or argument
            raise
        text = " ".join(error.format_message().split())
        if text:  # without a command, the help was shown
            say(f"error: {text} (see nmfnet --help)")
        return 2
