"""ONNX files against the estimators, by onnxruntime."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from nmfnet import NMF, NMFAutoencoder, NMFNetClassifier, NMFNetRegressor, NMFPretraining, NonlinearSemiNMF, SemiNMF
from nmfnet.layers.activations import ACTIVATIONS

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

X = np.random.default_rng(0).normal(size=(60, 5)) * [1, 2, 3, 10, 0.1] + [0, 0, 5, 100, 0]
THREE = np.arange(60) % 3


def run(model, X, path, **options):
    model.to_onnx(path, **options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), settings, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.name == "X" and given.shape[1] == X.shape[1]
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("labels", ["one", "several"])
def test_classifiers(tmp_path, dtype, solver, fit_intercept, labels):
    y = THREE if labels == "one" else np.column_stack([THREE == 0, X[:, 0] > 0]).astype(int)
    model = NMFNetClassifier((6, 4), ["tanh", "relu"], solver=solver, fit_intercept=fit_intercept, random_state=0)
    data = X.astype(dtype)
    found = run(model.fit(data, y), data, tmp_path / "model.onnx")
    assert list(found) == ["label", "probabilities"] and found["probabilities"].dtype == dtype
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(data), atol=1e-5)
    np.testing.assert_array_equal(found["label"], model.predict(data))


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_a_float32_graph_of_a_float64_model(tmp_path, Estimator):
    model = Estimator((6,), random_state=0).fit(X, THREE)
    data = X.astype(np.float32)
    found = run(model, data, tmp_path / "model.onnx", dtype="float32")
    if Estimator is NMFNetClassifier:
        np.testing.assert_array_equal(found["label"], model.predict(X))
    name, values = ("probabilities", model.predict_proba(X)) if "label" in found else ("variable", model.predict(X))
    assert found[name].dtype == np.float32
    np.testing.assert_allclose(found[name].reshape(values.shape), values, atol=1e-4)
    code = run(model, data, tmp_path / "model.onnx", dtype="float32", method="transform")["variable"]
    np.testing.assert_allclose(code, model.transform(X), atol=1e-4)
    with pytest.raises(ValueError, match="dtype must be 'float32'"):
        model.to_onnx(tmp_path / "model.onnx", dtype="float16")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_regressors_and_activations(tmp_path, dtype, name):
    data, y = X.astype(dtype), 1000 + 50 * X[:, 0]
    model = NMFNetRegressor((6,), name, random_state=0).fit(data, y)
    found = run(model, data, tmp_path / "model.onnx")
    assert found["variable"].shape == (60, 1) and found["variable"].dtype == dtype
    np.testing.assert_allclose(found["variable"][:, 0], model.predict(data), rtol=1e-5)


def test_large_activations_stay_finite(tmp_path):
    model = NMFNetRegressor((6,), "softplus", max_iter=2, random_state=0).fit(X, X[:, :2])
    found = run(model, 1e4 * X, tmp_path / "model.onnx")["variable"]
    np.testing.assert_allclose(found, model.predict(1e4 * X), rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (["low", "high", "é"], "O"),
        (np.array(["low", "high", "é"], dtype=object), "O"),
        ([-3, 0, 7], "i"),
        ([0.5, 1.5, 2.5], "f"),
        ([False, True, False], "i"),
    ],
)
def test_labels(tmp_path, classes, kind):
    y = np.asarray(classes)[THREE]
    try:
        model = NMFNetClassifier((6,), random_state=0).fit(X, y)
    except ValueError:  # numbers with fractions are no classes in scikit-learn
        assert kind == "f"
        model = NMFNetClassifier((6,), random_state=0).fit(X, 2 * y - 1)
    found = run(model, X, tmp_path / "model.onnx")["label"]
    assert found.dtype.kind == kind
    np.testing.assert_array_equal(found, model.predict(X))


def test_principal_components_and_any_number_of_rows(tmp_path, digits):
    data, others, y, _ = digits
    data, others = (np.repeat(each, 3, axis=1).astype(np.float32) for each in (data, others))
    model = NMFNetClassifier((20,), max_iter=3, random_state=0).fit(data, y)
    assert model.network_.inputs.projects
    for rows in (others, others[:1]):
        found = run(model, rows, tmp_path / "model.onnx")
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_hidden_codes(tmp_path, dtype, fit_intercept):
    data = X.astype(dtype)
    for model in (
        NMFNetClassifier((6, 4), ["softplus", "relu"], fit_intercept=fit_intercept, random_state=0).fit(data, THREE),
        NMFNetRegressor((6,), "tanh", fit_intercept=fit_intercept, random_state=0).fit(data, X[:, 0]),
    ):
        found = run(model, data, tmp_path / "model.onnx", method="transform")["variable"]
        assert found.dtype == dtype and found.shape == (60, model.hidden_layer_sizes[-1])
        np.testing.assert_allclose(found, model.transform(data), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "model",
    [
        NMF(3, random_state=0),
        SemiNMF(3, random_state=0),
        *(
            NonlinearSemiNMF(3, name, random_state=0)
            for name in ("relu", "logistic", "tanh", "leaky_relu", "identity")
        ),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_data_of_factors(tmp_path, dtype, model):
    data = np.random.default_rng(0).random((30, 5)).astype(dtype)
    Z = model.fit_transform(data)
    found = run(model, Z, tmp_path / "model.onnx")["variable"]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, model.inverse_transform(Z), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_autoencoders(tmp_path, dtype, name, fit_intercept):
    data = np.random.default_rng(0).random((60, 8)).astype(dtype)
    options = {"pretrain": NMFPretraining(n_ae=2), "max_iter": 2, "random_state": 0}
    model = NMFAutoencoder((5, 3), name, fit_intercept=fit_intercept, **options).fit(data)
    code = run(model, data, tmp_path / "model.onnx")["variable"]
    np.testing.assert_allclose(code, model.transform(data), atol=1e-5)
    back = run(model, code, tmp_path / "model.onnx", method="inverse_transform")["variable"]
    assert back.dtype == dtype
    np.testing.assert_allclose(back, model.inverse_transform(code), atol=1e-5)


def test_the_file_says_what_it_is(tmp_path):
    NMFNetClassifier((6,), random_state=0).fit(X, THREE).to_onnx(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert model.producer_name == "nmfnet" and model.graph.name == "NMFNetClassifier"
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]


def test_what_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        NMFNetClassifier().to_onnx(tmp_path / "model.onnx")
    with pytest.raises(OSError, match="nowhere"):
        NMFNetClassifier((3,), max_iter=1).fit(X, THREE).to_onnx(tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(ValueError, match="method must be 'predict' or 'transform'; got 'decode'"):
        NMFNetClassifier((3,), max_iter=1).fit(X, THREE).to_onnx(tmp_path / "model.onnx", method="decode")
    with pytest.raises(ValueError, match="needs a hidden layer"):
        NMFNetRegressor((), max_iter=1).fit(X, THREE).to_onnx(tmp_path / "model.onnx", method="transform")
    with pytest.raises(NotFittedError):
        NMF(2).to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="method must be 'transform' or 'inverse_transform'"):
        NMFAutoencoder(2, max_iter=0).fit(abs(X)).to_onnx(tmp_path / "model.onnx", method="predict")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("of_inputs", "of_targets"), [(1.0, 1e60), (1.0, 1e-60), (1e60, 1.0), (1e-60, 1.0)])
def test_numbers_that_do_not_fit_into_single_precision_are_not_exported(tmp_path, of_inputs, of_targets):
    X = of_inputs * np.random.default_rng(0).random((50, 3))
    model = NMFNetRegressor((5,), max_iter=1, random_state=0).fit(X, of_targets / of_inputs * X[:, 0])
    with pytest.raises(ValueError, match="too large or too small for float32: leave dtype out"):
        model.to_onnx(tmp_path / "model.onnx", dtype="float32")
    assert not (tmp_path / "model.onnx").exists()
    (found,) = run(model, X, tmp_path / "model.onnx").values()  # in float64
    # ONNX Runtime leaves out the addition of a mean of 1e-60.
    np.testing.assert_allclose(found.ravel(), model.predict(X), rtol=1e-6, atol=1e-59)
