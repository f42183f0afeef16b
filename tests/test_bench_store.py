"""Stored results of benchmarks: one way in which they are kept, and nothing that gets lost."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.store import REPORTS, RESULTS, Store

RECORD = {"seed": 0, "solver": "b", "errors": [0.1 + 0.2, 1e-17, 3], "settings": {"rate": None, "é": True}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs", "solver", "seed")


def in_a_process(code, *arguments):
    command = [sys.executable, "-c", f"import sys, os; from pathlib import Path\n{code}", *map(str, arguments)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(RESULTS.parents[1])})


def test_records_come_back_as_they_were(store):
    assert store.records() == store.records("mnist") == [] and store.find("mnist", "b", 0) is None
    store.add("mnist", RECORD)
    store.add("digits", {**RECORD, "hidden": (2, 3)})
    found = store.find("mnist", "b", 0)
    assert found == RECORD and list(found) == list(RECORD) and type(found["errors"][2]) is int
    assert store.find("mnist", "b", 1) is None and store.find("else", "b", 0) is None
    assert store.records() == [{**RECORD, "hidden": [2, 3]}, RECORD]  # in order of the tasks
    assert sorted(path.name for path in store.folder.glob("*")) == [".lock", "digits.jsonl", "mnist.jsonl"]


def test_files_do_not_depend_on_the_order_of_adding(store, tmp_path):
    records = [{**RECORD, "solver": solver, "seed": seed} for solver in ("a", "b", "b@x") for seed in (0, 2, 10)]
    other = Store(tmp_path / "other", "solver", "seed")
    for record in records:
        store.add("mnist", record)
    for record in reversed(records):
        other.add("mnist", record)
    assert store.records() == other.records() == records
    assert store.path("mnist").read_bytes() == other.path("mnist").read_bytes()
    assert store.path("mnist").read_text().splitlines() == [json.dumps(record) for record in records]


def test_a_record_of_the_same_name_is_replaced_and_no_other_line_moves(store):
    for seed in range(3):
        store.add("mnist", {**RECORD, "seed": seed})
    before = store.path("mnist").read_text().splitlines()
    store.add("mnist", {"seed": 1, "solver": "b", "errors": []})
    after = store.path("mnist").read_text().splitlines()
    assert len(after) == 3 and after[::2] == before[::2]
    assert store.find("mnist", "b", 1) == {"seed": 1, "solver": "b", "errors": []}


def test_what_is_no_json_is_refused_before_anything_is_written(store):
    for value in (math.nan, math.inf, object()):
        with pytest.raises((ValueError, TypeError)):
            store.add("mnist", {**RECORD, "error": value})
    with pytest.raises(KeyError, match="seed"):
        store.add("mnist", {"solver": "b"})
    assert store.records() == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupted_write_leaves_what_was_there(store, monkeypatch, step):
    store.add("mnist", RECORD)
    before = store.path("mnist").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.add("mnist", {**RECORD, "seed": 1})
    assert store.path("mnist").read_bytes() == before
    assert sorted(path.name for path in store.folder.glob("*")) == [".lock", "mnist.jsonl"]
    store.add("mnist", {**RECORD, "seed": 1})
    assert len(store.records()) == 2


def test_a_killed_writer_stands_in_nobodys_way(store):
    store.add("mnist", RECORD)
    code = """
from benchmarks.store import Store
os.fsync = lambda _: os._exit(9)
Store(Path(sys.argv[1]), "solver", "seed").add("mnist", {"solver": "b", "seed": 1})
"""
    assert in_a_process(code, store.folder).wait() == 9
    assert store.records() == [RECORD]
    store.add("mnist", {**RECORD, "seed": 2})
    assert [record["seed"] for record in store.records()] == [0, 2]


def test_two_writers_lose_nothing(store, tmp_path):
    """Both add to the same files, each from a process of its own, from the same moment on."""
    code = """
from benchmarks.store import Store
store, own = Store(Path(sys.argv[1]), "solver", "seed"), sys.argv[2]
Path(sys.argv[3], own).touch()
while len(os.listdir(sys.argv[3])) < 2:
    pass
for seed in range(20):
    store.add("mnist", {"solver": own, "seed": seed, "errors": [0.5] * 50})
    store.add("mnist", {"solver": "shared", "seed": seed % 3, "by": own})
"""
    ready = tmp_path / "ready"
    ready.mkdir()
    writers = [in_a_process(code, store.folder, name, ready) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    names = [(record["solver"], record["seed"]) for record in store.records()]
    assert names == [*((own, seed) for own in "ab" for seed in range(20)), *(("shared", seed) for seed in range(3))]


def test_a_broken_line_is_named(store):
    store.add("mnist", RECORD)
    store.path("mnist").write_text(store.path("mnist").read_text() + "<<<<<<< ours\n")
    with pytest.raises(ValueError, match=r"mnist\.jsonl, line 2, is no JSON"):
        store.records()


def test_results_lie_with_the_benchmarks_and_reports_with_the_documentation():
    lines = [line for path in RESULTS.rglob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 900
    assert [line[:80] for line in lines if json.dumps(json.loads(line)) != line] == []
    assert [path for path in REPORTS.rglob("*") if path.is_file() and path.suffix not in (".md", ".png")] == []
