import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file
from sklearn.exceptions import NotFittedError

import nmfnet
from nmfnet import ModelFileError, NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv

X = np.random.default_rng(0).random((40, 5))
LABELS = {
    "integers": np.arange(40) % 3 - 1,
    "strings": np.array(["low", "high", "é"])[np.arange(40) % 3],
    "objects": np.array(["low", "high"], dtype=object)[np.arange(40) % 2],
    "booleans": np.arange(40) % 2 == 0,
    "floats": (np.arange(40) % 2).astype(float),
    "multilabel": np.column_stack([np.arange(40) % 2, np.arange(40) % 3 == 0]).astype(int),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_classifier_round_trip(path, labels, fit_intercept):
    y = LABELS[labels]
    model = NMFNetClassifier((4, 3), fit_intercept=fit_intercept, random_state=0, max_iter=3).fit(X, y)
    model.save(path)
    again = nmfnet.load(path)
    assert type(again) is NMFNetClassifier
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.classes_, model.classes_)
    assert again.classes_.dtype == model.classes_.dtype
    assert again.history_ == model.history_
    assert again.n_features_in_ == 5


@pytest.mark.parametrize("labels", ["integers", "strings", "booleans"])
def test_class_weights_have_labels_of_any_kind(path, labels):
    y = LABELS[labels]
    model = NMFNetClassifier((3,), max_iter=1, class_weight=dict.fromkeys(np.unique(y), 2.0)).fit(X, y)
    model.save(path)
    assert nmfnet.load(path).class_weight == model.class_weight
    assert [type(label) for label in nmfnet.load(path).class_weight] == [
        type(label) for label in np.unique(y).tolist()
    ]


@pytest.mark.filterwarnings("ignore")
def test_long_histories_are_saved(path):
    """What bounds the memory of a header must not bound the training."""
    model = NMFNetClassifier((1,), max_iter=1).fit(X, LABELS["integers"], X_val=X, y_val=LABELS["integers"])
    model.history_ = [{**model.history_[0], "train_error": 0.0, "val_error": 0.0, "epoch": n} for n in range(20_000)]
    model.save(path)
    assert nmfnet.load(path).history_ == model.history_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [np.arange(40.0), np.arange(80.0).reshape(40, 2)])
