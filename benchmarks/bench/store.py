"""What the comparison of solvers keeps in a folder of results: its runs, and a log of each tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..store import Store, plain


class Runs(Store):
    """The runs of a folder of results, by task, solver and seed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "runs", "solver", "seed")

    def state(self, task: str, solver: str, seed: int, key: dict[str, Any], alone: bool = False) -> str:
        """ "missing"; "stale", made with another `key`; "untimed", where `alone` is asked for; or "stored"."""
        run = self.find(task, solver, seed)
        if run is None:
            return "missing"
        if run["key"] != plain(key):
            return "stale"
        return "untimed" if alone and not run["conditions"]["alone"] else "stored"


class Logs(Store):
    """The logs of tuning of a folder of results, by task and solver; unfinished ones included."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "tuning", "solver")
