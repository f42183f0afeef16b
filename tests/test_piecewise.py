"""Piecewise-linear encodings of numbers: what they are, and that whatever holds a network holds them."""

import pickle

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone

import nmfnet
from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor
from nmfnet.data.piecewise import PIECES, PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.layers import Conv2d


def steps(n=400, seed=0):
    """A table whose target jumps along the first column, which a network of standardized columns learns late."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_exponential(n), rng.standard_normal(n), rng.integers(0, 2, n)])
    return X, (np.floor(4 * X[:, 0]).astype(int) % 2) ^ (rng.random(n) < 0.05)


@pytest.fixture(scope="module")
def model():
    return NMFNetClassifier((16,), random_state=0, numeric_encoding="piecewise").fit(*steps())


@pytest.fixture(scope="module")
def chosen():
    return NMFNetClassifier((16,), random_state=0, n_members=1, numeric_encoding="auto").fit(*steps())


def test_a_piece_rises_in_its_interval_alone():
    x = torch.arange(9, dtype=torch.float64)[:, None] ** 2
    encoding = PiecewiseLinear.of(x)
    assert encoding.pieces == (8,)
    Z = encoding(x)
    torch.testing.assert_close(Z.mean(0), torch.zeros(8, dtype=Z.dtype))
    torch.testing.assert_close(Z.square().mean(0), torch.ones(8, dtype=Z.dtype))
    for k in range(8):
        torch.testing.assert_close(Z[: k + 1, k], Z[0, k].expand(k + 1))
        torch.testing.assert_close(Z[k + 1 :, k], Z[-1, k].expand(8 - k))
    half = encoding(torch.tensor([[2.5]]).double())
    torch.testing.assert_close(half[0, 1], (Z[1, 1] + Z[2, 1]) / 2)
    outside = encoding(torch.tensor([[-5.0], [1e9]]).double())
    torch.testing.assert_close(outside, Z[[0, -1]])


def test_number_of_pieces():
    n = 500
    X = torch.stack([torch.randn(n), torch.arange(n) % 2, torch.arange(n) % 5, torch.ones(n)], 1)
    X = torch.cat([X, torch.where(torch.arange(n) < 400, 0.0, torch.randn(n))[:, None]], 1)
    encoding = PiecewiseLinear.of(X)
    assert encoding.pieces[:4] == (PIECES, 1, 4, 1) and 1 < encoding.pieces[4] < PIECES
    Z = encoding(X)
    assert bool(Z.isfinite().all()) and not Z[:, encoding.column == 3].any()
    torch.testing.assert_close(Z[:, PIECES].abs(), torch.ones(n))  # two values: as it was


def test_of_scaled_columns_and_of_the_columns_themselves():
    X = torch.randn(200, 3, dtype=torch.float64) * torch.tensor([1e-6, 1.0, 1e6]) + torch.tensor([0.0, 5.0, 1e7])
    scaling = Scaling(X.mean(0), 1 / X.std(0))
    encoding = PiecewiseLinear.of(scaling(X))
    torch.testing.assert_close(encoding.after(scaling, X.dtype)(X), encoding(scaling(X)), rtol=1e-6, atol=1e-7)
    order = torch.tensor([2, 0, 1])
    turned = PiecewiseLinear.of(X[:, order])(X[:, order])
    torch.testing.assert_close(turned, encoding(scaling(X))[:, encoding.numbers(order)])


def test_folds_choose_them_where_they_help(chosen):
    standard = clone(chosen).set_params(numeric_encoding="standard").fit(*steps())
    X, y = steps(seed=1)
    assert isinstance(chosen.network_.inputs, PiecewiseLinear) and not isinstance(
        standard.network_.inputs, PiecewiseLinear
    )
    assert all(record["numeric_encoding"] == "piecewise" for record in chosen.history_)
    assert "numeric_encoding" not in standard.history_[0] and "piecewise-linear numbers" in chosen._repr_html_()
    assert chosen.score(X, y) > standard.score(X, y) + 0.05


def test_folds_keep_what_they_cannot_help():
    X = np.random.default_rng(0).standard_normal((300, 5))
    model = NMFNetRegressor((16,), random_state=0, n_members=1, numeric_encoding="auto").fit(X, X @ [1, 2, 3, -1, 1])
    assert type(model.network_.inputs) is Scaling and model.history_[0]["numeric_encoding"] == "standard"


@pytest.mark.parametrize("kind", ["given", "folds"])
def test_every_form_predicts_the_same(model, chosen, kind, tmp_path):
    fitted, X = (model if kind == "given" else chosen), steps(seed=2)[0]
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "model.safetensors")
    for other in (nmfnet.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert other.history_ == fitted.history_
    module = fitted.to_torch()
    np.testing.assert_allclose(torch.jit.script(module)(torch.from_numpy(X)).detach(), expected, atol=1e-12)
    np.testing.assert_allclose(NMFNetClassifier.from_torch(module).predict_proba(X), expected, atol=1e-12)
    fitted.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"X": X})[1], expected, atol=1e-7)


def test_training_goes_on_with_the_intervals_of_the_first(model, tmp_path):
    X, y = steps()
    stream = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    stream.save(tmp_path / "model.safetensors")
    other = nmfnet.load(tmp_path / "model.safetensors").partial_fit(X, y)
    np.testing.assert_array_equal(other.predict_proba(X), stream.partial_fit(X, y).predict_proba(X))
    warm = clone(model).set_params(warm_start=True, max_iter=3).fit(X, y).fit(10 * X, y)
    for each in (stream, other, warm):
        torch.testing.assert_close(each.network_.inputs.shift, model.network_.inputs.shift)
    first = NMFNetClassifier((16,), numeric_encoding="piecewise", random_state=0)
    for start in range(0, 400, 40):
        first.partial_fit(X[start : start + 40], y[start : start + 40], classes=[0, 1])
    assert isinstance(first.network_.inputs, PiecewiseLinear) and first.network_.inputs.n_in == 3


@pytest.mark.filterwarnings("error")
def test_a_resumed_fit_has_the_encoding_of_its_folds(chosen, tmp_path, monkeypatch):
    X, y = steps()

    class Stop(nmfnet.Callback):
        def on_batch_end(self, batch, n_batches):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        clone(chosen).set_params(callbacks=[Checkpoint(tmp_path, every=1), Stop()]).fit(X, y)
    monkeypatch.setattr("nmfnet.training.folds._from_folds", None)
    resumed = clone(chosen).set_params(callbacks=[Checkpoint(tmp_path, every=1, resume=True)]).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), chosen.predict_proba(X))
    assert [record["alpha"] for record in resumed.history_] == [record["alpha"] for record in chosen.history_]


def test_members_have_the_encoding_that_was_chosen():
    X, y = steps()
    model = NMFNetClassifier((100,), random_state=0).fit(X[:, [2, 1, 0]], y)
    W, n, count = model.network_.weights, model.network_.inputs.n_out, model.n_members_
    assert count > 1 and W[0].shape == (n + 1, 100)
    for member in range(count):  # each of which knows the pieces by their places in the network
        end = 100 - (count - 1 - member) * (100 // count)
        part = slice(end - 100 // count if member else 0, end)
        Z = (model.network_.inputs(torch.from_numpy(X[:, [2, 1, 0]])) @ W[0][:-1, part] + W[0][-1, part]).relu()
        outputs = Z @ W[1][part]
        assert ((outputs - outputs.mean(0)).argmax(1).numpy() == y).mean() > 0.65


def test_units_orders_and_copies_do_not_matter(chosen):
    X, y = steps()
    rng, columns, few = np.random.default_rng(0), [2, 0, 1], clone(chosen).set_params(max_iter=2)
    one = clone(few).fit(X, y)
    pieces = one.network_.inputs.pieces
    for rows in (rng.permutation(len(y)), np.tile(np.arange(len(y)), 2)):
        other = clone(few).fit((X * [1e5, 1e-4, 7])[rows][:, columns], y[rows])
        assert other.network_.inputs.pieces == tuple(pieces[column] for column in columns)
        assert other.alpha_ == pytest.approx(one.alpha_)


def test_missing_values_and_categories():
    X, y = steps()
    X[::7, 0] = np.nan
    model = NMFNetClassifier((16,), random_state=0, numeric_encoding="piecewise").fit(X, y)
    assert model.network_.inputs.pieces[-1] == 1 and np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize(
    ("parameters", "X"),
    [
        ({}, csr_array(np.eye(60))),
        ({"solver": "pinv"}, np.random.default_rng(0).random((60, 4))),
        ({"hidden_layer_sizes": (Conv2d(2, 3), 4)}, np.random.default_rng(0).random((60, 1, 8, 8))),
    ],
)
def test_what_they_are_not_for(parameters, X):
    y = np.arange(60) % 2
    with pytest.raises(ValueError, match="numeric_encoding='piecewise' is for dense"):
        NMFNetClassifier(numeric_encoding="piecewise", **parameters).fit(X, y)
    NMFNetClassifier(max_iter=1, numeric_encoding="auto", **parameters).fit(X, y)
    with pytest.raises(ValueError, match="numeric_encoding must be one of 'standard'"):
        NMFNetClassifier(numeric_encoding="plr").fit(np.eye(60), y)


def test_a_file_whose_pieces_do_not_fit_is_refused(model, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    model.save(path)
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    pieces = str(list(model.network_.inputs.pieces)).replace(" ", "")
    assert pieces in header["nmfnet"].replace(" ", "")
    for other in ("[400000000]", "[8,8]", "null"):
        text = header["nmfnet"].replace(" ", "").replace(f'"pieces":{pieces}', f'"pieces":{other}')
        save_file(tensors, path, {"nmfnet": text})
        with pytest.raises(nmfnet.ModelFileError):
            nmfnet.load(path)
