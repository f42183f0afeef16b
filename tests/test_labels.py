"""Class labels of every type: they come back as they went in, whatever the way."""

import pickle
from decimal import Decimal

import numpy as np
import pytest
import torch

import nmfnet
from nmfnet import NMFNetClassifier
from nmfnet.data.labels import label_array

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

ORDER = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 3)) + 6 * np.eye(3)[ORDER]
CLOSE = [2**60, 2**60 + 1, 2**60 + 2]  # one number in float64
UNSIGNED = [2**63 + 1, 2**63 + 2, 2**64 - 1]
TEXT = ["a", "bb", "ccc"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def labels():
    """Name, y, and the values and dtype that are expected back."""
    close, unsigned, flags = np.array(CLOSE)[ORDER], np.array(UNSIGNED, dtype=np.uint64)[ORDER], ORDER > 0
    text, words = np.array(TEXT)[ORDER], np.array(TEXT)[ORDER].tolist()
    for dtype in [*INTEGERS, "float16", "float32", "float64", ">i2", ">i8", ">u8", ">f4"]:
        yield dtype, np.arange(3).astype(dtype)[ORDER], dtype
    for dtype in ["int8", "uint8", "int16", "int64", "uint16", "float16", "float32"]:
        yield f"torch {dtype}", torch.tensor(ORDER).to(getattr(torch, dtype)), dtype
    yield "torch bfloat16", torch.tensor(ORDER).bfloat16(), "float32"
    yield "torch with a gradient", torch.tensor(ORDER).float().requires_grad_(), "float32"
    for name, y in {
        "numpy": close,
        "torch": torch.tensor(close),
        "pandas": pd.Series(close),
        "list": close.tolist(),
    }.items():
        yield f"{name} close", y, "int64"
    for name, dtype in {"nullable": "Int64", "arrow": "int64[pyarrow]"}.items():
        yield f"{name} close", pd.Series(close, dtype=dtype), "int64"
    yield "nullable array", pd.array(close, dtype="Int64"), "int64"
    yield "nullable small", pd.Series(ORDER, dtype="Int8"), "int8"
    yield "nullable unsigned", pd.Series(unsigned, dtype="UInt64"), "uint64"
    yield "arrow-backed unsigned", pd.Series(unsigned, dtype="uint64[pyarrow]"), "uint64"
    yield "a nullable column", pd.DataFrame({"y": pd.array(close, dtype="Int64")}), "int64"
    yield "a nullable category", pd.Series(pd.array(close, dtype="Int64")).astype("category"), "int64"
    yield "boolean", pd.Series(flags, dtype="boolean"), "bool"
    yield "arrow-backed boolean", pd.Series(flags, dtype="bool[pyarrow]"), "bool"
    yield "nullable float", pd.Series(ORDER / 1.0, dtype="Float64"), "float64"
    for name, y in {
        "numpy": unsigned,
        "torch": torch.from_numpy(unsigned),
        "polars": pl.Series(unsigned),
        "pyarrow": pa.array(unsigned),
        "list": unsigned.tolist(),
    }.items():
        yield f"{name} unsigned", y, "uint64"
    for name, y in {
        "numpy": flags,
        "torch": torch.tensor(flags),
        "polars": pl.Series(flags),
        "pyarrow": pa.array(flags),
    }.items():
        yield f"{name} bool", y, "bool"
    yield "text", text, text.dtype
    yield "text of the other byte order", text.astype(">U3"), ">U3"
    yield "list of text", words, text.dtype
    yield "objects", text.astype(object), "O"
    yield "objects that are whole numbers", close.astype(object), "int64"
    if hasattr(np.dtypes, "StringDType"):  # of NumPy 2
        yield "strings of variable width", text.astype(np.dtypes.StringDType()), "O"
    yield "pandas string", pd.Series(words, dtype="string"), "O"
    yield "category", pd.Series(pd.Categorical(words, categories=["ccc", "a", "bb"])), "O"
    yield "polars category", pl.Series(words, dtype=pl.Categorical), "O"
    yield "polars enum", pl.Series(words, dtype=pl.Enum(["ccc", "a", "bb"])), "O"
    yield "pyarrow text", pa.array(words), "O"
    yield "pyarrow dictionary", pa.array(words).dictionary_encode(), "O"


CASES = [pytest.param(y, np.dtype(dtype), id=name) for name, y, dtype in labels()]


def values(y):
    """Labels as Python has them."""
    y = y["y"] if isinstance(y, pd.DataFrame) else y
    return y.to_pylist() if hasattr(y, "to_pylist") else y.tolist() if hasattr(y, "tolist") else list(y)


def model(**options):
    return NMFNetClassifier((6,), max_iter=30, random_state=0, **options)


def assert_same(found, y, dtype):
    assert found.dtype == dtype and found.tolist() == values(y)


@pytest.mark.parametrize(("y", "dtype"), CASES)
def test_labels_come_back(tmp_path, y, dtype):
    fitted = model().fit(X, y)
    assert_same(fitted.predict(X), y, dtype)
    assert fitted.classes_.dtype == dtype and fitted.classes_.tolist() == sorted(set(values(y)))
    assert fitted.score(X, y) == 1
    fitted.save(tmp_path / "model")
    assert_same(nmfnet.load(tmp_path / "model").predict(X), y, dtype)
    found = pickle.loads(pickle.dumps(fitted)).predict(X)  # NumPy unpickles to the byte order of the machine
    assert_same(found, y, found.dtype)
    assert found.dtype.newbyteorder("=") == dtype.newbyteorder("=")
    back = NMFNetClassifier.from_torch(fitted.to_torch(), classes=fitted.classes_)
    assert_same(back.predict(X), y, dtype)


@pytest.mark.parametrize(("y", "dtype"), CASES)
def test_labels_of_a_tensor(y, dtype):
    inputs = torch.tensor(X)
    fitted = model().fit(inputs, y)
    found = fitted.predict(inputs)
    assert found.tolist() == values(y)
    assert isinstance(found, torch.Tensor) == (dtype.kind in "biuf")
    assert fitted.score(inputs, y) == 1


@pytest.mark.parametrize(("y", "dtype"), CASES)
def test_labels_in_an_onnx_graph(tmp_path, y, dtype):
    onnxruntime = pytest.importorskip("onnxruntime")
    model().fit(X, y).to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["label"], {"X": X})
    expected = {"b": np.dtype(np.int64), "U": np.dtype(object)}.get(dtype.kind, dtype.newbyteorder("="))
    assert_same(found, y, expected)


