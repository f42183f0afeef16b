"""What X may be: memory maps, data frames, sparse matrices, tensors; what comes back."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor, Pinv, Relaxed
from nmfnet.estimators.data import checked_data
from nmfnet.linalg import affine
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.sparse import SparseRows
from solving import input_scaling

ESTIMATORS = [NMFNetClassifier, NMFNetRegressor]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)
formats = pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])


def random_csr(shape, density, rng):
    """A random sparse array, as SciPy 1.11 makes it, too."""
    return sparse.csr_array(sparse.random(*shape, density, "csr", random_state=rng))


@pytest.fixture
def counts():
    """A sparse matrix in float64, most of whose entries are 0, and classes that depend on it."""
    X = random_csr((300, 40), 0.1, np.random.default_rng(0))
    return X, (X.toarray()[:, :20].sum(1) > X.toarray()[:, 20:].sum(1)).astype(int)


@both
def test_read_only_memory_maps(Estimator, small, tmp_path, recwarn):
    X, y = small
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = Estimator((4,), random_state=0).fit(mapped, y)
    expected = Estimator((4,), random_state=0).fit(X.astype(np.float32), y)
    np.testing.assert_array_equal(model.predict(mapped), expected.predict(mapped))
    np.testing.assert_array_equal(mapped, X.astype(np.float32))
    assert not recwarn.list


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backwards", [False, True])
def test_real_targets_are_neither_copied_nor_written_into(solver, dtype, backwards, small):
    X = small[0].astype(dtype)
    Y = np.ascontiguousarray(X[:, 1:4] * [1, 20, 300] + 5, dtype=dtype)
    Y = Y[::-1] if backwards else Y
    before = Y.copy()
    Y.flags.writeable = False
    model = NMFNetRegressor((4,), solver=solver, batch_size=len(X), random_state=0)
    assert np.shares_memory(checked_data(model, X, Y, None).Y, Y)
    model.fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(Y, before)
    expected = NMFNetRegressor((4,), solver=solver, batch_size=len(X), random_state=0).fit(X, before)
    np.testing.assert_array_equal(model.predict(X), expected.partial_fit(X, before).predict(X))


@pytest.mark.parametrize("order", [np.asfortranarray, lambda X: X[::-1, ::-1][::-1, ::-1], lambda X: X[:, ::-1]])
def test_any_memory_order(order, small):
    X, y = small
    model = NMFNetRegressor((4,), random_state=0).fit(order(X), y)
    expected = NMFNetRegressor((4,), random_state=0).fit(np.ascontiguousarray(order(X)), y)
    np.testing.assert_allclose(model.predict(X), expected.predict(X))


@both
def test_data_frames(Estimator, small):
    X, y = small
    frames = []
    for library in ("pandas", "polars"):
        module = pytest.importorskip(library)
        frame = module.DataFrame({name: X[:, i] for i, name in enumerate("abcde")})
        model = Estimator((4,), random_state=0).fit(frame, module.Series(y))
        assert model.feature_names_in_.tolist() == list("abcde")
        expected = Estimator((4,), random_state=0).fit(X, y).predict(X)
        np.testing.assert_allclose(model.predict(frame), expected)  # frames have another memory order
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[list("edcba")])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(X)
        frames.append(frame)
    assert len(frames) == 2


def test_a_negative_column_is_named(small):
    pd = pytest.importorskip("pandas")
    X, y = small
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["d"] -= 0.5
    with pytest.raises(ValueError, match="column 'd' has a minimum of"):
        NMFNetClassifier((3,), pretrain="nmf").fit(frame, y)


@formats
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_inputs(form, dtype, counts):
    X, y = counts
    X = form(X, dtype=dtype)
    model = NMFNetClassifier((20,), random_state=0, solver=Relaxed(noise=0.1)).fit(X[:200], y[:200])
    assert model.coefs_[0].dtype == dtype
    assert model.score(X[200:], y[200:]) > 0.7
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(X.toarray()), rtol=1e-3)
    assert not model.network_.inputs.shift.any()


@pytest.mark.parametrize("wide", [4096, 1], ids=["primal", "dual"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_is_dense(fit_intercept, wide, weighted, counts, monkeypatch):
    """Where nothing is centred, a sparse matrix gives the weights that its dense form gives."""
    monkeypatch.setattr(DampedLeastSquares, "primal_max_features", wide)
    X, y = counts[0][:30], counts[1][:30]
    weight = np.arange(1.0, 31.0) if weighted else None
    solver = Relaxed(standardize=False, dropout=0.0)
    alpha = 0.0 if wide == 1 else 0.1  # the dual form knows fewer directions for a penalty
    model = NMFNetRegressor((5,), solver=solver, fit_intercept=fit_intercept, alpha=alpha, random_state=0)
    one = model.fit(X, y, sample_weight=weight).coefs_
    for a, b in zip(one, model.fit(X.toarray(), y, sample_weight=weight).coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@formats
def test_pinv_takes_sparse_inputs(form, counts):
    X, y = counts
    model = NMFNetClassifier((10,), solver=Pinv(), random_state=0, max_iter=3)
    one = model.fit(form(X), y).coefs_[0]
    np.testing.assert_array_equal(one, model.fit(X.toarray(), y).coefs_[0])


def test_duplicate_entries_are_summed_and_the_matrix_stays():
    parts = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 0, 2]), np.array([0, 2, 3, 4])
    X, y = sparse.csr_array(parts, shape=(3, 3)), [0.0, 1.0, 2.0]
    model = NMFNetRegressor((3,), random_state=0)
    expected = model.fit(sparse.csr_array(X.toarray()), y).coefs_[0]
    np.testing.assert_array_equal(model.fit(X, y).coefs_[0], expected)
    assert X.data.tolist() == [1, 2, 3, 4]


def test_sparse_inputs_are_never_dense(monkeypatch):
    X = random_csr((500, 20_000), 1e-3, np.random.default_rng(0))
    y = np.arange(500) % 2

    def refuse(self):
        raise AssertionError("made dense")

    monkeypatch.setattr(SparseRows, "dense", refuse)
    model = NMFNetClassifier((10,), random_state=0, max_iter=3).fit(X, y)
    model.partial_fit(X[:50], y[:50])
    assert model.predict(X).shape == (500,)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0]], ids=str)
def test_products_of_sparse_rows(weight):
    from nmfnet.linalg.sparse import CentredRows

    rng = np.random.default_rng(0)
    A = random_csr((4, 6), 0.5, rng)
    X, W, E = SparseRows(A), torch.tensor(rng.random((6, 3))), torch.tensor(rng.random((4, 2)))
    D = torch.tensor(A.toarray())
    weight = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    w = torch.ones(4, dtype=torch.float64) if weight is None else weight
    torch.testing.assert_close(X.dense(), D)
    torch.testing.assert_close(X @ W, D @ W)
    torch.testing.assert_close(affine(X, torch.vstack([W, W[:1]])), D @ W + W[0])
    torch.testing.assert_close(X.transposed_product(E), D.T @ E)
    torch.testing.assert_close(X.mean(weight), w @ D / w.sum())
    torch.testing.assert_close(X.scaled(W[:, 0]).dense(), D * W[:, 0])
    torch.testing.assert_close(X[torch.tensor([3, 1])].dense(), D[[3, 1]])
    assert [len(part) for part in X.split(3)] == [3, 1]
    for centre in (None, D.mean(0)):
        C = w.sqrt()[:, None] * (D if centre is None else D - centre)
        centred = CentredRows(X, centre, weight)
        torch.testing.assert_close(centred @ W, C @ W)
        torch.testing.assert_close(centred.outer(), C @ C.T)
        torch.testing.assert_close(centred.transposed_product(E), C.T @ E)


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e-200])
def test_scale_of_sparse_columns(spread):
    rng = np.random.default_rng(0)
    A = random_csr((200, 10), 0.2, rng)
    units = np.ones(10)
    units[:5] = spread
    X = SparseRows((A * units).tocsr())
    scaled = input_scaling(X, 0.9)(X)
    assert float(scaled.dense().square().mean()) == pytest.approx(1)
    reach = scaled.dense().abs().amax(0)
    assert float(reach.max() / reach.min()) < 1.3  # those of uniform numbers up to 1


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_in_tensors_out(Estimator, dtype, small):
    X, y = torch.from_numpy(small[0]).to(dtype), torch.from_numpy(small[1])
    model = Estimator((4, 3), random_state=0).fit(X, y, X_val=X, y_val=y, sample_weight=torch.ones(40))
    expected = Estimator((4, 3), random_state=0).fit(X.numpy(), y.numpy(), sample_weight=np.ones(40))
    methods = ["predict", "transform", *(["predict_proba", "decision_function"] if hasattr(model, "classes_") else [])]
    for method in methods:
        found = getattr(model, method)(X)
        assert isinstance(found, torch.Tensor) and found.device == X.device
        np.testing.assert_array_equal(found.numpy(), getattr(expected, method)(X.numpy()))
    assert model.score(X, y) == expected.score(X.numpy(), y.numpy())
    assert model.n_features_in_ == 5


def test_tensors_that_require_gradients_and_labels_of_text(small):
    X, y = torch.from_numpy(small[0]).requires_grad_(), np.array(["a", "b", "c"])[small[1]]
    model = NMFNetClassifier((4,), random_state=0).fit(X, y)
    assert set(model.predict(X)) <= {"a", "b", "c"}
    assert not model.predict_proba(X).requires_grad
    assert model.partial_fit(X, y).n_iter_ == 21


MEMORY = """
import numpy as np, torch
from nmfnet import NMFNetClassifier

