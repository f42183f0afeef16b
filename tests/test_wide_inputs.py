"""Inputs wider than a batch: steps by the rows of an earlier batch, and which networks take them."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.data.source import InMemory
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.covariance import input_covariance
from solving import he_weights, prepared, solved

N = 1100  # more than `gram_features`


def batch(m, k=3, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    Z, E = rng.standard_normal((m, N)) * rng.exponential(size=N) + 1, rng.standard_normal((m, k)) + 1
    return torch.tensor(Z, dtype=dtype), torch.tensor(E, dtype=dtype)


def centred_and_weighted(Z, E, weight, bias):
    weight = np.ones(len(Z)) if weight is None else weight.numpy() / weight.numpy().mean()
    Z, E = Z.numpy(), E.numpy()
    if bias:
        Z, E = Z - np.average(Z, 0, weight), E - np.average(E, 0, weight)
    return Z * np.sqrt(weight)[:, None], E * np.sqrt(weight)[:, None]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_that_of_the_gram_matrix_of_the_earlier_batch(bias, weighted):
    """Against an explicit inverse: the rows are of the first batch, the right-hand side of the second."""
    solver = DampedLeastSquares(0.5, bias)
    weight = torch.linspace(0.5, 2, 40, dtype=torch.float64) if weighted else None
    first, second = batch(40), batch(40, seed=1)
    solved(solver, *first, 0, sample_weight=weight)
    assert solver.form == "earlier batch"
    D, length = solved(solver, *second, 1, sample_weight=weight)  # every other update factorizes again
    S, _ = centred_and_weighted(*first, weight, bias)
    Z, E = centred_and_weighted(*second, weight, bias)
    G = S.T @ S / len(S)
    expected = np.linalg.solve(G + 0.5 * np.trace(G) / N * np.eye(N), Z.T @ E / len(Z))
    np.testing.assert_allclose(D[:N], expected, rtol=1e-8, atol=1e-12)
    total = np.ones(len(E)) if weight is None else weight.numpy()
    moved = second[0].numpy() @ D[:N].numpy() + (D[N].numpy() if bias else 0)
    np.testing.assert_allclose(length, np.sqrt(np.average((moved**2).sum(1), weights=total)), rtol=1e-8)
    if bias:
        means = [np.average(each, 0, total) for each in (*second, moved)]
        np.testing.assert_allclose(means[2], means[1], rtol=1e-8)


def test_the_penalty_of_unknown_directions_counts_with_their_variance():
    solver = DampedLeastSquares(0.5, False, n_samples=400)
    Z, E = batch(40)
    gradient = torch.ones(N, 3, dtype=torch.float64)
    D, _ = solved(solver, Z, torch.zeros_like(E), 0, -gradient)
    G = (Z.T @ Z / 40).numpy()
    d = 0.5 * np.trace(G) / N
    expected = np.linalg.solve(G + d * np.eye(N), -gradient.numpy()) * d / (d + np.trace(G) / 400)
    np.testing.assert_allclose(D, expected, rtol=1e-8)


@pytest.mark.parametrize("bias", [False, True])
def test_a_step_by_sparse_rows_is_that_of_the_gram_matrix_of_their_batch(bias):
    """Against an explicit inverse; no rows are remembered, which would have to be dense."""
    X = scipy.sparse.csr_array(scipy.sparse.random(40, N, density=0.02, random_state=np.random.default_rng(0)))
    solver, weight = DampedLeastSquares(0.5, bias), torch.linspace(0.5, 2, 40, dtype=torch.float64)
    solved(solver, SparseRows(X[::-1].tocsr()), batch(40, seed=1)[1], 0, sample_weight=weight)
    E = batch(40)[1]
    D, length = solved(solver, SparseRows(X), E, 1, sample_weight=weight)
    assert solver.form == "dual"
    Z, E = centred_and_weighted(torch.from_numpy(X.toarray()), E, weight, bias)
    G = Z.T @ Z / 40
    expected = np.linalg.solve(G + 0.5 * np.trace(G) / N * np.eye(N), Z.T @ E / 40)
    np.testing.assert_allclose(D[:N], expected, rtol=1e-8, atol=1e-12)
    moved = X @ D[:N].numpy() + (D[N].numpy() if bias else 0)
    np.testing.assert_allclose(length, np.sqrt(np.average((moved**2).sum(1), weights=weight.numpy())), rtol=1e-8)


@pytest.mark.parametrize(
    ("columns", "density", "low_rank", "form"),
    [(1100, 0.02, True, "dual"), (1100, 0.5, True, "earlier batch"), (1100, 0.02, False, "primal"),
     (900, 0.02, True, "primal"), (4200, 0.5, False, "dual")],
)  # fmt: skip
def test_the_form_of_sparse_rows(columns, density, low_rank, form):
    X = scipy.sparse.csr_array(
        scipy.sparse.random(40, columns, density=density, random_state=np.random.default_rng(0))
    )
    solver = DampedLeastSquares(0.5, True, low_rank=low_rank)
    solved(solver, SparseRows(X), batch(40)[1], 0)
    assert solver.form == form


def test_single_precision_is_double_precision_to_rounding():
    steps = []
    for dtype in (torch.float64, torch.float32):
        solver = DampedLeastSquares(0.5, True)
        for seed in range(3):
            D, _ = solved(solver, *batch(40, seed=seed, dtype=dtype), seed)
        steps.append(D.double().numpy())
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-3, atol=1e-5 * np.abs(steps[0]).max())


def test_a_restored_solver_goes_on_as_the_other():
    solver, other = DampedLeastSquares(0.5, True, 0.9), DampedLeastSquares(0.5, True, 0.9)
    for seed in range(3):
        solved(solver, *batch(40, seed=seed), seed)
    other.restore(solver.state())
    steps = [solved(each, *batch(40, seed=3), 3)[0] for each in (solver, other)]
    assert other.form == "earlier batch"
    assert torch.equal(*steps)


def regression(container, weight=None):
    """A sweep for real targets of wide inputs, their scaled rows (n, N), and the targets."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.csr_array(scipy.sparse.random(300, N, density=0.05, random_state=rng))
    Y = torch.from_numpy(rng.standard_normal((300, 2)))
    rows = SparseRows(X) if container == "sparse" else torch.from_numpy(X.toarray() + rng.standard_normal(N))
    source = InMemory(rows, Y, weight)
    weights = he_weights((N, 5, 2), True, torch.Generator().manual_seed(0), torch.float64)
    scaling = Relaxed().input_scaling(source, "real", True, False)
    network = Network(weights, get_activation("relu"), output=Output("identity"), inputs=scaling)
    sweep = Relaxed().prepare(network, source, Plan(n_samples=300, n_updates=10, batch_size=100))
    Z = network.scaled_inputs(rows)
    return sweep, Z.dense() if container == "sparse" else Z, source