@pytest.mark.parametrize(("y", "dtype"), CASES)
def test_labels_of_a_stream_and_their_weights(tmp_path, y, dtype):
    known = sorted(set(values(y)))
    weights = {label: 1.0 + number for number, label in enumerate(known)}
    fitted = model(class_weight=weights).partial_fit(X, y, classes=y)
    assert fitted.classes_.dtype == dtype and fitted.classes_.tolist() == known
    fitted.partial_fit(X, y, classes=known).partial_fit(X, values(y))  # and of another type
    other = model(class_weight=weights, warm_start=True).fit(X, values(y)).fit(X, y, X_val=X, y_val=values(y))
    assert other.history_[-1]["val_error"] == 0 and other.classes_.dtype == dtype
    fitted.save(tmp_path / "model")
    assert nmfnet.load(tmp_path / "model").class_weight == weights


@pytest.mark.parametrize("first", [np.array(UNSIGNED[:2], np.uint64), np.array(CLOSE[:2])])
@pytest.mark.parametrize("second", [np.int64, np.uint64, object])
def test_labels_are_compared_exactly(first, second):
    """Not after NumPy has made floats of signed and unsigned numbers, or text of numbers."""
    fitted = model().partial_fit(X[:2], first, classes=first)
    near = np.array([2**60 - 1, 2**63 - 1], dtype=object)
    with pytest.raises(ValueError, match="not among the classes"):
        fitted.partial_fit(X[:2], near.astype(second))
    with pytest.raises(ValueError, match="not among the classes"):
        fitted.partial_fit(X[:2], first.astype(str))


BIG = "y has the whole number .* no type of NumPy holds"


@pytest.mark.parametrize(
    ("classes", "error", "match"),
    [
        ([2**63 + 5, 2**63 + 6, 3], ValueError, BIG),
        ([2**63 + 5, 2**63 + 6, -3], ValueError, BIG),
        ([2**64, 2**64 + 1, 3], ValueError, BIG),
        ([2**60, 2**60 + 1, 1.0], ValueError, BIG),
        (["a", 1, "c"], ValueError, "y has labels of type int, str: make all of them text, or all of them numbers"),
        ([Decimal(1), Decimal(2), Decimal(3)], ValueError, "labels of type Decimal"),
        ([b"a", b"b", b"c"], TypeError, "bytes is not supported"),
        ([1j, 2j, 3j], ValueError, "Complex data not supported|labels of type complex"),
    ],
)
@pytest.mark.parametrize("container", [list, "objects"])
@pytest.mark.parametrize("inputs", [X, torch.tensor(X)])
def test_labels_that_are_refused(inputs, container, classes, error, match):
    y = [classes[number] for number in ORDER]
    y = np.array(y, dtype=object) if container == "objects" else y
    with pytest.raises(error, match=match):
        NMFNetClassifier((2,)).fit(inputs, y)
    with pytest.raises(error, match=match.replace("y has", "has")):
        NMFNetClassifier((2,)).partial_fit(inputs, ORDER, classes=classes)


def test_labels_that_cannot_be_stored(tmp_path):
    """Dates can be predicted and pickled, but neither saved nor written to a graph."""
    y = np.array(["2020", "2021", "2022"], dtype="datetime64[D]")[ORDER]
    fitted = model().fit(X, y)
    assert_same(pickle.loads(pickle.dumps(fitted)).predict(X), y, y.dtype)
    for store in (fitted.save, fitted.to_onnx):
        with pytest.raises(ValueError, match=r"labels of dtype datetime64\[D\] cannot be stored .* y.astype\(str\)"):
            store(tmp_path / "model")
    with pytest.raises(ValueError, match="y cannot be turned into an array of labels"):
        model().fit(X, pl.Series(ORDER.tolist(), dtype=pl.Int128))


@pytest.mark.parametrize("dtype", ["boolean", "Int8", "bool[pyarrow]", "uint8[pyarrow]"])
def test_several_nullable_labels(dtype):
    Y = pd.DataFrame({"one": ORDER == 0, "two": ORDER != 1}).astype(dtype)
    fitted = model().fit(X, Y)
    np.testing.assert_array_equal(fitted.predict(X), Y.to_numpy().astype(int))
    assert fitted.score(X, Y) == 1


@pytest.mark.parametrize("y", [None, [None, "a"], pd.Series([1, None], dtype="Int64"), np.array([0.5, np.nan])])
def test_what_is_missing_stays_for_others_to_judge(y):
    found = label_array(y)
    assert found is y or (len(found) == 2 and found.dtype.kind in "Of")
