"""Everything automatic is the same in other units of weights, inputs and targets, and in another order."""

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfnet import NMF, Callback, NMFNetClassifier, NMFNetRegressor, SemiNMF
from solving import input_scaling, target_scaling

Estimators = st.sampled_from([NMFNetClassifier, NMFNetRegressor])
solvers = st.sampled_from(["relaxed", "pinv"])
units = st.floats(-9, 9).map(lambda power: 10.0**power)
seeds = st.integers(0, 2**16)


class Noted(Callback):
    """What a fit has chosen, before its first batch; then it ends."""

    def on_train_begin(self, training):
        sweep, plan, given = training.sweep, training.sweep.plan, training.settings
        names = ("delta", "tau", "noise", "dropout", "momentum")
        auto = sweep.settings
        self.chosen = {name: getattr(auto, name) for name in names if hasattr(sweep, "adversary")}
        self.chosen |= {"alpha": given.alpha, "batch_size": given.batch_size, "n_samples": plan.n_samples}
        self.chosen |= {"n_updates": plan.n_updates, "settled": getattr(sweep, "adversary", None) is None or (
            sweep.adversary.settled)}  # fmt: skip
        inputs, targets = training.network.inputs, training.network.targets
        unit = 1.0 if targets is None else float(targets.factor.mean()) ** -2
        self.chosen["tol"] = training.best.tol / (unit if training.best.monitor == "val_loss" else 1.0)
        self.inputs, self.targets = inputs, targets

    def on_epoch_begin(self, epoch):
        raise KeyboardInterrupt


def chosen(Estimator, solver, X, y, weight=None, **parameters):
    """By a fit, with the scalings of inputs and targets."""
    noted = Noted()
    model = Estimator((5,), solver=solver, callbacks=[noted], random_state=0, **parameters)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y, sample_weight=weight)
    return noted


def data(seed, n=120, columns=4, pixels=False):
    rng = np.random.default_rng(seed)
    X = (
        rng.random((n, columns))
        if pixels
        else rng.standard_normal((n, columns)) * 10.0 ** rng.integers(-3, 4, columns)
    )
    return X, np.arange(n) % 3


def assert_same(one, two):
    assert one.chosen.keys() == two.chosen.keys()
    for name, value in one.chosen.items():
        assert two.chosen[name] == pytest.approx(value), name


@settings(max_examples=25)
@given(Estimator=Estimators, solver=solvers, unit=units, seed=seeds, pixels=st.booleans())
def test_the_unit_of_the_weights(Estimator, solver, unit, seed, pixels):
    X, y = data(seed, pixels=pixels)
    weight = np.random.default_rng(seed).random(len(y)) + 0.1
    one = chosen(Estimator, solver, X, y, weight)
    assert_same(one, chosen(Estimator, solver, X, y, unit * weight))
    assert_same(chosen(Estimator, solver, X, y), chosen(Estimator, solver, X, y, np.full(len(y), unit)))


@settings(max_examples=10)
@given(unit=units, seed=seeds)
def test_the_unit_of_the_weights_of_classes(unit, seed):
    X, y = data(seed)
    one = chosen(NMFNetClassifier, "relaxed", X, y)
    assert_same(one, chosen(NMFNetClassifier, "relaxed", X, y, class_weight=dict.fromkeys(range(3), unit)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-300, 1e-60, 1e-3, 1e3, 1e300])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
@pytest.mark.parametrize("partial", [False, True])
def test_trainings_in_units_of_the_weights(dtype, unit, solver, partial, small):
    """With the default penalty, and numbers that no float32 holds."""
    X, y = small[0].astype(dtype), small[1]
    weight = 1.0 + np.arange(40) % 5
    found = []
    for weights in (weight, unit * weight):
        model = NMFNetClassifier((6,), solver=solver, max_iter=3, random_state=0)
        if partial:
            for start in range(0, 40, 10):
                rows = slice(start, start + 10)
                model.partial_fit(X[rows], y[rows], classes=[0, 1, 2], sample_weight=weights[rows])
        else:
            model.fit(X, y, sample_weight=weights)
        found.append(model.predict_proba(X))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-6 if dtype == np.float64 else 0.02)