@pytest.mark.parametrize("container", ["dense", "sparse"])
@pytest.mark.parametrize("weighted", [False, True])
def test_real_targets_know_the_gram_matrix_of_all_inputs(container, weighted):
    """Formed before the first batch, factorized with it, and left alone by all others, a rejected one included."""
    weight = torch.linspace(0.1, 3, 300, dtype=torch.float64) if weighted else None
    sweep, Z, source = regression(container, weight)
    w = np.ones(300) if weight is None else weight.numpy()
    expected = np.cov(Z.numpy().T, aweights=w, ddof=0)
    solver = sweep.solvers[0].primal
    np.testing.assert_allclose(solver.gram, expected, atol=1e-10)
    sweep(source.X[slice(100)], source.Y[:100])
    inverse = solver.inverse.clone()
    np.testing.assert_allclose(
        inverse.double(), np.linalg.inv(expected + np.trace(expected) / N * np.eye(N)), rtol=1e-5, atol=1e-6
    )
    sweep(source.X[slice(100, 200)], source.Y[100:200])
    sweep._roll_back()
    sweep(source.X[slice(200, 300)], source.Y[200:])
    assert torch.equal(solver.inverse, inverse)


def test_many_rows_are_a_part_of_them():
    X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = Network(he_weights((8, 2), True, torch.Generator(), torch.float64), get_activation("relu"))
    gram, size = input_covariance(network, InMemory(X, X))  # of every fourth
    np.testing.assert_allclose(gram, np.cov(X[::4].numpy().T, ddof=0), atol=1e-12)
    np.testing.assert_allclose(size, X[::4].square().mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "plan", [Plan(n_samples=300, batch_size=100), Plan(n_samples=300, n_updates=9, batch_size=100)]
)
@pytest.mark.parametrize("settings", [Relaxed(noise=0.2), Relaxed()])
def test_inputs_that_change_keep_the_running_matrix(settings, plan):
    """Those of a stream, and masked ones."""
    weights = he_weights((N, 5, 2), True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, get_activation("relu"), output=Output("identity"))
    sweep = prepared(settings, network, batch(40)[0], plan)
    known = plan.n_updates is not None and settings.noise == "auto"
    assert (sweep.solvers[0].primal.gram is not None) == known


