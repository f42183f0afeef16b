"""The benchmark package: scoring, storing, tuning, and every cheap solver from end to end."""

import json
import math
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.bench import __main__ as command
from benchmarks.bench import execute, registry, report, running, tune
from benchmarks.bench.datasets import _mnist1d
from benchmarks.bench.objective import Objective, score
from benchmarks.bench.problem import Data, Part, Problem, Solver, Task
from benchmarks.bench.solvers import _images, _torch
from benchmarks.bench.store import Logs, Runs
from benchmarks.store import REPORTS

from nmfnet import NMFNetClassifier
from nmfnet.layers import Conv1d, Conv2d, MaxPool1d, MaxPool2d

TOY_SIZES = (120, 40, 40)


def toy(classification=True, outputs=3):
    rng = np.random.default_rng(0)
    parts = []
    for n in TOY_SIZES:
        y = rng.integers(outputs, size=n)
        X = (rng.random((n, 6)) + np.eye(6)[y]).astype(np.float32)
        parts.append(Part(X, y if classification else X[:, :1]))
    return Data(*parts, n_outputs=outputs if classification else 1)


CLASSES = Task("toy", toy, (16, 8), 5, tags=("tables",), rungs=((4, 0.4), (2, 1.0)))
TARGETS = Task("toy-targets", partial(toy, classification=False), (16, 8), 5, "RMSE", tags=("tables",))
CODE = Task("toy-code", partial(toy, classification=False), (8, 2, 8), 4, "squared error", linear=(1,))
CURVES = Task("toy-curves", toy, (Conv1d(6, 3, padding=1), MaxPool1d(2), 8), 5, input_shape=(1, 6))
IMAGES = Task("toy-images", toy, (Conv2d(6, (1, 3)), MaxPool2d((2, 1)), 8), 5, input_shape=(1, 2, 3))
NO_SEARCH = Solver("plain", lambda *_: None, {}, {}, lambda task: "1")


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(registry, "tasks", lambda: {task.name: task for task in (CLASSES, TARGETS, CODE)})


# Scoring


def test_score_of_classes():
    outputs = np.array([[0.7, 0.3], [0.6, 0.4], [0.0, 1.0], [1.0, 0.0]], np.float32)
    found = score(outputs, np.array([0, 1, 1, 1]), "error %")
    assert found["error"] == 50
    assert found["loss"] == pytest.approx(-(math.log(0.7) + math.log(0.4) + 0 + math.log(1e-7)) / 4, rel=1e-6)


def test_score_of_targets():
    outputs, y = np.array([1.0, 2.0]), np.array([[1.0], [4.0]], np.float32)
    assert score(outputs, y, "RMSE") == {"error": pytest.approx(math.sqrt(2)), "loss": 2}
    assert score(np.zeros((2, 3)), np.ones((2, 3), np.float32), "squared error") == {"error": 3, "loss": 1}


def test_the_clock_stands_still_while_scoring():
    objective = Objective(np.zeros((1, 1)), np.zeros(1, int), "error %")

    def slow(X):
        time.sleep(0.2)
        return np.ones((1, 1))

    objective.start()
    assert objective.record(1, slow)
    objective.stop()
    assert objective.seconds < 0.2
    assert objective.records[0]["seconds"] <= objective.seconds


def test_a_second_record_replaces_that_of_the_same_epoch():
    objective = Objective(np.zeros((1, 1)), np.array([1]), "error %")
    for outputs in ([[1, 0]], [[0, 1]]):
        objective.record(1, lambda X, outputs=outputs: np.array(outputs))
    assert [(r["epoch"], r["error"]) for r in objective.records] == [(1, 0)]


def test_predictions_that_are_not_finite_end_a_run():
    objective = Objective(np.zeros((1, 1)), np.zeros(1, int), "error %")
    assert not objective.record(1, lambda X: np.array([[np.nan]]))
    assert objective.status == "diverged" and objective.records == []


# Storing


def test_store_knows_missing_stale_and_untimed_runs(tmp_path):
    store, key = Runs(tmp_path), {"epochs": 3, "hidden": (2, 3)}
    assert store.state("task", "solver", 0, key) == "missing"
    store.add("task", {"solver": "solver", "seed": 0, "key": key, "conditions": {"alone": False}})
    assert store.state("task", "solver", 0, key) == "stored"
    assert store.state("task", "solver", 0, key, alone=True) == "untimed"
    assert store.state("task", "solver", 0, {**key, "epochs": 4}) == "stale"
    assert store.state("task", "solver", 1, key) == "missing"


# Tuning


def trial(error, status="done"):
    return {"status": status, "seconds": 1.0, "epochs": [{"epoch": 1, "error": error, "loss": 0.0}]}


