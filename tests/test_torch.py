"""Between estimators and PyTorch modules."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from torch import nn

from nmfnet import NMFNetClassifier, NMFNetRegressor, Pinv

X = np.random.default_rng(0).normal(size=(60, 5)) * [1, 2, 3, 10, 0.1] + [0, 0, 5, 1000, 0]
CLASSES = np.array(["low", "high", "é"])[np.arange(60) % 3]
LABELS = np.column_stack([np.arange(60) % 2, np.arange(60) % 3 == 0]).astype(int)


def outputs(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("y", [CLASSES, LABELS])
def test_a_module_gives_the_probabilities(dtype, solver, fit_intercept, y):
    model = NMFNetClassifier(
        (6, 4), ["tanh", "leaky_relu"], solver=solver, fit_intercept=fit_intercept, random_state=0
    )
    model.fit(X.astype(dtype), y)
    found = outputs(model.to_torch(), X.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, model.predict_proba(X.astype(dtype)), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [1e4 + X[:, 0], X[:, :2] * [1, 1000]])
def test_a_module_gives_the_predictions(dtype, y):
    model = NMFNetRegressor((6,), "softplus", random_state=0).fit(X.astype(dtype), y)
    found, size = outputs(model.to_torch(), X.astype(dtype)), np.abs(y).max(0)  # a column is as exact as it is large
    np.testing.assert_allclose(found / size, model.predict(X.astype(dtype)).reshape(60, -1) / size, atol=1e-6)


def test_principal_components_are_a_module(digits):
    X, X_test, y, _ = digits
    X, X_test = (np.repeat(each, 3, axis=1).astype(np.float32) for each in (X, X_test))
    model = NMFNetClassifier((20,), max_iter=3, random_state=0).fit(X, y)
    assert model.network_.inputs.projects
    np.testing.assert_allclose(outputs(model.to_torch(), X_test), model.predict_proba(X_test), atol=1e-5)


def test_only_layers_of_torch_are_trainable():
    module = NMFNetClassifier((6,), random_state=0).fit(X, CLASSES).to_torch()
    assert [tuple(p.shape) for p in module.parameters()] == [(6, 5), (6,), (3, 6), (3,)]
    assert not module.training and all(p.requires_grad for p in module.parameters())
    logits = module[:-1](torch.from_numpy(X))
    nn.functional.cross_entropy(logits, torch.arange(60) % 3).backward()
    assert all(p.grad is not None for p in module.parameters())


def test_the_module_has_weights_of_its_own():
    model = NMFNetClassifier((6,), random_state=0).fit(X, CLASSES)
    before = model.predict_proba(X)
    with torch.no_grad():
        for tensor in model.to_torch().state_dict().values():
            tensor.zero_()
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(NotFittedError):
        NMFNetClassifier().to_torch()


@pytest.mark.parametrize(
    "model",
    [
        NMFNetClassifier((6, 4), ["relu", "tanh"], random_state=0).fit(X, CLASSES),
        NMFNetClassifier((6,), solver="pinv", fit_intercept=False, random_state=0).fit(X, CLASSES),
        NMFNetClassifier((), random_state=0).fit(X, LABELS),
        NMFNetRegressor((6,), "logistic", random_state=0).fit(X, X[:, 0]),
        NMFNetRegressor((), random_state=0).fit(X, X[:, :2]),
    ],
    ids=str,
)
def test_there_and_back(model):
    classes = getattr(model, "classes_", None)
    back = type(model).from_torch(model.to_torch(), classes=classes, solver=model.solver, warm_start=True, max_iter=2)
    np.testing.assert_array_equal(back.predict(X).shape, model.predict(X).shape)
    if classes is None:
        np.testing.assert_allclose(back.predict(X), model.predict(X))
    else:
        np.testing.assert_allclose(back.predict_proba(X), model.predict_proba(X), atol=1e-12)
        np.testing.assert_array_equal(back.predict(X), model.predict(X))
    y = {NMFNetClassifier: CLASSES if model.predict(X).ndim == 1 else LABELS}.get(type(model), model.predict(X))
    assert back.fit(X, y).n_iter_ == 2


def test_classes_in_the_order_of_the_outputs():
    module = nn.Sequential(nn.Flatten(), nn.Linear(5, 4), nn.Dropout(0.2), nn.Sequential(nn.Linear(4, 3))).double()
    model = NMFNetClassifier.from_torch(module, classes=["dog", "cat", "ant"])
    expected = outputs(module.eval(), X)
    assert list(model.classes_) == ["ant", "cat", "dog"] and model.activation == "identity"
    np.testing.assert_array_equal(model.predict(X), np.array(["dog", "cat", "ant"])[expected.argmax(1)])
    probabilities = torch.from_numpy(expected).softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(X)[:, ::-1], probabilities)


def sequential(*layers):
    return nn.Sequential(nn.Linear(5, 4), *layers)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (sequential(nn.GELU(), nn.Linear(4, 2)), "module[1], a GELU,"),
        (sequential(nn.ReLU(), nn.Tanh(), nn.Linear(4, 2)), "module[2], a Tanh,"),
        (sequential(nn.Sequential(nn.BatchNorm1d(4)), nn.Linear(4, 2)), "module[1.0], a BatchNorm1d,"),
        (sequential(nn.LeakyReLU(0.2), nn.Linear(4, 2)), "negative_slope=0.01; got 0.2"),
        (sequential(nn.Softplus(2), nn.Linear(4, 2)), "beta=1 and threshold=20; got 2"),
        (sequential(nn.Linear(3, 2)), "a Linear of 3 inputs on one of 4 outputs"),
        (sequential(nn.Linear(4, 2, bias=False)), "biases in all"),
        (sequential(nn.ReLU()), "must end with a Linear"),
        (sequential(nn.Linear(4, 2).bfloat16()), "float32 or float64 throughout"),
        (sequential(nn.Softmax(1), nn.ReLU()), "comes after the probabilities"),
        (nn.Sequential(), "no Linear"),
        (nn.Sequential(*[nn.Linear(5, 5)] * 2), "twice"),
        (nn.Sequential(nn.ReLU(), nn.Linear(5, 3)), "module[0], a ReLU,"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))), "ParametrizedLinear"),
        (nn.Sequential(nn.Linear(5, 1)), "an output for each class"),
    ],
)
def test_modules_that_are_refused(module, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        NMFNetClassifier.from_torch(module)


def test_what_else_is_refused():
    with pytest.raises(TypeError, match=r"must be an nn\.Sequential; got Linear"):
        NMFNetRegressor.from_torch(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="2 different labels"):
        NMFNetClassifier.from_torch(sequential(nn.Linear(4, 2)), classes=[1, 1])
    with pytest.raises(ValueError, match="a regressor has no classes"):
        NMFNetRegressor.from_torch(sequential(nn.Linear(4, 2), nn.Softmax(1)))
    module = sequential(nn.Linear(4, 2))
    nn.init.constant_(module[0].weight, float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        NMFNetRegressor.from_torch(module)


def test_the_example_runs(capsys):
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "finetune.py"), run_name="__main__")
    here, there = (float(number) for number in re.findall(r": (0\.\d+)", capsys.readouterr().out))
    assert here > 0.9 and there > 0.95


def test_a_pinv_model_goes_on_from_a_module():
    module = sequential(nn.ReLU(), nn.Linear(4, 3)).double()
    model = NMFNetClassifier.from_torch(module, solver=Pinv(), warm_start=True, max_iter=1)
    with pytest.raises(ValueError, match=r"warm_start=True goes on with a network of .*softmax"):
        model.fit(X, np.arange(60) % 3)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
@pytest.mark.parametrize("kind", ["classes", "labels", "stream", "real"])
def test_modules_can_be_scripted_and_exported(solver, kind):
    X, y = load_iris(return_X_y=True)
    model = (NMFNetRegressor if kind == "real" else NMFNetClassifier)((5,), solver=solver, random_state=0)
    if kind == "stream":
        model.partial_fit(X, y, classes=[0, 1, 2])
    else:
        model.set_params(max_iter=2).fit(X, np.column_stack([y == 0, y == 1]).astype(int) if kind == "labels" else y)
    module, given = model.to_torch(), torch.tensor(X)
    scripted = torch.jit.script(module)
    exported = torch.export.export(module, (given,), dynamic_shapes=({0: torch.export.Dim("n")},)).module()
    for other in (scripted, exported):
        torch.testing.assert_close(other(given[:7]), module(given[:7]), rtol=0, atol=0)
