"""What a fit has chosen automatically, and why, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from nmfnet._parameters import resolve
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.estimators.parameters import positions
from nmfnet.network import Network
from nmfnet.solvers import SOLVERS, Plan, Relaxed

Choice = tuple[str, str, str]  # setting, value, reason


def choices(model: Any) -> list[Choice]:
    """List the settings that a fitted estimator chose automatically.

    Parameters
    ----------
    model : NMFNetClassifier or NMFNetRegressor
        Fitted.

    Returns
    -------
    list of (str, str, str)
        The setting, its value and the reason.  Settings that the user gave are left out.
    """
    solver, network = resolve(model.solver, SOLVERS), _of_largest_weight(model)
    found = list(_of_inputs(network.inputs))
    n = int(model.history_[0].get("n_samples", 0))
    if n:
        real_values = network.weights[-1].shape[1] if network.output.name == "identity" else 0
        default = solver.default_batch_size(n, real_values, positions(network.input_shape))
        size = default if model.batch_size == "auto" else int(model.batch_size)
        if model.batch_size == "auto":
            found.append(("batch size", f"{size}", f"the solver's rule for {n} training rows"))
        if isinstance(solver, Relaxed):
            found += _of_relaxed(network, solver, n, size, model.max_iter)
    if model.alpha == "auto":
        alpha = model.alpha_
        why = "has the lowest loss on held-out rows, in a cross-validation with four folds"
        if alpha is None:
            alpha = solver.default_alpha(network)
            why = "columns have different units, as in a table" if alpha else "columns share a unit, as pixels do"
        found.append(("penalty on the weights, alpha", f"{alpha:.3g}", why))
    temperature = getattr(model, "temperature_", None)
    if model.n_members == "auto" and model.n_members_ > 1:
        why = "have the weights of the lowest loss on held-out rows; the others have other penalties or inputs"
        found.append(("networks that share the hidden units", f"{model.n_members_}", why))
    elif temperature is not None:
        found.append(
            (
                "temperature of the probabilities",
                f"{temperature:.3g}",
                "is best for rows on which the networks that measure it were not trained",
            )
        )
    if model.best_epoch_:
        found.append(("epoch whose weights were kept", f"{model.best_epoch_}", "has the lowest validation loss"))
    return found


def _of_largest_weight(model: Any) -> Network:
    """The network that `history_` is of: of several that share the units, the first."""
    network, count = cast(Network, model.network_), model.n_members_
    if model.n_members != "auto" or count == 1:
        return network
    widths = [W.shape[1] - (count - 1) * (W.shape[1] // count) for W in network.weights[:-1]]
    rows = [len(network.weights[0]), *(width + network.intercept for width in widths)]
    columns = [*widths, network.weights[-1].shape[1]]
    weights = [W[:n, :k] for W, n, k in zip(network.weights, rows, columns, strict=True)]
    return replace(network, weights=weights, hidden=widths, layers=())


def _of_inputs(inputs: Scaling | None) -> Iterator[Choice]:
    if inputs is None:
        yield "scaling of the inputs", "none", "the solver's setting"
    elif isinstance(inputs, PiecewiseLinear):
        yield (
            "scaling of the inputs",
            f"piecewise linear, {inputs.n_out} numbers for {inputs.n_in} columns",
            "has a lower loss on held-out rows than standardized columns, or was asked for",
        )
    elif inputs.projects:
        r, n = inputs.n_out, len(inputs.factor)
        yield (
            "scaling of the inputs",
            f"{r} principal components of {n} columns",
            "they hold almost all of the variance",
        )
    elif bool((inputs.factor[inputs.factor != 0] == inputs.factor.max()).all()):
        yield "scaling of the inputs", "one scale for all columns", "the columns share a unit"
    else:
        yield "scaling of the inputs", "column by column", "the columns have different units"


def _of_relaxed(network: Network, solver: Relaxed, n: int, size: int, max_iter: int) -> Iterator[Choice]:
    updates = max_iter * math.ceil(n / size)
    chosen = solver.resolved(network, Plan(n_updates=updates, batch_size=size, n_samples=n))
    dropout = chosen.dropout if isinstance(chosen.dropout, tuple) else (chosen.dropout,)
    reasons = {
        "delta": ("first relative step, delta", f"{chosen.delta:.3g}", f"for {updates} planned updates"),
        "tau": ("distance of targets, tau", f"{chosen.tau:.3g}", "0.1 for classification, 0.01 for regression"),
        "noise": (
            "share of inputs masked",
            f"{chosen.noise:.3g}",
            "above 0 for texts, and for images that few principal components describe",
        ),
        "dropout": (
            "dropout",
            ", ".join(f"{each:.3g}" for each in dropout),
            "higher with more weights for each target value, lower in deep networks",
        ),
        "momentum": (
            "momentum",
            f"{chosen.momentum:.3g}",
            "0.9 for regression; for classification above 0 only with few updates of large batches",
        ),
        "adversarial": (
            "adversarial training",
            "decided while training",
            "turned on if the training error shows that classes hardly overlap",
        ),
    }
    for name, choice in reasons.items():
        if getattr(solver, name) == "auto":
            yield choice