def new_log(n=6, rungs=((6, 0.25), (3, 0.5), (2, 1.0))):
    configurations = [{"rate": i} for i in range(n)]
    return {"configurations": configurations, "rungs": rungs, "key": {"epochs": 8}, "trials": [], "best": None}


def test_halving_keeps_the_best():
    log, asked = new_log(), []

    def run(settings, epochs):
        asked.append((settings["rate"], epochs))
        return trial(abs(settings["rate"] - 4.2), "diverged" if settings["rate"] == 4 else "done")

    tune.halving(log, run, lambda: None)
    assert log["best"] == {"rate": 5}
    assert asked == [*((i, 2) for i in range(6)), (5, 4), (3, 4), (2, 4), (5, 8), (3, 8)]


def test_an_interrupted_halving_goes_on():
    made, whole, stopped = [], new_log(), new_log()

    def run(settings, epochs, most=99):
        if len(made) == most:
            raise KeyboardInterrupt
        made.append((settings["rate"], epochs))
        return trial(settings["rate"])

    tune.halving(whole, run, lambda: None)
    expected, made[:] = list(made), []
    with pytest.raises(KeyboardInterrupt):
        tune.halving(stopped, partial(run, most=7), lambda: None)
    tune.halving(stopped, run, lambda: None)
    assert made == expected and stopped == whole


def test_a_killed_tuning_goes_on_from_what_is_stored(tmp_path, monkeypatch):
    solver, made = registry.solvers()["sgd"], []

    def execute(task, solver, settings, *_, most=6):
        if len(made) == most:
            raise KeyboardInterrupt
        made.append(settings)
        return trial(settings["rate"])

    monkeypatch.setattr(tune, "execute", partial(execute, most=3))
    with pytest.raises(KeyboardInterrupt):
        tune.tune(Logs(tmp_path), CLASSES, solver, "float32")
    assert [t["settings"] for t in Logs(tmp_path).find("toy", "sgd")["trials"]] == made and len(made) == 3
    assert tune.best(Logs(tmp_path), CLASSES, solver) is None
    monkeypatch.setattr(tune, "execute", execute)
    log = tune.tune(Logs(tmp_path), CLASSES, solver, "float32")
    assert log == Logs(tmp_path).find("toy", "sgd") and len(made) == 6
    assert tune.best(Logs(tmp_path), CLASSES, solver) == log["best"]
    monkeypatch.setattr(tune, "execute", None)  # all trials are stored
    assert tune.tune(Logs(tmp_path), CLASSES, solver, "float32") == log
    with pytest.raises(SystemExit, match=r"sgd in .*toy\.jsonl was tuned with other key: remove its line"):
        tune.tune(Logs(tmp_path), CLASSES, solver, "bfloat16")


def test_configurations_are_the_same_for_every_number():
    solver = registry.solvers()["adamw"]
    many = tune.configurations(solver, 32)
    assert tune.configurations(solver, 8) == many[:8]
    assert many[0] == dict(solver.settings)
    assert len({json.dumps(settings, sort_keys=True) for settings in many}) == 32


def test_common_is_the_best_mean_rank(tmp_path):
    solver, logs = registry.solvers()["sgd"], Logs(tmp_path)
    configurations = tune.configurations(solver, 3)
    for task, errors in (("a", (1.0, 2.0, 3.0)), ("b", (90.0, 40.0, 50.0)), ("c", (8.0, 7.0, 9.0))):
        trials = [{"rung": 0, "settings": s, **trial(e)} for s, e in zip(configurations, errors, strict=True)]
        log = {"task": task, "solver": "sgd", "configurations": configurations, "trials": trials}
        logs.add(task, log)
    chosen, mean_rank, tasks = tune.common(logs, solver)
    assert chosen == configurations[1] and mean_rank == pytest.approx(4 / 3) and tasks == ["a", "b", "c"]


def test_tuning_looks_at_no_test_row():
    data = toy()
    train, scored = data.for_tuning()
    assert train is data.train and scored is data.validation
    train, scored = data.for_results()
    assert len(train.X) == TOY_SIZES[0] + TOY_SIZES[1] and scored is data.test


# The torch solvers' parts