@settings(max_examples=25)
@given(Estimator=Estimators, solver=solvers, unit=units, seed=seeds, pixels=st.booleans(), stopping=st.booleans())
def test_the_units_of_inputs_and_targets(Estimator, solver, unit, seed, pixels, stopping):
    X, y = data(seed, pixels=pixels)
    scale = 1 if Estimator is NMFNetClassifier else unit
    one = chosen(Estimator, solver, X, y, early_stopping=stopping)
    two = chosen(Estimator, solver, unit * X, y if scale == 1 else scale * y, early_stopping=stopping)
    if solver == "pinv" and scale != 1:  # the targets are not scaled: the tolerance is in their unit
        assert two.chosen.pop("tol") == pytest.approx(scale**2 * one.chosen.pop("tol"))
    assert_same(one, two)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_the_unit_of_targets_does_not_tell_pinv_when_to_stop(unit, early_stopping):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(80)
    model = NMFNetRegressor((4,), solver="pinv", max_iter=60, n_iter_no_change=3, random_state=0)
    model.set_params(early_stopping=early_stopping)
    n_iter = [model.fit(X, scale * y).n_iter_ for scale in (1.0, unit)]
    assert abs(n_iter[0] - n_iter[1]) <= 5


@settings(max_examples=25)
@given(Estimator=Estimators, solver=solvers, seed=seeds, pixels=st.booleans())
def test_the_order_of_rows_and_columns(Estimator, solver, seed, pixels):
    X, y = data(seed, pixels=pixels)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(y)), rng.permutation(X.shape[1])
    one, two = chosen(Estimator, solver, X, y), chosen(Estimator, solver, X[rows], y[rows])
    assert_same(one, two)
    two = chosen(Estimator, solver, X[rows][:, columns], y[rows])
    assert_same(one, two)
    if one.inputs is not None:
        torch.testing.assert_close(one.inputs.factor[columns], two.inputs.factor)


@settings(max_examples=15)
@given(Estimator=Estimators, solver=solvers, seed=seeds)
def test_rows_twice_are_more_rows(Estimator, solver, seed):
    """They leave scalings and the penalty alone; against twice as many rows that counts half, as a prior does."""
    X, y = data(seed)
    one, two = chosen(Estimator, solver, X, y), chosen(Estimator, solver, np.tile(X, (2, 1)), np.tile(y, 2))
    assert two.chosen["n_samples"] == 2 * one.chosen["n_samples"]
    for name in ("alpha", "tau", "noise", "tol", "settled"):
        assert name not in one.chosen or one.chosen[name] == pytest.approx(two.chosen[name])
    if one.inputs is not None:
        torch.testing.assert_close(one.inputs.factor, two.inputs.factor)


@settings(max_examples=15)
@given(Estimator=Estimators, solver=solvers, seed=seeds)
def test_rows_without_weight_are_not_there(Estimator, solver, seed):
    X, y = data(seed)
    kept = np.random.default_rng(seed).random(len(y)) < 0.7
    X_more = np.where(kept[:, None], X, 1e6)
    assert_same(chosen(Estimator, solver, X[kept], y[kept]), chosen(Estimator, solver, X_more, y, 1.0 * kept))


@settings(max_examples=25)
@given(seed=seeds, unit=units, sparse=st.booleans(), pixels=st.booleans(), weighted=st.booleans())
def test_scalings_follow_units(seed, unit, sparse, pixels, weighted):
    from nmfnet.estimators.inputs import to_tensor

    X, _ = data(seed, pixels=pixels)
    X = np.where(np.random.default_rng(seed).random(X.shape) < 0.3, X, 0) if sparse else X
    as_rows = (lambda X: to_tensor(scipy.sparse.csr_matrix(X))) if sparse else torch.tensor
    weight = torch.arange(1.0, 1 + len(X)) if weighted else None
    one, two = (
        input_scaling(as_rows(X), 1.0, True, 0.0, weight),
        input_scaling(as_rows(unit * X), 1.0, True, 0.0, None if weight is None else weight / unit),
    )
    torch.testing.assert_close(two.factor * unit, one.factor)
    torch.testing.assert_close(two.shift / unit, one.shift)
    assert two.by_column == one.by_column
    if not sparse:
        torch.testing.assert_close(target_scaling(as_rows(X * unit)).factor * unit, target_scaling(as_rows(X)).factor)


@settings(max_examples=8)
@given(
    seed=seeds,
    unit=st.integers(-15, 15).map(lambda power: 4.0**power),
    Model=st.sampled_from([NMF, SemiNMF]),
    solver=st.sampled_from(["cd", "mu"]),
)
def test_factorizations_in_other_units(seed, unit, Model, solver):
    """How many passes they take, and what they find; with weights in another unit, too.  Units that round nothing."""
    X = np.random.default_rng(seed).random((40, 6))
    model = Model(3, solver=solver, max_iter=30, tol=1e-3, random_state=0)
    with np.errstate(all="ignore"):
        one = model.fit(X).inverse_transform(model.transform(X)), model.n_iter_
        two = (
            model.fit(unit * X, weights=np.full(40, unit)).inverse_transform(model.transform(unit * X)),
            model.n_iter_,
        )
    assert abs(one[1] - two[1]) <= 2
    np.testing.assert_allclose(two[0] / unit, one[0], atol=1e-4)
