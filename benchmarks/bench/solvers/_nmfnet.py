"""nmfnet's solvers, by its public estimators and with their defaults for every task."""

from __future__ import annotations

from functools import partial
from typing import Any

import nmfnet

from ..objective import Objective, Predict
from ..problem import Problem, Settings, Solver

VERSION = "2"  # bump when a run would come out differently


class Watch(nmfnet.Callback):
    """Hands the network's predictions to the objective after every epoch."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.model: Any = None

    def predictor(self) -> Predict:
        """Probabilities or targets, as the estimator makes them from the outputs."""
        predict: Predict = getattr(self.model, "predict_proba", self.model.predict)
        return predict

    def on_epoch_end(self, network: Any, record: Any) -> None:
        """Score the network as it would be if the fit ended here; the clock stands still."""
        self.model.network_ = network
        self.objective.record(record["epoch"], self.predictor())


def fit(name: str, problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Fit the estimator; what its end still changes counts as part of the last epoch."""
    estimator = nmfnet.NMFNetClassifier if problem.classification else nmfnet.NMFNetRegressor
    watch = Watch(objective)
    activation: Any = "relu"
    if problem.linear:
        activation = ["identity" if layer in problem.linear else "relu" for layer in range(len(problem.hidden))]
    model = estimator(
        problem.hidden, activation, solver=name, max_iter=problem.epochs,
        random_state=seed, callbacks=[watch], **settings,
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
        objective.record(model.n_iter_, watch.predictor())


def version() -> str:
    """Version of nmfnet's sweeps as far as results depend on it."""
    return VERSION


def solver(name: str) -> Solver:
    """Return an nmfnet solver by the name its estimators know."""
    return Solver(name, partial(fit, name), {}, {}, version)
