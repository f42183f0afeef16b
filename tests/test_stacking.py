"""Weights of networks by held-out rows, and their sum as one network."""

import itertools
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import log_loss

import nmfnet
from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.source import InMemory
from nmfnet.estimators.fitting import Architecture
from nmfnet.network.calibration import fitted_temperature, output_rms
from nmfnet.network.outputs import Output
from nmfnet.training import folds
from nmfnet.training.folds import FOLD_UNITS
from nmfnet.training.scoring import Predicted
from nmfnet.training.stacking import MOST_STACKED, most_stacked, stacked, stacking_weights


def outputs(count, classes=3, n=200):
    """Targets, and outputs of networks of which the later ones know less."""
    rng = torch.Generator().manual_seed(0)
    Y = torch.eye(classes, dtype=torch.float64)[torch.arange(n) % classes]
    noise = torch.randn(count, n, classes, generator=rng, dtype=Y.dtype)
    return Y, Y + noise * torch.linspace(0.5, 3, count)[:, None, None], rng


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_the_weight_of_one_network_is_its_temperature(name):
    Y, A, rng = outputs(1)
    weight = torch.rand(len(Y), generator=rng, dtype=Y.dtype) + 0.5
    weight = weight / weight.mean()
    (found,) = stacking_weights(Output(name), A, Y, weight).tolist()
    assert 1 / found == pytest.approx(fitted_temperature(Output(name), A[0], Y, weight), rel=0.02)


def test_real_targets_that_are_a_sum():
    _, A, _ = outputs(3)
    share = torch.tensor([0.7, 0.0, 0.2], dtype=A.dtype)
    found = stacking_weights(Output("identity"), A, torch.einsum("c,cnk->nk", share, A))
    torch.testing.assert_close(found, share, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["softmax", "sigmoid", "identity"])
def test_few_networks_have_weights_and_these_are_no_worse_than_the_best(name):
    Y, A, _ = outputs(9)
    output = Output(name)
    found = stacking_weights(output, A, Y)
    assert 1 < int((found > 0).sum()) <= MOST_STACKED and bool((found >= 0).all())
    output = replace(output, temperature=1.0) if output.has_classes else output
    loss = output.prediction_loss(torch.einsum("c,cnk->nk", found, A), Y).mean()
    factor = 1 / fitted_temperature(output, A[0], Y) if output.has_classes else 1.0
    assert loss < output.prediction_loss(A[0] * factor, Y).mean()


@pytest.mark.parametrize("kind", ["classes", "real"])
def test_the_sum_is_that_of_the_outputs(kind):
    rng = torch.Generator().manual_seed(0)
    X, Y = (
        torch.randn(30, 5, generator=rng, dtype=torch.float64),
        torch.eye(3, dtype=torch.float64)[torch.arange(30) % 3],
    )
    architecture = Architecture([7, 6], "relu", True, kind)
    one, *others = (architecture.new_network(Relaxed(), InMemory(X, Y), rng) for _ in range(3))
    members = [torch.stack(each) for each in zip(*(network.weights for network in others), strict=True)]
    A = one.predict(X)
    found = stacked(one, members, 0.3, Predicted(A, Y, None))
    unit = output_rms(one.output, A) if kind == "classes" else 1.0
    origin = one.original_outputs(torch.zeros(1, 3, dtype=A.dtype))
    parts = [(0.3 / unit, one), *((1.0, network) for network in others)]
    expected = origin + sum(factor * (network.predict(X) - origin) for factor, network in parts)
    torch.testing.assert_close(found.predict(X), expected)
    assert found.hidden == [21, 18] and found.output.temperature == (1.0 if kind == "classes" else None)


@pytest.mark.parametrize("intercept", [False, True])
def test_weights_of_columns_as_those_of_pieces(intercept):
    rng = torch.Generator().manual_seed(0)
    X = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    X[:, 1] = 2.5  # constant
    X[:, 2] = (X[:, 2] > 0).double()
    W = torch.randn(3 + intercept, 4, generator=rng, dtype=X.dtype)
    encoding = PiecewiseLinear.of(X)
    V = encoding.weights_of(W, intercept)
    ones = torch.ones(50, int(intercept), dtype=X.dtype)
    A, B = torch.cat([X, ones], 1) @ W, torch.cat([encoding(X), ones], 1) @ V
    difference = A - B
    if not intercept:  # but for what needs one
        difference = difference - difference.mean(0)
    torch.testing.assert_close(difference, torch.zeros_like(A))


