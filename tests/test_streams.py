"""Streams: samples that come one by one, and columns that change."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_diabetes, load_iris, make_regression

from nmfnet import NMF, NMFNetClassifier, NMFNetRegressor, NonlinearSemiNMF, SemiNMF, fit_module
from nmfnet.data.scaling import Scaling
from nmfnet.data.source import InMemory, Samples, joined, newest
from nmfnet.data.windows import share_of, windows
from nmfnet.estimators.inputs import to_tensor
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.network.drift import followed, tamed
from nmfnet.solvers.relaxed.sweep import RelaxedSweep
from solving import he_weights, input_scaling, target_scaling

sizes = pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
sparse_too = pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "sparse"])


def stream(model, X, y, size, **first):
    for start in range(0, X.shape[0], size):
        model.partial_fit(X[start : start + size], y[start : start + size], **first)
        first = {}
    return model


# Small batches.


@sizes
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_few_samples_a_call_do_not_ruin_a_fitted_classifier(solver, size, digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((30,), solver=solver, random_state=0).fit(X[:800], y[:800])
    before = model.score(X_test, y_test)
    stream(model, X[800:1100], y[800:1100], size)
    assert model.score(X_test, y_test) > before - 0.03


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_few_samples_a_call_do_not_ruin_a_fitted_regressor(solver, size):
    X, y = load_diabetes(return_X_y=True)
    model = NMFNetRegressor((20,), solver=solver, random_state=0).fit(X[:200], y[:200])
    before = model.score(X[300:], y[300:])
    stream(model, X[200:300], y[200:300], size)
    assert model.score(X[300:], y[300:]) > before - 0.05


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_single_samples_teach_a_new_network(solver):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(150), 3))
    model = stream(NMFNetClassifier((20,), solver=solver, random_state=0), X[order], y[order], 1, classes=[0, 1, 2])
    assert model.score(X, y) > 0.9


def test_single_samples_teach_a_new_regressor():
    rng = np.random.default_rng(0)
    X = 100 * rng.standard_normal((600, 4)) + 50
    y = X @ [1e3, 2e3, -1e3, 0] + 1e6
    assert stream(NMFNetRegressor((20,), random_state=0), X, y, 1).score(X, y) > 0.8


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_small_batches_of_a_fit(solver, size, recwarn):
    X, y = load_iris(return_X_y=True)
    model = NMFNetClassifier((20,), solver=solver, batch_size=size, max_iter=8, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.93 and not recwarn.list
    diabetes, targets = (part[:250] for part in load_diabetes(return_X_y=True))
    model = NMFNetRegressor((20,), solver=solver, batch_size=size, max_iter=5, random_state=0)
    assert model.fit(diabetes, targets).score(diabetes, targets) > 0.3


def test_small_batches_of_a_module(digits):
    X, X_test, y, y_test = digits
    module = torch.nn.Sequential(torch.nn.Linear(64, 30), torch.nn.ReLU(), torch.nn.Linear(30, 10))
    fit_module(module, X[:500], y[:500], random_state=0)
    fit_module(module, X[500:700], y[500:700], batch_size=1, max_iter=1, random_state=0)
    found = module(torch.tensor(X_test).float()).argmax(1).numpy()
    assert (found == y_test).mean() > 0.9


def test_calls_in_other_processes(digits):
    """A pickle goes on; see test_stored_streams.py."""
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((20,), random_state=0).fit(X[:600], y[:600])
    before = model.score(X_test, y_test)
    for row in range(600, 680):
        model = pickle.loads(pickle.dumps(model.partial_fit(X[row : row + 1], y[row : row + 1])))
    assert model.score(X_test, y_test) > before - 0.03


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(
    "model",
    [
        NMF(5, random_state=0), NMF(5, solver="mu", random_state=0), SemiNMF(5, random_state=0),
        NMF(5, solver="mu", beta_loss="kullback-leibler", random_state=0), NonlinearSemiNMF(5, random_state=0),
    ],
    ids=str,
)  # fmt: skip
def test_factorizations_of_a_stream(model, size, digits):
    X, X_test, _, _ = digits

    def error(model):
        return np.linalg.norm(X_test - model.inverse_transform(model.transform(X_test))) / np.linalg.norm(X_test)

    before = error(model.set_params(max_iter=50).fit(X[:600]))
    for start in range(600, 800, size):
        model.partial_fit(X[start : start + size])
    assert error(model) < 1.05 * before


def test_the_penalty_of_a_stream_does_not_depend_on_its_calls(digits):
    X = digits[0][:640]
    sums = []
    for size in (1, 8, 64):
        model = NMF(4, alpha_H=0.05, alpha_W=0.05, l1_ratio=1.0, init="random", random_state=0)
        for start in range(0, 640, size):
            model.partial_fit(X[start : start + size])
        sums.append(model.components_.sum())
    assert max(sums) < 1.3 * min(sums)


# Windows.


def test_windows():
    batches = [torch.tensor([1, 0]), torch.tensor([2, 3])]
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 0, 3)]
    assert rows == [([3, 1, 0], 2), ([0, 2, 3], 2)]  # what is missing at the beginning is from the end
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 2, 3)]
    assert rows == [([1, 3, 2], 2), ([2, 4, 5], 2)]  # or from before
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 1, 64)]
    assert rows == [([0, 2, 1], 2), ([0, 2, 1, 3, 4], 2)]
    assert [window.rows.tolist() for window in windows(batches, 0, 2)] == [[1, 0], [2, 3]]


def test_shares_do_not_depend_on_the_unit_of_weights():
    window = next(iter(windows([torch.arange(2)], 6, 8)))
    weight = torch.tensor([1.0, 1, 1, 1, 1, 1, 2, 0.5])
    assert share_of(window, 8, None) == share_of(window, 8, torch.full((8,), 7.0)) == 0.25
    assert share_of(window, 8, weight) == pytest.approx(share_of(window, 8, 1e-9 * weight)) == pytest.approx(2.5 / 8.5)
    assert share_of(window, 2, weight) == 1


@sparse_too
def test_rows_are_kept_as_copies(container):
    X = np.arange(12.0).reshape(6, 2)
    rows = Samples(to_tensor(container(X)), torch.arange(6.0)[:, None])
    assert newest(rows, 2)[1].flatten().tolist() == [4, 5]
    assert newest(rows, 3, 6)[1].flatten().tolist() == [0, 2, 5]
    kept = newest(rows, 4)
    X[:] = 0
    whole = joined(kept, InMemory(rows.X[:1], torch.zeros(1, 1), torch.tensor([3.0], dtype=torch.float64)))
    dense = whole.X if isinstance(whole.X, torch.Tensor) else whole.X.dense()
    assert dense[:4].flatten().tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert whole.weight.tolist() == [1, 1, 1, 1, 3] and whole.before == 4 and whole.n_rows == 1


# Columns that change.


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


@sparse_too
@pytest.mark.parametrize("how", ["after a fit", "from scratch", "warm start"])
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


# The rules.


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


@pytest.mark.parametrize("model", [NMF(3, random_state=0), NMF(3, solver="mu", random_state=0)], ids=str)
@pytest.mark.parametrize("first", ["zeros", "tiny", "empty columns"])
def test_factorizations_after_a_first_batch_that_tells_little(model, first):
    rng = np.random.default_rng(0)
    X = rng.random((300, 3)) @ rng.random((3, 8)) + 0.1
    start = {"zeros": 0 * X[:5], "tiny": 1e-200 * X[:5], "empty columns": X[:5] * (np.arange(8) < 4)}[first]
    model.partial_fit(start)
    for part in np.split(X, 10):
        model.partial_fit(part).partial_fit(part)
    error = np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
    assert error < 0.2


def test_single_samples_count_by_their_weights(digits):
    """Against the others of the window: false labels of next to no weight are not learned."""
    X, X_test, y, y_test = digits
    rng = np.random.default_rng(0)
    false = np.arange(300) % 2 == 1
    labels = np.where(false, rng.integers(0, 10, 300), y[600:900])
    model = NMFNetClassifier((20,), random_state=0).fit(X[:600], y[:600])
    before = model.score(X_test, y_test)
    for row, (label, weight) in enumerate(zip(labels, np.where(false, 1e-6, 1.0), strict=True), 600):
        model.partial_fit(X[row : row + 1], [label], sample_weight=[weight])
    assert model.score(X_test, y_test) > before - 0.02


@pytest.mark.parametrize(("batch_size", "rows"), [(64, 50), (63, 64)])
def test_batches_count_as_small_by_the_size_that_was_asked_for(batch_size, rows, monkeypatch):
    """64 samples make a whole update, even where 150 rows are divided into three times 50."""
    seen, call = [], RelaxedSweep.__call__

    def recorded(self, X, *args, **kwargs):
        seen.append((len(X), kwargs.get("share", 1.0)))
        return call(self, X, *args, **kwargs)

    monkeypatch.setattr(RelaxedSweep, "__call__", recorded)
    rng = np.random.default_rng(0)
    X, y = rng.random((150, 4)), np.arange(150) % 2
    model = NMFNetClassifier((5,), batch_size=batch_size, max_iter=1, random_state=0).fit(X, y)
    seen = seen[-3:]  # those of smaller networks are before
    model.partial_fit(X, y)
    assert seen == [(rows, 50 / 64 if batch_size < 64 else 1.0)] * 6


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
