"""Finds the tasks and solvers: every file in datasets/ and solvers/ whose name has no underscore in front."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from . import datasets as task_files
from . import solvers as solver_files
from .problem import Solver, Task


def _collect(package: Any, attribute: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in sorted(m.name for m in iter_modules(package.__path__)):
        if not module.startswith("_"):
            for entry in getattr(import_module(f"{package.__name__}.{module}"), attribute):
                if entry.name in found:
                    raise ValueError(f"{attribute}: two are called {entry.name!r}")
                found[entry.name] = entry
    return found


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name."""
    return _collect(task_files, "TASKS")


@cache
def solvers() -> dict[str, Solver]:
    """All solvers by name."""
    return _collect(solver_files, "SOLVERS")
