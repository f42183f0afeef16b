"""fit_module: a user's module, trained in place."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nmfnet import Callback, DivergenceError, NMFNetRegressor, Pinv, Relaxed, fit_module
from nmfnet.data.source import InMemory
from nmfnet.export.sequential import layers_of
from nmfnet.torch_training import _checked, _network


def mlp(*sizes, bias=True, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n, k in pairwise(sizes):
        layers += [nn.Linear(n, k, bias=bias), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])


def forward(module, X):
    with torch.no_grad():
        return module.eval()(torch.as_tensor(X).to(module[-1].weight.dtype if hasattr(module[-1], "weight") else None))


def test_classes(digits):
    X, X_test, y, y_test = digits
    module = mlp(64, 50, 10, dropout=0.1)
    history = fit_module(module, X, y, random_state=0)
    assert (forward(module, X_test).argmax(1).numpy() == y_test).mean() > 0.96
    assert history[-1]["epoch"] == 20 and history[-1]["train_error"] < history[0]["train_error"]


def test_images_and_probabilities(digits):
    X, X_test, y, y_test = digits
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 50), nn.Tanh()), nn.Linear(50, 10), nn.Softmax(1))
    parameters = list(module.parameters())
    fit_module(module, torch.tensor(X).reshape(-1, 8, 8), torch.tensor(y), random_state=0)
    assert all(p is q for p, q in zip(module.parameters(), parameters, strict=True))  # in place
    P = forward(module[:-1], torch.tensor(X_test).float().reshape(-1, 8, 8))
    assert (P.argmax(1).numpy() == y_test).mean() > 0.95


def test_a_linear_module_finds_the_least_squares_fit():
    X, y = load_diabetes(return_X_y=True)
    X = 100 * X + 50
    module = nn.Sequential(nn.Linear(10, 1)).double()
    fit_module(module, X, y, solver=Relaxed(delta=0.05), max_iter=300, tol=0, n_iter_no_change=300, random_state=0)
    least = LinearRegression().fit(X, y).score(X, y)
    residual = forward(module, X)[:, 0].numpy() - y
    assert 1 - (residual**2).mean() / y.var() > least - 1e-3


def test_several_targets_and_labels():
    X, y = load_iris(return_X_y=True)
    module = mlp(4, 20, 2)
    fit_module(module, X[:, :4], X[:, 2:4], max_iter=60, random_state=0)
    assert ((forward(module, X.astype(np.float32)).numpy() - X[:, 2:4]) ** 2).mean() < 0.05
    labels = np.column_stack([y == 0, y == 2])
    module = nn.Sequential(*mlp(4, 20, 2), nn.Sigmoid())
    fit_module(module, X, labels, max_iter=60, random_state=0)
    found = forward(module[:-1], X.astype(np.float32)).numpy() > 0
    assert (found == labels).mean() > 0.95


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("y", [np.arange(40) % 3, np.random.default_rng(1).normal(50, 3, (40, 3))])
def test_training_starts_where_the_module_is(bias, y):
    """The scaling inside changes no output, constant columns included."""
    X = np.random.default_rng(0).normal(size=(40, 5)) * [1, 20, 0.1, 0, 1] + [0, 100, 3, 7, 0]
    module = mlp(5, 6, 3, bias=bias).double()
    layers = layers_of(module)
    checked, Y, kind = _checked(layers, X, y)
    network = _network(layers, Relaxed(), InMemory(checked, Y), kind)
    np.testing.assert_allclose(network.predict(checked), forward(module, checked), rtol=1e-9)


def test_the_scaling_of_one_of_ours_stays():
    from nmfnet import NMFNetClassifier

    X, y = load_iris(return_X_y=True)
    module = NMFNetClassifier((10,), max_iter=1, random_state=0).fit(X, y).to_torch()
    before = module[0].factor.clone()
    fit_module(module, X, y, random_state=0)
    assert torch.equal(module[0].factor, before)
    assert (forward(module[:-1], X).argmax(1).numpy() == y).mean() > 0.94


def test_pinv_and_the_same_seed():
    X, y = load_iris(return_X_y=True)
    first, second = mlp(4, 8, 3), mlp(4, 8, 3)
    for module in (first, second):
        fit_module(module, X, y, solver=Pinv(), max_iter=3, random_state=0)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert (forward(first, X).argmax(1).numpy() == y).mean() > 0.9


def test_callbacks_hear_of_the_end_and_have_the_last_word(digits):
    """As of a fit, where EarlyStopping then puts the weights of the best epoch into the network."""
    X, _, y, _ = digits

    class Restore(Callback):
        def on_epoch_end(self, network, record):
            if record["epoch"] == 1:
                self.weights = list(network.weights)

        def on_fit_end(self, network):
            network.weights[:] = self.weights

    restored, one_epoch = mlp(64, 10), mlp(64, 10)
    fit_module(restored, X, y, max_iter=5, random_state=0, callbacks=[Restore()])

    class One(Callback):
        def on_epoch_end(self, network, record):
            return True

    fit_module(one_epoch, X, y, max_iter=5, random_state=0, callbacks=[One()])
    assert torch.equal(restored[0].weight, one_epoch[0].weight)


def test_a_failure_leaves_the_module_as_it_was():
    module = mlp(4, 8, 3).double()
    before = [p.clone() for p in module.parameters()]
    rng = np.random.default_rng(0)
    with pytest.raises(DivergenceError):
        fit_module(module, 1e300 * rng.normal(size=(60, 4)), np.arange(60) % 3, solver="pinv")
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        (np.ones((3, 5)), [0, 1, 2], {}, r"X has shape \(3, 5\), but module takes \(n_samples, 4\)"),
        (np.ones((0, 4)), [], {}, "X has shape"),
        (np.full((3, 4), np.nan), [0, 1, 2], {}, "X has values that are not finite"),
        (np.ones((3, 4)), [0, 1], {}, "X has 3 samples"),
        (np.ones((3, 4)), [0, 1, 3], {}, "y has whole numbers from 0 to 3"),
        (np.ones((3, 4)), [-1, 1, 2], {}, "from -1"),
        (np.ones((3, 4)), [0.0, 1, 2], {}, "one for each of 3 outputs"),
        (np.ones((3, 4)), [[0], [1], [2]], {}, r"Numbers of classes have the shape \(n,\)"),
        (np.ones((3, 4)), np.full((3, 3), np.inf), {}, "finite"),
        (np.ones((3, 4)), np.full((3, 3), 2), {}, "must have 0 and 1"),
        (np.ones((3, 4)), [0, 1, 2], {"solver": "adam"}, "solver must be"),
        (np.ones((3, 4)), [0, 1, 2], {"max_iter": 0}, "max_iter"),
        (np.ones((3, 4)), [0, 1, 2], {"batch_size": 0}, "batch_size"),
        (np.ones((3, 4)), [0, 1, 2], {"alpha": -1}, "alpha must be"),
        (np.ones((3, 4)), [0, 1, 2], {"l1_ratio": 2}, "l1_ratio must be"),
        (np.ones((3, 4)), [0, 1, 2], {"max_time": -1}, "max_time must be"),
        (np.ones((3, 4)), [0, 1, 2], {"tol": "small"}, "tol must be"),
        (np.ones((3, 4)), [0, 1, 2], {"callbacks": [print]}, "callbacks must be"),
        (np.ones((3, 4)), ["a", "b", "c"], {}, "y must be numbers"),
    ],
)
def test_bad_input(X, y, options, message):
    with pytest.raises(ValueError, match=message):
        fit_module(mlp(4, 6, 3), X, y, **options)


def test_data_frames_and_read_only_arrays(recwarn):
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True)
    modules = [mlp(4, 6, 3) for _ in range(2)]
    fit_module(modules[0], X, y, max_iter=2, random_state=0)
    fit_module(modules[1], pd.DataFrame(X), pd.Series(y), max_iter=2, random_state=0)
    torch.testing.assert_close(modules[0][0].weight, modules[1][0].weight)
    assert not recwarn.list


def test_dropout_layers_may_differ():
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    X, y = load_iris(return_X_y=True)
    copies = [copy.deepcopy(module) for _ in range(2)]
    fit_module(copies[0], X, y, max_iter=1, random_state=0)
    fit_module(copies[1], X, y, solver=Relaxed(noise=0.0, dropout=[0.1, 0.0]), max_iter=1, random_state=0)
    for one, other in zip(copies[0].parameters(), copies[1].parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="dropout has 3 numbers for 2 hidden layers"):
        fit_module(module, X, y, solver=Relaxed(dropout=[0.1, 0.1, 0.1]))
    with pytest.raises(ValueError, match="ends with softmax, which does not fit y: its targets are real"):
        fit_module(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), X, X[:, 0])
    with pytest.raises(ValueError, match="probabilities of the classes, whose sum is 1"):
        fit_module(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), X, X[:, :3])


def test_the_objective_is_that_of_the_estimators():
    """A network of the same weights, trained by the same batches: the same objective in the history, biases or not."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 4)), rng.standard_normal(60)
    options = {"solver": Pinv(n_w=2), "alpha": 30.0, "max_iter": 3, "batch_size": 60, "random_state": 0, "tol": 0}
    start = NMFNetRegressor((5,), **{**options, "max_iter": 1}).fit(X, y).to_torch().train()
    model = NMFNetRegressor.from_torch(start, warm_start=True, **options)
    history = fit_module(start, X, y, **options)
    assert [record["objective"] for record in model.fit(X, y).history_] == pytest.approx(
        [record["objective"] for record in history], rel=1e-6
    )


