"""Stored results of all benchmarks: a file a task, a line a record, so that runs accumulate and none is made twice.

The files are JSON Lines (``pandas.read_json(path, lines=True)`` reads one).  Records stand in order of their names, so
that a new run is a new line in a difference.  Several processes may write at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock  # comes with PyTorch

RESULTS = Path(__file__).resolve().parent / "results"
REPORTS = RESULTS.parents[1] / "docs" / "results"  # tables and figures made of the results

Record = dict[str, Any]
Name = tuple[Any, ...]


class Store:
    """The records below a folder, as TASK.jsonl; the values of `fields` are a record's name within its task."""

    def __init__(self, folder: Path, *fields: str) -> None:
        self.folder, self.fields = folder, fields

    def path(self, task: str) -> Path:
        """File of a task."""
        return self.folder / f"{task}.jsonl"

    def records(self, task: str | None = None) -> list[Record]:
        """Records of a task, or of all: in order of the tasks, then of the names."""
        paths = sorted(self.folder.glob("*.jsonl")) if task is None else [self.path(task)]
        return [record for path in paths for record in self._read(path).values()]

    def find(self, task: str, *name: Any) -> Record | None:
        """Return the record of this name, or None where there is none."""
        return self._read(self.path(task)).get(name)

    def add(self, task: str, record: Record) -> None:
        """Store a record, over an older one of the same name."""
        record = plain(record)
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):  # from reading to writing: what others add meanwhile is kept
            records = {**self._read(self.path(task)), self._name(record): record}
            _write(self.path(task), (records[name] for name in sorted(records)))

    def _name(self, record: Record) -> Name:
        return tuple(record[field] for field in self.fields)

    def _read(self, path: Path) -> dict[Name, Record]:
        records = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}, is no JSON: {error}.") from error
            records[self._name(record)] = record
        return records


def plain(value: Any) -> Any:
    """The value as it comes back from a file: lists for tuples, text for keys."""
    return json.loads(json.dumps(value, allow_nan=False))


def _write(path: Path, records: Iterable[Record]) -> None:
    """Write a file at once or not at all, so that an interrupted benchmark leaves no broken one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
