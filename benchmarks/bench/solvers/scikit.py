"""scikit-learn's networks, and what tables are usually given to: boosted trees and a linear model."""

from __future__ import annotations

from typing import Any

import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..objective import Objective, Predict
from ..problem import Array, Problem, Settings, Solver, Task


def targets(problem: Problem) -> Array:
    """y as scikit-learn wants it: one column is none."""
    y = problem.train.y
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def predictor(model: Any, problem: Problem) -> Predict:
    """Probabilities or targets."""
    predict: Predict = model.predict_proba if problem.classification else model.predict
    return predict


def fit_network(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """MLPClassifier or MLPRegressor, a call of partial_fit an epoch: no early stopping."""
    network = MLPClassifier if problem.classification else MLPRegressor
    batch = min(settings["batch_size"], len(problem.train.X))
    model = network(hidden_layer_sizes=problem.hidden, random_state=seed, **{**settings, "batch_size": batch})
    y = targets(problem)
    classes = {"classes": range(problem.n_outputs)} if problem.classification else {}
    for epoch in range(problem.epochs):
        try:
            model.partial_fit(problem.train.X, y, **classes)
        except ValueError as error:
            if "non-finite" not in str(error):
                raise
            objective.status = "diverged"
            return
        if not objective.record(epoch + 1, predictor(model, problem)):
            return


def fit_trees(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Boosted trees; they know no epochs, and one record is made at the end."""
    trees = HistGradientBoostingClassifier if problem.classification else HistGradientBoostingRegressor
    model = trees(random_state=seed).fit(problem.train.X, targets(problem))
    objective.record(1, predictor(model, problem))


def fit_linear(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Logistic regression, or ridge regression with its strength chosen by leave-one-out."""
    model = LogisticRegression(max_iter=1000) if problem.classification else RidgeCV([10.0**k for k in range(-3, 4)])
    objective.record(1, predictor(model.fit(problem.train.X, targets(problem)), problem))


def version(task: Task) -> str:
    """Version of scikit-learn."""
    return str(sklearn.__version__)


def activations(task: Task) -> bool:
    """scikit-learn's networks have the same activation in every layer, and no convolutions."""
    return not task.linear and task.input_shape is None


def tables(task: Task) -> bool:
    """Models that are cheap for tables and small images only."""
    return "tables" in task.tags or "small" in task.tags


SETTINGS = {"learning_rate_init": 1e-3, "batch_size": 200, "alpha": 1e-4}  # scikit-learn's own
SPACE = {
    "learning_rate_init": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    "batch_size": (32, 128, 256, 512, 1024),
    "alpha": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
}
SOLVERS = [
    Solver("sklearn-mlp", fit_network, SETTINGS, SPACE, version, activations),
    Solver("boosted-trees", fit_trees, {}, {}, version, tables),
    Solver("linear", fit_linear, {}, {}, version, tables),
]