def test_keep_mask_has_its_share_and_mean(generator):
    mask = _torch.keep_mask((400, 1001), 0.3, generator)
    assert mask.shape == (400, 1001) and mask.unique().numel() == 2
    assert float((mask == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(mask.mean()) == pytest.approx(1, abs=0.01)
    by_byte = mask.flatten()[: 400 * 1000].view(-1, 8).mean(0)
    assert bool((by_byte - 1).abs().max() < 0.02)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_schedules_climb_to_the_peak_and_fall_to_nothing(schedule):
    factors = [_torch.rate_factor(schedule, i / 1000) for i in range(1000)]
    top = factors.index(max(factors))
    assert factors[0] == pytest.approx(1 / 25) and factors[top] == pytest.approx(1) and factors[-1] < 1e-4
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


# All together


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch 2.9 has Muon, a baseline")
@pytest.mark.parametrize("task", [CLASSES, TARGETS, CODE, CURVES], ids=lambda task: task.name)
def test_every_solver_learns_a_toy(task):
    data = task.load()
    average = data.for_results()[0].y.mean(0) if not task.classification else None
    guess = 60.0 if average is None else score(np.full_like(data.test.y, average), data.test.y, task.metric)["error"]
    epochs = 100 if task is TARGETS else 40
    for solver in registry.solvers().values():
        if solver.supports(task) and not (task.linear and solver.name == "pinv"):
            run = execute.execute(task, solver, dict(solver.settings), 0, data.for_results(), data.n_outputs, epochs)
            assert run["status"] == "done", solver.name
            assert run["epochs"][-1]["error"] < guess, solver.name
            seconds = [epoch["seconds"] for epoch in run["epochs"]]
            assert seconds == sorted(seconds) and run["seconds"] >= seconds[-1]


def test_the_baselines_network_is_the_module_of_the_same_layers():
    model = NMFNetClassifier(IMAGES.hidden, max_iter=1, random_state=0, input_shape=IMAGES.input_shape)
    X, y = toy().train
    module = model.fit(X, y).to_torch()[:-1]  # without the probabilities
    weights = [layer.weight.flatten(1) for layer in module if hasattr(layer, "weight")]
    biases = [layer.bias for layer in module if hasattr(layer, "weight")]
    scaled = module[:2](torch.from_numpy(X))  # flattened and standardized
    problem = Problem(toy().train, IMAGES.hidden, 3, 1, True, input_shape=IMAGES.input_shape)
    found = _images.forward(scaled, weights, biases, problem)
    torch.testing.assert_close(found, module(torch.from_numpy(X)), rtol=1e-4, atol=1e-5)
    assert [tuple(W.shape)[::-1] for W in weights] == _images.fans(problem)


def test_curves_of_mnist_1d():
    X, y = _mnist1d.generate(50)
    assert X.shape == (50, 40) and X.dtype == np.float32 and (np.bincount(y) == 5).all()
    assert 0.1 < X.std() < 0.3 and np.abs(X).max() < 2  # templates have a deviation of 1/6
    assert (_mnist1d.generate(50)[0] == X).all() and (_mnist1d.generate(50, seed=1)[0] != X).any()


def test_seeds_and_order():
    assert command.seeds("0-2,7") == [0, 1, 2, 7]
    pairs = running.order(["a", "b"], [0, 1], interleave=True)
    assert list(pairs) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert list(running.order(["a", "b"], [0, 1], interleave=False))[:2] == [("a", 0), ("a", 1)]


def test_unknown_names_are_listed():
    with pytest.raises(SystemExit, match="No solver is called nothing; there are adam"):
        running.chosen_solvers(["nothing"])


def test_tune_run_and_report(toys, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "use_threads", lambda threads: None)  # it would last beyond the test
    bench = partial(_bench, tmp_path / "bench")
    bench("run", "--datasets", "toy", "--solvers", "sgd", "linear")
    bench("tune", "toy", "sgd")
    log = Logs(tmp_path / "bench").find("toy", "sgd")
    assert len(log["trials"]) == 6 and log["best"] in log["configurations"]
    bench("run", "--datasets", "tables", "--solvers", "sgd", "linear", "--seeds", "0-2")
    stored = [(run["task"], run["solver"], run["seed"]) for run in Runs(tmp_path / "bench").records("toy")]
    assert stored == [*(("toy", name, i) for name in ("linear", "sgd") for i in range(3)), ("toy", "sgd@default", 0)]
    capsys.readouterr()
    bench("run", "--datasets", "tables", "--solvers", "sgd", "linear", "--seeds", "0-2")
    assert capsys.readouterr().out == "All of these runs are stored.\n"
    bench("report")
    text = (tmp_path / "bench.md").read_text()
    assert "## toy-targets" in text and "| sgd@default | 1 |" in text and "2 tables" in text
    bench("list")
    assert "stored: linear-0" in capsys.readouterr().out


@pytest.mark.parametrize("other", [False, True])
def test_reports_of_other_results_go_beside_them(other, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(report, "write", lambda runs, logs, folder: found.append((len(runs), folder)))
    command.main(["--results", str(tmp_path / "bench"), "report"] if other else ["report"])
    ((runs, folder),) = found
    assert (runs > 0, folder) == ((False, tmp_path) if other else (True, REPORTS))


def _bench(folder, *arguments):
    command.main(["--results", str(folder), *arguments])
