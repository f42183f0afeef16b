"""nmfnet's solvers, by its public estimators and with their defaults for every task."""

from __future__ import annotations

from functools import partial
from typing import Any

import nmfnet
from nmfnet.estimators.parameters import positions
from nmfnet.solvers import SOLVERS

from ..objective import Objective, Predict
from ..problem import Problem, Settings, Solver, Task

# Bump when a run would come out differently: of labels, and of real targets.
VERSIONS = {"relaxed": ("2", "3"), "pinv": ("2", "2")}
# Since then inputs are moved where classes are easy to tell apart (MNIST, 3), a few hundred updates take longer
# steps (digits, 4, and batches of 6000), and large losses are told from steps gone astray (tables): only these come
# out differently.
TABLES = "5"
MOVED = dict.fromkeys(("mnist", "mnist-wide", "mnist-long", "mnist-deep"), "3")
LATER = {
    "relaxed": MOVED | {"digits": "4"},
    "relaxed-6000": dict.fromkeys(("mnist", "fashion-mnist"), "4"),
    "relaxed-20000": MOVED,
}


class Watch(nmfnet.Callback):
    """Hands the network's predictions to the objective after every epoch."""

    def __init__(self, objective: Objective, per_epoch: int) -> None:
        self.objective, self.per_epoch = objective, per_epoch
        self.model: Any = None

    def predictor(self) -> Predict:
        """Probabilities or targets, as the estimator makes them from the outputs."""
        predict: Predict = getattr(self.model, "predict_proba", self.model.predict)
        return predict

    def on_epoch_end(self, network: Any, record: Any) -> None:
        """Score the network as it would be if the fit ended here; the clock stands still."""
        self.model.network_ = network
        self.objective.record(record["epoch"], self.predictor(), record["epoch"] * self.per_epoch)


def fit(name: str, problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Fit the estimator; what its end still changes counts as part of the last epoch."""
    estimator = nmfnet.NMFNetClassifier if problem.classification else nmfnet.NMFNetRegressor
    n, y = len(problem.train.X), problem.train.y
    values = 0 if problem.classification else y[0].size
    default = SOLVERS[name]().default_batch_size(n, values, positions(problem.input_shape))
    batch = settings.get("batch_size", default)
    watch = Watch(objective, -(-n // batch))
    activation: Any = "relu"
    if problem.linear:
        activation = ["identity" if layer in problem.linear else "relu" for layer in range(len(problem.hidden))]
    model = estimator(
        problem.hidden, activation, solver=name, max_iter=problem.epochs,
        random_state=seed, callbacks=[watch], input_shape=problem.input_shape, **settings,
    )  # fmt: skip
    watch.model = model
    try:
        model.fit(problem.train.X, problem.train.y)
    except nmfnet.DivergenceError:
        objective.status = "diverged"
    except ValueError as error:
        if not problem.linear:
            raise
        objective.status = f"unsupported: {error}"
    else:
        objective.record(model.n_iter_, watch.predictor(), model.n_iter_ * watch.per_epoch)


def version(name: str, task: Task) -> str:
    """Version of one of nmfnet's sweeps as far as results of a task depend on it."""
    if name == "relaxed" and "tables" in task.tags:
        return TABLES
    labels, real = VERSIONS[name.partition("-")[0]]
    return LATER.get(name, {}).get(task.name, labels if task.classification else real)


def solver(name: str, batch_size: int | None = None, tasks: tuple[str, ...] = ()) -> Solver:
    """Return an nmfnet solver by its name in the estimators; or, for some tasks, with another batch size."""
    run = partial(fit, name)
    if batch_size is None:
        return Solver(name, run, {}, {}, partial(version, name))
    full = f"{name}-{batch_size}"
    settings = {"batch_size": batch_size}
    return Solver(full, run, settings, {}, partial(version, full), lambda task: task.name in tasks)