CLASSES = np.arange(150) // 50
ONE_HOT = np.eye(3)[CLASSES]


@pytest.mark.parametrize(
    ("sizes", "y", "task", "kind"),
    [
        ((4, 8, 3), CLASSES, "auto", "classes"),
        ((4, 8, 3), CLASSES.astype(np.float32), "classification", "classes"),
        ((4, 8, 3), ONE_HOT, "auto", "classes"),
        ((4, 8, 3), torch.nn.functional.one_hot(torch.tensor(CLASSES)), "auto", "classes"),
        ((4, 8, 3), 0.9 * ONE_HOT + 0.1 / 3, "classification", "classes"),
        ((4, 8, 3), ONE_HOT, "multilabel", "labels"),
        ((4, 8, 3), ONE_HOT, "regression", "real"),
        ((4, 8, 3), np.column_stack([CLASSES > 0, CLASSES > 1, CLASSES == 1]).astype(float), "auto", "labels"),
        ((4, 8, 1), (CLASSES > 0).astype(int), "auto", "labels"),
        ((4, 8, 1), (CLASSES > 0).astype(np.float32), "multilabel", "labels"),
        ((4, 8, 1), (CLASSES > 0).astype(np.float32)[:, None], "multilabel", "labels"),
        ((4, 8, 1), (CLASSES > 0).astype(np.float32), "regression", "real"),
        ((4, 8, 1), CLASSES.astype(np.float32), "auto", "real"),
    ],
)
def test_targets_in_the_conventions_of_pytorch(sizes, y, task, kind):
    """The loss in the history is PyTorch's, of what the module gives."""
    X = load_iris().data.astype(np.float32)
    module = mlp(*sizes)
    history = fit_module(module, X, y, task=task, max_iter=40, tol=0, random_state=0)
    outputs, Y = forward(module, X), torch.as_tensor(y)
    if kind == "classes":
        loss = nn.CrossEntropyLoss()(outputs, Y.long() if Y.ndim == 1 else Y.float())
    else:
        loss = (nn.BCEWithLogitsLoss() if kind == "labels" else nn.MSELoss())(
            outputs, Y.reshape(outputs.shape).float()
        )
    assert history[-1]["train_loss"] == pytest.approx(float(loss), rel=1e-4)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ((CLASSES > 0).astype(float), {}, "task='multilabel' .* or task='regression'"),
        (CLASSES + 0.5, {"task": "classification"}, "no classes for the 1 outputs"),
        (CLASSES, {"task": "classes"}, "task must be one of 'auto', 'classification'"),
        (CLASSES > 0, {"early_stopping": True}, "pass X_val"),
        (CLASSES > 0, {"y_val": CLASSES > 0}, "pass X_val"),
        (CLASSES > 0, {"X_val": np.ones((3, 4))}, "y_val is missing"),
        (CLASSES > 0, {"X_val": np.ones((3, 5)), "y_val": [1, 0, 1]}, "X_val has shape"),
        (CLASSES > 0, {"X_val": np.ones((3, 4)), "y_val": [1, 0, 2]}, "y_val: y must have 0 and 1"),
        (None, {}, "X must give batches"),
    ],
)
def test_targets_that_nobody_can_tell(y, options, message):
    with pytest.raises(ValueError, match=message):
        fit_module(mlp(4, 8, 1), load_iris().data, y, **options) if y is not None else fit_module(
            mlp(4, 8, 1), iter([1, 2])
        )