def test_regressor_round_trip(path, dtype, y):
    model = NMFNetRegressor((4,), activation="tanh", random_state=0).fit(X.astype(dtype), y)
    model.save(path)
    again = nmfnet.load(path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.coefs_[0].dtype == dtype


def test_parameters_and_feature_names_survive(path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = NMFNetClassifier(
        [4, 3], solver=Pinv(n_w=2, first_layer="batch"), pretrain=NMFPretraining(n_ae=2), alpha=np.float32(0.5),
        random_state=np.random.RandomState(0), callbacks=[nmfnet.Callback()],
    ).fit(frame, LABELS["strings"])  # fmt: skip
    model.save(path)
    again = nmfnet.load(path)
    expected = {**model.get_params(), "hidden_layer_sizes": (4, 3), "random_state": None, "callbacks": None}
    assert again.get_params() == expected
    np.testing.assert_array_equal(again.feature_names_in_, list("abcde"))
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame[list("edcba")])


def test_the_model_is_saved_as_it_was_fitted(path):
    """Not as its parameters would have it fitted next."""
    model = NMFNetClassifier((4,), random_state=0).fit(X, LABELS["integers"])
    expected = model.predict(X)
    model.set_params(activation="tanh", fit_intercept=False, hidden_layer_sizes=(9,)).save(path)
    np.testing.assert_array_equal(nmfnet.load(path).predict(X), expected)


def test_parameters_of_numpy_types_are_saved(path):
    solver = Pinv(n_w=np.int64(3), delta_x=np.float32(0.5))
    model = NMFNetClassifier(np.array([5, 4]), solver=solver, max_iter=np.int64(2)).fit(X, LABELS["integers"])
    model.history_[0]["objective"] = float("inf")  # as of an overflow in the first epoch
    model.save(path)
    again = nmfnet.load(path)
    assert again.hidden_layer_sizes == (5, 4)
    assert again.solver == solver
    assert again.history_[0]["objective"] is None


def test_a_tiny_file_cannot_ask_for_much_memory(saved):
    changed(saved, change_header=lambda h: h["state"]["classes_"].update(dtype="<U500000000"))
    assert nmfnet.load(saved).classes_.nbytes < 1000


def test_a_loaded_model_can_be_trained_on(path):
    model = NMFNetClassifier((4,), random_state=0, warm_start=True, max_iter=2).fit(X, LABELS["integers"])
    model.save(path)
    again = nmfnet.load(path).fit(X, LABELS["integers"])
    assert again.n_iter_ == 4


def test_saving_an_unfitted_model_is_refused(path):
    with pytest.raises(NotFittedError):
        NMFNetClassifier().save(path)
    assert not path.exists()


def test_what_could_not_be_loaded_is_not_written(path):
    class OtherSettings(Pinv):
        pass

    model = NMFNetClassifier((4,), solver=OtherSettings(), max_iter=1).fit(X, LABELS["integers"])
    with pytest.raises(ValueError, match="could not be loaded again"):
        model.save(path)
    dates = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")[np.arange(40) % 2]
    with pytest.raises(ValueError, match=r"labels of dtype datetime64\[D\] cannot be stored"):
        NMFNetClassifier((4,), max_iter=1).fit(X, dates).save(path)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        model.save(path.parent / "nowhere" / "model")
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file_whole(path, monkeypatch):
    model = NMFNetClassifier((4,), max_iter=1).fit(X, LABELS["integers"])
    model.save(path)
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space.*model\.safetensors"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# --- Files that are not whole, or not ours ---


@pytest.fixture
def saved(path):
    NMFNetClassifier((4, 3), max_iter=1, random_state=0).fit(X, LABELS["strings"]).save(path)
    return path


def test_a_missing_file(path):
    with pytest.raises(ModelFileError, match="There is no model file"):
        nmfnet.load(path)


@pytest.mark.parametrize("content", [b"", b"no model", b"\xff" * 100, b'{"a": 1}', b"\x80\x04N."])
def test_a_file_that_is_no_model(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a readable nmfnet model"):
        nmfnet.load(path)


def test_a_folder(tmp_path):
    with pytest.raises(ModelFileError, match="is a folder"):
        nmfnet.load(tmp_path)


def test_every_truncation_is_a_named_error(saved):
    content = saved.read_bytes()
    for size in range(0, len(content), 37):
        saved.write_bytes(content[:size])
        with pytest.raises(ModelFileError):
            nmfnet.load(saved)


def test_damaged_bytes_are_a_named_error_or_a_whole_model(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] = rng.integers(256)
        saved.write_bytes(damaged)
        try:
            model = nmfnet.load(saved)
        except ModelFileError:
            continue
        assert np.isfinite(model.predict_proba(X)).all()


def test_another_safetensors_file(path):
    save_file({"weight.1": torch.ones(2, 2)}, path)
    with pytest.raises(ModelFileError, match="has no 'nmfnet' in its metadata"):
        nmfnet.load(path)


def changed(path, change_header=None, change_weights=None):
    """Rewrite a model file with changes."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["nmfnet"])
    weights = load_file(path)
    if change_header:
        change_header(header)
    if change_weights:
        change_weights(weights)
    save_file(weights, path, metadata={"nmfnet": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format_version=99), "version 99"),
        (lambda h: h.update(estimator="os.system"), "not a readable"),
        (lambda h: h.pop("parameters"), "not a readable"),
        (lambda h: h["parameters"].update(unknown=1), "not a readable"),
        (lambda h: h["parameters"].update(activation="swish"), "activation"),
        (lambda h: h["parameters"].update(solver={"settings": "Popen"}), "not a readable"),
        (lambda h: h["state"].update(feature_names_in_=["a"]), "feature_names_in_ are not 5 names"),
        (lambda h: h["state"]["classes_"].update(values=[10**30, 1, 2], dtype="<i8"), "not a readable"),
        (
            lambda h: h["state"]["classes_"].update(dtype="<c16"),
            r"classes_.dtype is '<c16', which does not match",
        ),
        (lambda h: h["parameters"].update(alpha=-1), "alpha"),
        (lambda h: h["network"].update(activation="swish"), "activation"),
        (lambda h: h.pop("network"), "not a readable"),
        (lambda h: h["state"]["classes_"].update(values=["a", "b"]), "2 classes for 3 outputs"),
        (lambda h: h["state"]["classes_"].update(dtype="|V8"), "does not match"),
        (lambda h: h["state"].update(history_=5), "not a readable"),
        (lambda h: h["network"].update(intercept=False), "does not fit onto"),
    ],
)
def test_a_header_that_does_not_fit(saved, change, message):
    changed(saved, change_header=change)
    with pytest.raises(ModelFileError, match=message):
        nmfnet.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w["weight.2"].mul_(float("nan")), "not finite"),
        (lambda w: w.update({"weight.2": torch.ones(9, 3, dtype=torch.float64)}), r"weight.2 does not fit"),
        (lambda w: w.update({"weight.2": torch.ones(5, 3, dtype=torch.int32)}), r"'weight.2' is of dtype 'I32'"),
        (lambda w: w.update({"weight.2": torch.ones(5, 3)}), r"weight.2 is not a float.* like the others"),
        (lambda w: w.update({"weight.2": torch.ones(5, 3, 1)}), r"'weight.2' is no vector or matrix"),
        (lambda w: w.update({"weight.2": torch.ones(5)}), r"weight.2 is not a float"),
        (lambda w: w.pop("weight.2"), "not a readable"),
        (lambda w: w.clear(), "no weights|not a readable"),  # safetensors 0.4.3 writes another header of no tensors
    ],
)
def test_weights_that_do_not_fit(saved, change, message):
    changed(saved, change_weights=change)
    with pytest.raises(ModelFileError, match=message):
        nmfnet.load(saved)
