"""nmfnet's solvers, by its public estimators and with their defaults for every task."""

from __future__ import annotations

import ast
import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import nmfnet

from ..objective import Objective, Predict
from ..problem import Problem, Settings, Solver

SKIPPED = ("cli", "datasets")  # parts of nmfnet that no result depends on


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


@cache
def version() -> str:
    """Hash of nmfnet's code; comments, docstrings and layout do not count."""
    root = Path(nmfnet.__file__).parent
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in SKIPPED:
            code.update(ast.dump(without_docstrings(ast.parse(path.read_text()))).encode())
    return code.hexdigest()[:12]


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Drop every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def solver(name: str) -> Solver:
    """Return an nmfnet solver by the name its estimators know, with the version of the code as it is now."""
    now = version()
    return Solver(name, partial(fit, name), {}, {}, lambda: now)