def test_loaders_and_iterables_of_batches(digits):
    X, X_test, y, y_test = (torch.tensor(each) for each in digits)
    whole, parts, once = mlp(64, 20, 10), mlp(64, 20, 10), mlp(64, 20, 10)
    settings = {"max_iter": 5, "random_state": 0}
    loader = DataLoader(TensorDataset(X, y), batch_size=100)
    held_out = DataLoader(TensorDataset(X_test, y_test), batch_size=64)
    histories = [
        fit_module(whole, X, y, X_val=X_test, y_val=y_test, **settings),
        fit_module(parts, loader, X_val=held_out, **settings),
        fit_module(once, ((X[i : i + 64], y[i : i + 64]) for i in range(0, len(y), 64)), **settings),
    ]
    for module in (parts, once):
        assert torch.equal(module[0].weight, whole[0].weight)
    assert histories[0][-1]["val_loss"] == histories[1][-1]["val_loss"]
    loss = nn.CrossEntropyLoss()(forward(whole, X_test), y_test)
    assert histories[0][-1]["val_loss"] == pytest.approx(float(loss), rel=1e-4)
    for bad, message in (([], "gave no batches"), ([(X[:3], y[:3]), (X[:3, :5], y[:3])], "do not fit together")):
        with pytest.raises(ValueError, match=message):
            fit_module(mlp(64, 20, 10), bad)
    with pytest.raises(ValueError, match="X, a DataLoader, gives the targets, too: leave out y"):
        fit_module(mlp(64, 20, 10), loader, y)
    with pytest.raises(ValueError, match="y is missing"):
        fit_module(mlp(64, 20, 10), X)


def test_early_stopping_keeps_the_epoch_with_the_least_validation_loss(digits):
    X, X_test, y, y_test = digits
    module = mlp(64, 20, 10)
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(len(y)) < 0.4, rng.integers(0, 10, len(y)), y)
    history = fit_module(
        module, X[:200], noisy[:200], X_val=X_test, y_val=y_test, early_stopping=True, max_iter=60, random_state=0
    )
    losses = [record["val_loss"] for record in history]
    loss = nn.CrossEntropyLoss()(forward(module, X_test), torch.tensor(y_test))
    assert float(loss) == pytest.approx(min(losses), rel=1e-4) and losses.index(min(losses)) < len(losses) - 1