def fit(X):
    NMFNetClassifier((20,), max_iter=1, random_state=0).fit(X, np.arange(len(X)) % 10)

def memory(name):  # not ru_maxrss, which begins with that of the process that started this one
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(name))

X = np.random.default_rng(0).random((30_000, 784), dtype=np.float32)
fit(X[:2000])  # what libraries take once
before = memory("VmRSS")
fit(X)
print((memory("VmHWM") - before) / X.nbytes)
fit(torch.from_numpy(X))
print((memory("VmHWM") - before) / X.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux does")
def test_no_copy_is_made():
    """The most memory of a process that fits an array, and then a tensor, against the size of X."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(nmfnet.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "500000",  # what is freed is given back at once
    }
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert all(float(added) < 0.5 for added in done.stdout.split()), done.stdout


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((6, 2), float("inf")), "Input X contains infinity"),
        (torch.ones(6), "Expected 2D array, got 1D array"),
        (torch.ones(0, 2), r"0 sample\(s\)"),
        (torch.ones(6, 0), r"0 feature\(s\)"),
        (torch.ones(6, 2, dtype=torch.complex64), "Complex data"),
        (torch.ones(5, 2), "inconsistent numbers of samples"),
        (torch.eye(6).to_sparse(), "sparse tensor"),
    ],
)
def test_bad_tensors(bad, message):
    with pytest.raises(ValueError, match=message):
        NMFNetRegressor((2,)).fit(bad, torch.arange(6.0))


@both
def test_tensors_of_other_width(Estimator, small):
    X, y = (torch.from_numpy(A) for A in small)
    model = Estimator((3,), random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=re.escape("X has 4 features, but")):
        model.predict(X[:, :4])


def test_integers_and_half_precision(small):
    X = torch.arange(40).reshape(20, 2)
    assert NMFNetRegressor((2,)).fit(X, X[:, 0].float()).coefs_[0].dtype == np.float64
    assert NMFNetRegressor((2,)).fit(X.half(), X[:, 0].float()).coefs_[0].dtype == np.float32


@both
def test_set_output(Estimator, small):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    X, y = small
    model = Estimator((4, 3), random_state=0).fit(X, y)
    names = [f"{Estimator.__name__.lower()}{i}" for i in range(3)]
    assert model.get_feature_names_out().tolist() == names
    codes = model.transform(X)
    for library, Frame in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        frame = model.set_output(transform=library).transform(X)
        assert isinstance(frame, Frame) and list(frame.columns) == names
        np.testing.assert_array_equal(frame.to_numpy(), codes)


def test_codes_of_every_layer(small):
    X, y = small
    model = NMFNetClassifier((4, 3), activation=["relu", "tanh"], random_state=0).fit(X, y)
    first = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    second = np.tanh(first @ model.coefs_[1] + model.intercepts_[1])
    for layer, expected in ((0, first), (-2, first), (1, second), (-1, second)):
        np.testing.assert_allclose(model.layer_codes(X, layer), expected, atol=1e-10)
    np.testing.assert_array_equal(model.transform(X), model.layer_codes(X))
    np.testing.assert_array_equal(model.fit_transform(X, y), model.transform(X))
    for layer in (2, -3, 0.5, "first"):
        with pytest.raises(ValueError, match="layer must be the number of one of the 2 hidden layers"):
            model.layer_codes(X, layer)
    with pytest.raises(ValueError, match="has no hidden layer: transform and layer_codes return"):
        NMFNetClassifier(()).fit(X, y).transform(X)


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_decision_function(solver, small):
    X, y = small
    model = NMFNetClassifier((4,), solver=solver, random_state=0).fit(X, y)
    D = model.decision_function(X)
    assert D.shape == (40, 3)
    np.testing.assert_array_equal(D.argmax(1), model.predict(X))
    model.fit(X, y == 1)
    D = model.decision_function(X)
    assert D.shape == (40,)
    np.testing.assert_array_equal(D > 0, model.predict(X))
    Y = np.column_stack([y == 0, y != 1]).astype(int)
    model.fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X) > 0, model.predict(X))
