"""The loop, the sweep's settings and the pre-training."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.exceptions import ConvergenceWarning

from nmfnet import Callback, DataError, DivergenceError, DivergenceWarning, NMFNetRegressor, NMFPretraining, Pinv
from nmfnet.data.source import InMemory
from nmfnet.factorization import nonlinear_least_squares
from nmfnet.layers.activations import ACTIVATIONS, get_activation
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.training import FitSettings, fit_network
from solving import he_weights, prepared


class FakeSolver:
    """Calls `step` instead of a sweep; the outputs are those of the network."""

    min_batch_samples, penalizes_bias = 1, True

    def __init__(self, step):
        self.step = step

    def prepare(self, network, source, plan):
        return FakeSweep(network, self.step)


class FakeSweep:
    retries = 0

    def __init__(self, network, step):
        self.network, self.step, self.calls = network, step, 0

    def weights(self):
        return self.network.weights

    def __call__(self, X, Y, sample_weight=None):
        outputs = self.network.predict(X)
        self.calls += 1
        self.network.weights[0] = self.step(self.network.weights[0], self.calls)
        return outputs


def run(step, max_iter=5, *, validation=None, callbacks=(), tol=0.0, n_iter_no_change=100, batch_size=10):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(10, 2, generator=generator)
    source = InMemory(X, X @ torch.ones(2, 1))
    network = Network([torch.zeros(2, 1)], get_activation("relu"), intercept=False)
    settings = FitSettings(
        lambda o, Y: (o - Y).square().mean(1), batch_size, max_iter, tol=tol, n_iter_no_change=n_iter_no_change
    )
    fitted, history, _ = fit_network(
        network, FakeSolver(step), source, settings, generator,
        validation=source if validation else None, callbacks=callbacks,
    )  # fmt: skip
    return fitted.weights[0], history


def test_non_finite_weights_end_the_training_with_the_last_good_ones():
    with pytest.warns(DivergenceWarning, match="Epoch 3 ended with non-finite weights"):
        W, history = run(lambda W, call: W + 1 if call < 3 else W * float("nan"))
    assert torch.equal(W, torch.full((2, 1), 2.0))
    assert [record["epoch"] for record in history] == [1, 2]


def test_non_finite_weights_in_the_first_epoch_are_an_error():
    with pytest.raises(DivergenceError, match="first epoch"):
        run(lambda W, call: W / 0)


def test_an_interrupt_keeps_the_last_complete_sweep():
    def step(W, call):
        if call == 4:
            raise KeyboardInterrupt
        return W + 1

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        W, history = run(step, batch_size=5)  # two batches an epoch: the fourth is half-way in the second
    assert torch.equal(W, torch.full((2, 1), 3.0))
    assert len(history) == 1


def test_an_interrupted_sweep_leaves_the_weights_as_they_were(monkeypatch):
    X = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    network = Network(
        he_weights([4, 5, 5, 2], True, torch.Generator().manual_seed(0), X.dtype), get_activation("relu")
    )
    sweep, before, calls = prepared(Pinv(), network, X), [W.clone() for W in network.weights], []

    def pressed(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:  # the last layer is done, the one below is not
            raise KeyboardInterrupt
        return nonlinear_least_squares(*args, **kwargs)

    monkeypatch.setattr("nmfnet.solvers.pinv.sweep.nonlinear_least_squares", pressed)
    with pytest.raises(KeyboardInterrupt):
        sweep(X, X[:, :2])
    assert all(map(torch.equal, sweep.weights(), before))


def test_an_interrupt_before_the_first_sweep_leaves_the_first_weights(monkeypatch):
    def pressed(self, network, source, plan):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeSolver, "prepare", pressed)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        W, history = run(lambda W, call: W + 1)
    assert torch.equal(W, torch.zeros(2, 1)) and not history


def test_the_best_epoch_on_the_validation_set_is_restored():
    W, history = run(lambda W, call: W + 0.4, max_iter=6, validation=True)  # 0.4, 0.8, 1.2, ...: best is 0.8 or 1.2
    errors = [record["val_error"] for record in history]
    assert np.argmin(errors) in (1, 2)
    assert W[0, 0] == pytest.approx(0.4 * (np.argmin(errors) + 1))
    assert len(history) == 6


def test_training_stops_without_progress():
    _, history = run(lambda W, call: W, max_iter=50, n_iter_no_change=4)
    assert len(history) == 5  # the first is progress by definition


def test_history_and_hooks():
    seen = []

    class Hooks(Callback):
        def on_batch_end(self, batch, n_batches):
            seen.append((batch, n_batches))

        def on_epoch_end(self, network, record):
            seen.append(record)

    _, history = run(lambda W, call: W + 0.1, max_iter=2, callbacks=[Hooks()], batch_size=4)
    assert seen == [(1, 3), (2, 3), (3, 3), history[0], (1, 3), (2, 3), (3, 3), history[1]]
    assert list(history[0]) == ["epoch", "objective", "train_loss", "train_error", "n_samples", "seconds"]
    assert history[0]["train_error"] == history[0]["train_loss"] != history[0]["objective"]  # after the epoch
    assert 0 < history[0]["seconds"] <= history[1]["seconds"]


def test_an_interrupt_never_leaves_non_finite_weights():
    def step(W, call):
        if call == 2:
            raise KeyboardInterrupt
        return W * float("nan")

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        W, _ = run(step, batch_size=5)
    assert torch.equal(W, torch.zeros(2, 1))


def test_overflow_in_pretraining_is_a_named_error():
    X = np.full((20, 4), 1e20, dtype=np.float32) * np.random.default_rng(0).random((20, 4), dtype=np.float32)
    with pytest.raises(DivergenceError, match="Scale the data"):
        NMFNetRegressor((5,), pretrain="nmf").fit(X, X[:, 0] / 1e20)


def test_alpha_is_against_the_whole_sum_of_squares_whatever_the_batch():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 4))
    y = X @ np.arange(1.0, 5.0)
    expected = Ridge(alpha=300.0, fit_intercept=False).fit(X, y).coef_
    for first_layer in ("data", "batch"):
        solver = Pinv(n_w=1, delta_x=0.0, omega=0.1, first_layer=first_layer)
        model = NMFNetRegressor(
            (), solver=solver, batch_size=250, alpha=300.0, fit_intercept=False, max_iter=300, tol=0,
            n_iter_no_change=1000, random_state=0,
        ).fit(X, y)  # fmt: skip
        np.testing.assert_allclose(model.coefs_[0][:, 0], expected, rtol=0.01)


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (10, 1), (7, 100), (1, 1), (11, 10)])
def test_batches_are_a_permutation_in_equal_parts(n, size):
    rows = torch.arange(float(n))[:, None]
    source = InMemory(rows, rows, rows[:, 0])
    batches = list(source.batches(size, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat([batch.X for batch in batches]).flatten().tolist()) == list(range(n))
    assert all(torch.equal(batch.X, batch.Y) and torch.equal(batch.X[:, 0], batch.weight) for batch in batches)
    assert all(batch.n_new == len(batch.X) and batch.share == 1 for batch in batches)
    lengths = [len(batch.X) for batch in batches]
    assert max(lengths) <= size and max(lengths) - min(lengths) <= 1
    later = list(source.batches(size, torch.Generator().manual_seed(0), start=1))
    assert all(torch.equal(a.X, b.X) for a, b in zip(later, batches[1:], strict=True))


@pytest.mark.parametrize("intercept", [False, True])
def test_one_linear_layer_is_lstsq_after_one_full_batch(intercept):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 2))
    solver = Pinv(n_w=1, delta_x=0.0)
    model = NMFNetRegressor((), solver=solver, max_iter=1, fit_intercept=intercept).fit(X, y)
    design = np.column_stack([X, np.ones(60)]) if intercept else X
    expected = scipy.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(model.coefs_[0], expected[:5], atol=1e-10)
    np.testing.assert_allclose(model.predict(X), design @ expected, atol=1e-10)


def test_mini_batches_of_one_linear_layer_converge_to_lstsq():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 5))
    y = X @ rng.standard_normal(5) + 0.01 * rng.standard_normal(600)
    model = NMFNetRegressor(
        (), solver=Pinv(n_w=1, delta_x=0.0), batch_size=100, max_iter=40, tol=0, random_state=0
    ).fit(X, y)
    expected = scipy.linalg.lstsq(np.column_stack([X, np.ones(600)]), y)[0]
    np.testing.assert_allclose(model.coefs_[0][:, 0], expected[:5], atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"sigmoid"}))
def test_a_sweep_reduces_the_objective_and_float32_agrees_with_float64(name, dtype):
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(300, 20, generator=generator, dtype=torch.float64)
    Y = torch.sin(4 * X[:, :3]).double()
    weights = he_weights([20, 30, 20, 3], True, generator, torch.float64)
    outputs = {}
    for kind in (torch.float64, torch.float32):
        network = Network([W.to(kind) for W in weights], get_activation(name), intercept=True)
        sweep = prepared(Pinv(), network, X.to(kind), Plan(n_samples=len(X)))
        for _ in range(3):
            sweep(X.to(kind), Y.to(kind))
        outputs[kind] = network.predict(X.to(kind))
    start = Network(weights, get_activation(name), intercept=True).predict(X)
    assert (outputs[dtype] - Y).square().sum() < 0.5 * (start - Y).square().sum()
    difference = (outputs[torch.float32].double() - outputs[torch.float64]).norm()
    assert difference < 0.02 * outputs[torch.float64].norm()


def test_the_penalty_shrinks_and_l1_thins_the_weights():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((200, 10)), rng.standard_normal(200)
    settings = {"solver": "pinv", "max_iter": 5, "random_state": 0}

    def weights(**penalty):
        return NMFNetRegressor((20, 15), **settings, **penalty).fit(X, y).coefs_

    plain, ridge, lasso = weights(), weights(alpha=1000.0), weights(alpha=10.0, l1_ratio=1.0)
    assert sum((W**2).sum() for W in ridge) < 0.6 * sum((W**2).sum() for W in plain)
    assert all((W != 0).all() for W in plain)
    assert all((W == 0).mean() > 0.2 for W in lasso)


@pytest.mark.parametrize("name", ["relu", "logistic", "tanh", "softplus"])
@pytest.mark.parametrize("intercept", [False, True])
def test_pretraining_reconstructs_and_starts_closer(name, intercept):
    f, pretraining, left = get_activation(name), NMFPretraining(n_ae=5), []
    for seed in range(5):
        generator, layers = torch.Generator().manual_seed(seed), []
        X = torch.rand(200, 4, generator=generator) @ torch.rand(4, 30, generator=generator)
        Y = X[:, :2].contiguous()
        network = Network(he_weights([30, 8, 6, 2], intercept, generator, X.dtype), f, intercept)
        before = (network.predict(X) - Y).square().sum()
        pretraining(network, InMemory(X, Y), generator, layers.append)
        assert layers == [1, 2]
        left.append(float((network.predict(X) - Y).square().sum() / before))
    # Without biases no code of these two is near 0, and one start in two leaves more.
    assert np.median(left) < (0.05 if intercept or name in ("relu", "tanh") else 0.15)
    Z, H = torch.rand(200, 8, generator=generator), torch.rand(8, 30, generator=generator)
    _, Z, H = pretraining.layer(X, Z, H, f, 1e-3, intercept)
    assert Z.min() >= 0 and H.min() >= 0


def test_pretraining_refuses_negative_data_and_says_how_to_proceed():
    X = np.array([[0.5, 1.0], [0.2, -3.0], [0.1, 1.0]])
    with pytest.raises(DataError, match=r"column 1 .* -3.*MinMaxScaler.*pretrain=None"):
        NMFNetRegressor(pretrain="nmf").fit(X, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_w": 0}, "n_w must be an integer of at least 1"),
        ({"n_z": 0}, "n_z must be an integer of at least 1"),
        ({"n_w": 2.5}, "n_w must be an integer"),
        ({"omega": 0}, r"omega must be a number in \(0, 1\]"),
        ({"delta": 1.0}, "delta"),
        ({"delta_x": -1}, "delta_x"),
        ({"first_layer": "rows"}, "first_layer must be 'data' or 'batch'"),
    ],
)
def test_bad_settings_of_the_solver(settings, message):
    with pytest.raises(ValueError, match=message):
        Pinv(**settings)


def test_bad_settings_of_the_pretraining():
    with pytest.raises(ValueError, match="n_ae must be an integer of at least 1"):
        NMFPretraining(n_ae=0)
    with pytest.raises(ValueError, match="delta_x must be a number in"):
        NMFNetRegressor(pretrain=NMFPretraining().set_params(delta_x=7)).fit([[1.0], [2.0]], [1.0, 2.0])


def test_pretraining_without_hidden_layers_takes_any_data():
    X = np.array([[-1.0], [2.0], [3.0]])
    assert NMFNetRegressor((), solver="pinv", pretrain="nmf", max_iter=1).fit(X, X[:, 0]).score(X, X[:, 0]) > 0.999
