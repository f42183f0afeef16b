"""Errors and warnings of the commands, as lines on stderr."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec

import typer

from nmfnet.cli.streams import say
from nmfnet.errors import NMFNetError

P = ParamSpec("P")
INTERRUPTED = 130  # exit status, as of a shell


def reporting(command: Callable[P, int]) -> Callable[P, None]:
    """Make errors and warnings of a command lines on stderr, and what it returns the exit status."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            # The columns of tables are put in order by us, and arrays have no names.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            try:
                status = command(*args, **kwargs)
            except KeyboardInterrupt as interrupt:
                say(str(interrupt) or "interrupted")
                status = INTERRUPTED
            except BrokenPipeError:  # as of `nmfnet predict ... | head`
                raise
            except Exception as error:
                if kwargs["debug"]:
                    raise
                say(f"error: {in_a_line(error)}")
                status = 1
        raise typer.Exit(status)

    return wrapped


def show_warning(message: Warning | str, category: type[Warning], *rest: Any, **others: Any) -> None:
    """Show a warning as a line, without the place in the code; of several ranks, which read the same, the first."""
    from nmfnet.distributed import now  # imports PyTorch, which a warning of what is read has done before

    if now().rank == 0:
        say(f"warning: {' '.join(str(message).split())}")


def in_a_line(error: Exception) -> str:
    """Return what went wrong in a line; errors that are not of our making keep their type."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, (NMFNetError, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"
