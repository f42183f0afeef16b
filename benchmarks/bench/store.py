"""Stored results: one JSON file a run, so that runs accumulate and only missing or stale ones are made again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


class Store:
    """The runs below a folder, as TASK/SOLVER-SEED.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, task: str, solver: str, seed: int) -> Path:
        """Where a run is stored."""
        return self.folder / task / f"{solver}-{seed}.json"

    def state(self, task: str, solver: str, seed: int, key: dict[str, Any], alone: bool = False) -> str:
        """ "missing"; "stale", made with another `key`; "untimed", where `alone` is asked for; or "stored"."""
        path = self.path(task, solver, seed)
        if not path.exists():
            return "missing"
        run = read(path)
        if run["key"] != plain(key):
            return "stale"
        return "untimed" if alone and not run["conditions"]["alone"] else "stored"

    def add(self, task: str, solver: str, seed: int, run: dict[str, Any]) -> None:
        """Store a run, over an older one of the same name."""
        write(self.path(task, solver, seed), {"task": task, "solver": solver, "seed": seed, **run})

    def runs(self) -> Iterator[dict[str, Any]]:
        """All runs, in order of their names."""
        for path in sorted(self.folder.glob("*/*.json")):
            yield read(path)


def plain(value: Any) -> Any:
    """The value as it comes back from a file: lists for tuples, text for keys."""
    return json.loads(json.dumps(value))


def read(path: Path) -> Any:
    """Return what a file holds."""
    return json.loads(path.read_text())


def write(path: Path, value: Any) -> None:
    """Write a file at once or not at all, so that an interrupted benchmark leaves no broken one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, allow_nan=False)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text + "\n")
    temporary.replace(path)