@pytest.mark.parametrize(
    ("output", "form"), [("softmax", "earlier batch"), ("sigmoid", "earlier batch"), ("identity", "primal")]
)
def test_real_targets_keep_the_gram_matrix_of_all_batches(output, form):
    weights = he_weights((N, 5, 2), True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, get_activation("relu"), output=Output(output))
    sweep = prepared(Relaxed(), network)
    X, _ = batch(40)
    sweep(X, torch.eye(2, dtype=torch.float64)[torch.arange(40) % 2])
    assert [solver.form for solver in sweep.solvers] == [form, "primal"]


def test_an_exact_inverse_is_asked_for_by_a_small_damping():
    solver = DampedLeastSquares(1e-6, True)
    solved(solver, *batch(40), 0)
    assert solver.form == "primal"


@pytest.mark.parametrize("alpha", [0, "auto"])
def test_a_wide_regression_is_learned(alpha):
    """30 of 90 rows in a batch: steps along what a batch does not know were too long, R2 was -1.6."""
    X, y = make_regression(90, N, n_informative=20, noise=1.0, random_state=0)
    model = NMFNetRegressor((20,), batch_size=30, alpha=alpha, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9


def test_wide_classes_are_learned():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = rng.standard_normal((400, N)) + (rng.standard_normal((4, N)) * (rng.random(N) < 0.1))[y]
    X, X_test, y, y_test = train_test_split(X, y, test_size=200, random_state=0)
    assert NMFNetClassifier((20,), random_state=0).fit(X, y).score(X_test, y_test) > 0.9


def documents(n, columns, seed):
    """Counts of words by Zipf's law, a fifth of them of one of three topics."""
    rng = np.random.default_rng(seed)
    topics, labels = np.random.default_rng(7).dirichlet(np.full(columns, 0.02), 3), rng.integers(0, 3, n)
    common = 1 / np.arange(1, columns + 1)
    words = 0.8 * common / common.sum() + 0.2 * topics
    counts = np.array([rng.multinomial(50, words[label] / words[label].sum()) for label in labels])
    return scipy.sparse.csr_array(counts / np.linalg.norm(counts, axis=1, keepdims=True)), labels


@pytest.mark.parametrize("hidden", [(50,), ()], ids=["a hidden layer", "linear"])
@pytest.mark.parametrize("units", [False, True], ids=["one unit", "units of their own"])
def test_words_that_outnumber_documents(units, hidden):
    """Rare words have too few samples for least squares, or for a penalty on directions that a batch does not know."""
    (X, y), (X_test, y_test) = documents(300, 5000, 0), documents(600, 5000, 1)
    if units:
        scale = scipy.sparse.csr_array(scipy.sparse.diags(np.exp(2 * np.random.default_rng(0).standard_normal(5000))))
        X, X_test = scipy.sparse.csr_array(X @ scale), scipy.sparse.csr_array(X_test @ scale)
    model = NMFNetClassifier(hidden, random_state=0).fit(X, y)
    linear = LogisticRegression(C=100, max_iter=500).fit(X, y)
    assert model.score(X_test, y_test) > (0.8 if units else linear.score(X_test, y_test) - 0.02)
    if not units:
        assert log_loss(y_test, model.predict_proba(X_test)) < log_loss(y_test, linear.predict_proba(X_test))
