"""Streams whose columns and targets change: scalings that follow."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import make_regression

from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.data.scaling import Scaling
from nmfnet.data.source import InMemory
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.network.drift import followed, tamed
from samples import stream
from solving import he_weights, input_scaling, target_scaling

sizes = pytest.mark.parametrize("size", [1, 2, 3, 5, 8])


sparse = scipy.sparse.csr_matrix
sparse_too = pytest.mark.parametrize("container", [np.asarray, sparse], ids=["dense", "sparse"])


def one_column(change):
    def changed(X):
        X = X.copy()
        X[:, 0] = change(X[:, 0])
        return X

    return changed


CHANGES = {
    "shifted": one_column(lambda column: column + 1e6),
    "all shifted": lambda X: X + 1e3,
    "larger": one_column(lambda column: 1e3 * column),
    "smaller": one_column(lambda column: 1e-3 * column),
    "all larger": lambda X: 1e6 * X,
    "all smaller": lambda X: 1e-3 * X,
}


@pytest.mark.parametrize("change", list(CHANGES.values()), ids=list(CHANGES))
@pytest.mark.parametrize("how", ["after a fit", "from scratch", "warm start"])
@pytest.mark.parametrize("size", [10, 100])
def test_columns_in_other_units(change, how, size):
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((1200, 4)), rng.standard_normal((500, 4))
    y, y_test = ((part @ [1.5, 1.0, -1.0, 0.2] > 0).astype(int) for part in (X, X_test))
    if how == "warm start" and size > 10:
        pytest.skip("has no size")
    model = NMFNetClassifier((20,), warm_start=how == "warm start", random_state=0)
    if how == "from scratch":
        stream(model, X[:600], y[:600], size, classes=[0, 1])
    else:
        model.fit(X[:600], y[:600])
    if how == "warm start":
        model.fit(change(X[600:]), y[600:])
    else:
        stream(model, change(X[600:]), y[600:], size)
    assert model.score(change(X_test), y_test) > 0.9


@pytest.mark.parametrize(
    ("how", "container"),
    [("after a fit", np.asarray), ("after a fit", sparse), ("from scratch", np.asarray), ("warm start", sparse)],
)
@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_new_categories(how, Estimator, container):
    rng = np.random.default_rng(0)
    first, later = rng.integers(0, 4, 300), rng.integers(0, 8, 900)
    X, X_later, X_all = (container(np.eye(8)[each]) for each in (first, later, np.arange(8)))
    means = np.arange(8) % 2 if Estimator is NMFNetClassifier else 1e3 * np.cos(np.arange(8))
    model = Estimator((20,), warm_start=how == "warm start", random_state=0)
    if how == "from scratch":
        stream(model, X, means[first], 5, **({"classes": [0, 1]} if Estimator is NMFNetClassifier else {}))
    else:
        model.fit(X, means[first])
    before = model.predict(X_all[:4])
    if how == "warm start":
        model.fit(X_later, means[later])
    else:
        stream(model, X_later, means[later], 3)
    assert model.score(X_all, means) > 0.7
    assert np.abs(before - means[:4]).mean() < 0.5 * np.abs(means).mean() or how == "from scratch"


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("change", [lambda y: y + 1e6, lambda y: 1e3 * y, lambda y: 1e-3 * y])
def test_targets_in_another_unit(change, size):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 4))
    y = X @ [1.0, 2.0, -1.0, 0.5]
    model = NMFNetRegressor((20,), random_state=0).fit(X[:400], y[:400])
    stream(model, X[400:], change(y[400:]), size)
    assert model.score(X, change(y)) > 0.8


def test_an_outlier_is_not_a_change(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((20,), random_state=0).fit(X[:600], y[:600])
    before, scaling = model.score(X_test, y_test), model.network_.inputs
    stream(model, X[600:664], y[600:664], 1)
    spoilt = X[664:665].copy()
    spoilt[0, 20] = 1e9
    model.partial_fit(spoilt, y[664:665])
    assert torch.equal(model.network_.inputs.factor, scaling.factor)
    stream(model, X[665:700], y[665:700], 1)
    assert model.score(X_test, y_test) > before - 0.03


def components(rng):
    """A classifier of images, on principal components, and its data."""
    basis = np.sin(np.outer(np.arange(1, 13), np.linspace(0, 3, 144)))
    y = rng.integers(2, size=500)
    X = (rng.standard_normal((500, 12)) + 1.2 * y[:, None]) @ basis / 12 + 0.02 * rng.standard_normal((500, 144))
    X[:, 7] = 0.5  # a dead pixel
    model = NMFNetClassifier((20,), max_iter=5, random_state=0).fit(X, y)
    assert model.network_.inputs.projects
    return model, X, y


def test_what_principal_components_leave_out():
    rng = np.random.default_rng(0)
    model, X, _ = components(rng)
    before = model.predict_proba(X)
    label = rng.integers(2, size=500)
    X_other = X.copy()
    X_other[:, 7] = label  # it comes alive, and tells the class
    model.partial_fit(X_other[:1], label[:1])
    assert not model.network_.inputs.projects
    np.testing.assert_allclose(model.predict_proba(X), before, atol=0.1)  # one step from there
    for _ in range(15):
        stream(model, X_other, label, 100)
    assert model.score(X_other, label) > 0.9


def test_a_fit_goes_on_where_rows_lie_outside_the_principal_components():
    rng = np.random.default_rng(0)
    model, X, _ = components(rng)
    shuffled = np.stack([rng.permutation(column) for column in X.T], 1)
    label = (shuffled[:, 30] > shuffled[:, 90]).astype(int)
    model.set_params(warm_start=True).fit(shuffled, label)
    assert not model.network_.inputs.projects
    assert model.network_.layers[0].n_in == 144
    assert model.score(shuffled, label) > 0.8


def test_rows_that_lie_outside_the_principal_components_end_them():
    rng = np.random.default_rng(0)
    model, X, y = components(rng)
    shuffled = np.stack([rng.permutation(column) for column in X.T], 1)  # as large as before, column by column
    label = (shuffled[:, 30] > shuffled[:, 90]).astype(int)
    model.partial_fit(X[:64], y[:64])
    assert model.network_.inputs.projects
    model.partial_fit(shuffled[:64], label[:64])
    assert not model.network_.inputs.projects
    for _ in range(15):
        stream(model, shuffled, label, 100)
    assert model.score(shuffled, label) > 0.9


def network_on(X, Y=None, intercept=True, factor=None):
    inputs = input_scaling(X, 1.0, intercept)
    if factor is not None:
        inputs = Scaling(inputs.shift, inputs.factor * factor)
    weights = he_weights([X.shape[1], 6, 2], intercept, torch.Generator().manual_seed(0), X.dtype)
    targets = None if Y is None else target_scaling(Y, intercept)
    return Network(weights, get_activation("relu"), intercept, inputs=inputs, targets=targets)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("what", ["inputs", "targets"])
def test_predictions_stay_where_nothing_speaks_against_it(intercept, what):
    """The rows fit the network as it is, so that both scalings change, but no prediction."""
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    X[:, 3] *= 1e4
    network = network_on(X, torch.randn(200, 2, generator=generator, dtype=torch.float64), intercept)
    X_new = X * (1e3 if what == "inputs" else 1)
    Y_new = network.predict(X_new)
    if what == "targets":
        network.targets = Scaling(network.targets.shift, 1e3 * network.targets.factor)
        network.weights[-1] = network.weights[-1] * 1e3
    changed = followed(network, InMemory(X_new, Y_new))
    assert changed is not None
    other, carry = changed
    torch.testing.assert_close(other.predict(X), network.predict(X), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(other.with_weights(carry(network.weights)).predict(X), other.predict(X))


def test_scalings_that_fit_stay():
    X = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = network_on(X, X[:, :2])
    for part in (X, X[:1], X[:70], 2 * X + 1):
        assert followed(network, InMemory(part, part[:, :2])) is None
    constant = X.clone()
    constant[:, 1] = 0.3
    assert followed(network, InMemory(constant, X[:, :2])) is None


def test_huge_values_alone_are_brought_nearer():
    X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = network_on(X, X[:, :2])
    X_new, Y_new = X.clone(), X[:, :2].clone()
    X_new[5, 1], Y_new[7, 0] = 1e8, -1e8
    assert followed(network, InMemory(X_new, Y_new)) is None
    tame = tamed(network, InMemory(X_new, Y_new))
    X_tame, Y_tame = tame.X, tame.Y
    assert float(network.inputs(X_tame).abs().max()) == pytest.approx(8)
    assert float(network.targets(Y_tame).min()) == pytest.approx(-8)
    assert int((X_tame != X_new).sum()) == int((Y_tame != Y_new).sum()) == 1
    assert tamed(network, InMemory(X, Y_new)).X is X


@pytest.mark.parametrize("rows", [1, 100])
def test_targets_that_were_constant(rows):
    """The outputs of a network that has learned a constant are next to nothing: steps relative to them are, too."""
    rng = np.random.default_rng(0)
    model = NMFNetRegressor((20,), random_state=0).fit(rng.standard_normal((rows, 3)), np.full(rows, 4.0))
    X = rng.standard_normal((100, 3))
    for row in range(100):
        model.partial_fit(X[row : row + 1], [1.0])
    np.testing.assert_allclose(model.predict(X), 1, atol=0.05)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("moved", [1.0, -3.0, 6.0])
def test_targets_whose_level_changes(several, moved):
    """Single rows of targets some standard deviations higher or lower; one column of two, if several."""
    X, y = make_regression(900, 5, noise=10.0, random_state=0)
    y = y / y.std()
    y = np.stack([y, -y], 1) if several else y
    change = np.array([moved, 0.0]) if several else moved
    model = NMFNetRegressor((20,), random_state=0).fit(X[:300], y[:300])
    before = np.square(model.predict(X[600:]) - y[600:]).mean()
    for row in range(300, 400):
        model.partial_fit(X[row : row + 1], y[row : row + 1] + change)
    after = np.square(model.predict(X[600:]) - y[600:] - change).mean()
    assert after < 2 * before + 0.01