def steps(n=300, seed=0):
    """Classes by jumps along one column and another column, a tenth of them wrong."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    return X, (2 * (np.floor(2 * X[:, 0]) % 2) + X[:, 1] > 1) ^ (rng.random(n) < 0.1)


def test_where_held_out_rows_tell_nothing_there_is_one_network(monkeypatch):
    Y, A, _ = outputs(2)
    assert not stacking_weights(Output(), -A, Y).any()
    monkeypatch.setattr("nmfnet.training.folds.stacking_weights", lambda output, A, Y, weight: torch.zeros(len(A)))
    X, y = steps(60)
    sums, one = (NMFNetClassifier((5,), n_members=n, max_iter=3, random_state=0).fit(X, y) for n in ("auto", 1))
    assert sums.n_members_ == 1
    np.testing.assert_array_equal(sums.predict_proba(X), one.predict_proba(X))


@pytest.fixture(scope="module")
def model():
    return NMFNetClassifier((80,), n_members="auto", numeric_encoding="auto", random_state=0).fit(*steps())


def test_penalties_and_encodings_in_one_network(model, tmp_path):
    members, (X, _) = model.n_members_, steps(50, seed=1)
    assert 1 < members <= MOST_STACKED
    assert model.network_.hidden == [80] and model.temperature_ == 1
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.to_torch()(torch.from_numpy(X)).detach(), expected, atol=1e-10)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(nmfnet.load(tmp_path / "model.safetensors").predict_proba(X), expected)
    model.to_onnx(tmp_path / "model.onnx", dtype="float64")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(["probabilities"], {session.get_inputs()[0].name: X})[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_probabilities_are_no_worse_than_those_of_one_network(model):
    one = NMFNetClassifier((80,), n_members=1, numeric_encoding="standard", random_state=0).fit(*steps())
    X, y = steps(2000, seed=1)
    assert log_loss(y, model.predict_proba(X)) < log_loss(y, one.predict_proba(X))


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_trainings_that_go_on_are_of_the_whole_network(Estimator):
    X, y = steps(60)
    model = Estimator((FOLD_UNITS + 9,), max_iter=2, n_members=3, random_state=0).fit(X, y)
    assert model.network_.hidden == [3 * FOLD_UNITS + 9]
    model.partial_fit(X, y)
    model.set_params(warm_start=True, n_members="auto").fit(X, y)
    assert model.network_.hidden == [3 * FOLD_UNITS + 9]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [((), 4), ((128,), 4), ((100,), 3), ((100, 50), 2), ((32, 256), 2), ((31,), 1), ((256, 8), 1)],
)
def test_networks_that_units_are_enough_for(hidden, expected):
    assert most_stacked(hidden) == expected


def test_no_more_weights_than_asked_for():
    Y, A, _ = outputs(6)
    assert [int((stacking_weights(Output(), A, Y, most=most) > 0).sum()) for most in (1, 2, 3)] == [1, 2, 3]


def test_networks_share_the_units_and_none_reads_another(model):
    X = steps(50, seed=1)[0]
    count, (first, last) = model.n_members_, model.network_.weights
    assert first.shape[1] == 80 and model.transform(X).shape == (50, 80)
    deep = NMFNetRegressor((70, 40), random_state=0).fit(*steps(150))
    W, members = deep.network_.weights[1][:-1], deep.n_members_
    assert W.shape == (70, 40) and members == 2
    assert not W[:35, 20:].any() and not W[35:, :20].any() and W[:35, :20].any() and W[35:, 20:].any()
    assert count <= MOST_STACKED and len(last) == 81


def test_narrow_layers_and_a_given_penalty_are_of_one_network_as_without_folds_of_encodings():
    X, y = steps(150)
    for parameters in ({"hidden_layer_sizes": (31,)}, {"alpha": 0.5}, {"max_iter": 41}, {"warm_start": True}):
        auto = NMFNetClassifier(**{"max_iter": 3, "random_state": 0, **parameters}).fit(X, y)
        one = NMFNetClassifier(
            **{"max_iter": 3, "random_state": 0, **parameters}, n_members=1, numeric_encoding="standard"
        ).fit(X, y)
        assert auto.n_members_ == 1
        np.testing.assert_array_equal(auto.predict_proba(X), one.predict_proba(X))


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_a_sum_is_trained_further_as_one_network_of_the_units_asked_for(Estimator):
    X, y = steps(150)
    model = Estimator(max_iter=3, random_state=0).fit(X, y)
    alpha, members, shapes = model.alpha_, model.n_members_, [W.shape for W in model.coefs_]
    assert members > 1
    model.partial_fit(X, y)
    model.set_params(warm_start=True).fit(X, y)
    assert model.n_iter_ == 7 and (model.alpha_, model.n_members_) == (alpha, members)
    assert [W.shape for W in model.coefs_] == shapes and model.network_.hidden == [100]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("encoding", ["auto", "standard"])
def test_a_resumed_fit_ends_with_the_same_sum(encoding, tmp_path, monkeypatch):
    X, y = steps(150)

    class Stop(nmfnet.Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 3:
                raise RuntimeError

    model = NMFNetClassifier(max_iter=4, numeric_encoding=encoding, random_state=0).fit(X, y)
    assert model.n_members_ > 1
    stopped = NMFNetClassifier(**model.get_params()).set_params(callbacks=[Checkpoint(tmp_path, every=1), Stop()])
    with pytest.raises(RuntimeError):
        stopped.fit(X, y)
    monkeypatch.setattr("nmfnet.training.folds._from_folds", None)
    resumed = stopped.set_params(callbacks=[Checkpoint(tmp_path, every=1, resume=True)]).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), model.predict_proba(X))
    assert resumed.network_.hidden == [100] and resumed.n_members_ == model.n_members_


@pytest.mark.parametrize(("hidden", "n_members", "expected"), [(100, "auto", 32), (40, 1, 40), (100, 1, 64)])
def test_networks_of_folds_that_choose_weights_are_narrower(hidden, n_members, expected, monkeypatch):
    widths, stack = [], Relaxed.stack
    monkeypatch.setattr(Relaxed, "stack", lambda self, *args: (widths.append(args[0].hidden), stack(self, *args))[1])
    NMFNetClassifier((hidden,), max_iter=2, n_members=n_members, random_state=0).fit(*steps(60))
    assert widths[0] == [expected]


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_more_rows_than_the_folds_have_networks_are_trained_on_all(Estimator, weighted, monkeypatch):
    monkeypatch.setattr("nmfnet.training.folds.MOST_FOLDED", 80)
    monkeypatch.setattr("nmfnet.training.folds.FEWEST_FOLDED", 80)
    groups, trained = [], folds._trained
    monkeypatch.setattr(folds, "_trained", lambda *args: (groups.append(args[2].trained.shape), trained(*args))[1])
    X, y = steps(150)
    weight = np.linspace(0.5, 1.5, len(X)) if weighted else None
    model = Estimator(max_iter=3, random_state=0).fit(X, y, sample_weight=weight)
    assert model.n_members_ > 1 and model.network_.hidden == [100]
    assert {shape[0] for shape in groups} == {1, 4}
    assert all(shape[1] == (150 if shape[0] == 1 else 60) for shape in groups)


def test_members_of_all_rows_have_their_columns_and_classes_in_place(monkeypatch):
    monkeypatch.setattr("nmfnet.training.folds.MOST_FOLDED", 500)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1600, 4)) * [1, 2, 3, 4]
    y = np.where(np.sin(2 * X[:, 2]) + X[:, 0] + 0.5 * rng.standard_normal(len(X)) > 0, 7, 3)
    model = NMFNetClassifier(random_state=0).fit(X[:600], y[:600])
    assert model.n_members_ > 1
    for part in networks_of(model):  # each by itself, as the others could make up for one that has them mixed up
        found = model.classes_[part.predict(torch.from_numpy(X[600:])).argmax(1).numpy()]
        assert (found == y[600:]).mean() > 0.65


def test_for_many_rows_the_folds_choose_the_encoding_of_one_network(monkeypatch):
    monkeypatch.setattr("nmfnet.training.folds.MOST_STACKED_ROWS", 299)
    X, y = steps(300)
    auto = NMFNetClassifier(max_iter=5, random_state=0).fit(X, y)
    asked = NMFNetClassifier(max_iter=5, random_state=0, n_members=1, numeric_encoding="auto").fit(X, y)
    np.testing.assert_array_equal(auto.predict_proba(X), asked.predict_proba(X))
    assert auto.n_members_ == 1 and auto.history_[-1]["numeric_encoding"] == "piecewise"
    early = NMFNetClassifier(max_iter=5, random_state=0, early_stopping=True).fit(X, y)
    assert "numeric_encoding" not in early.history_[-1]


def networks_of(model):
    """The networks of a sum that shares the units of one hidden layer."""
    count, (first, last) = model.n_members_, model.network_.weights
    width = first.shape[1] // count
    starts = [0, *range(first.shape[1] - (count - 1) * width, first.shape[1], width), first.shape[1]]
    for begin, end in itertools.pairwise(starts):
        alone = torch.zeros_like(last)
        alone[begin:end] = last[begin:end]
        yield model.network_.with_weights([first, alone])
