"""The data sets: every file format, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from nmfnet.datasets import NAMES, available, data_folder, load, read_file
from nmfnet.errors import DataError
from samples import assert_holds, images, message

DIGITS_CRC = 0xF11320FF  # of y_test as little-endian int64
IDX_NAMES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def idx(array):
    """Return an array of bytes in the IDX format."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, arrays, compressed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for key, name in IDX_NAMES.items():
        content = idx(arrays[key])
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def write_cifar(folder: Path, arrays):
    """Write CIFAR-10's six files, four training images a batch and four test images."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, X, y):
        planes = X.transpose(0, 3, 1, 2).reshape(len(X), -1)
        (folder / name).write_bytes(np.column_stack([y, planes]).astype(np.uint8).tobytes())

    for i in range(5):
        batch = slice(4 * i, 4 * i + 4)
        write(f"data_batch_{i + 1}.bin", arrays["X_train"][batch], arrays["y_train"][batch])
    write("test_batch.bin", arrays["X_test"], arrays["y_test"])


def cifar_images():
    arrays = images((32, 32, 3))
    return arrays | {"X_test": arrays["X_test"][:4], "y_test": arrays["y_test"][:4]}


# --- names and folders ---


def test_digits_split_is_fixed():
    digits = load("digits")
    assert digits.X_train.shape == (1347, 64) and digits.X_test.shape == (450, 64)
    assert digits.X_train.dtype == np.float32 and digits.X_train.flags.c_contiguous
    assert digits.y_train.dtype == np.int64
    assert (digits.X_train.min(), digits.X_train.max()) == (0, 1)
    assert digits.image_shape == (8, 8) and digits.n_features == 64
    assert zlib.crc32(digits.y_test.astype("<i8").tobytes()) == DIGITS_CRC
    assert np.bincount(digits.y_test).min() >= 43  # stratified


def test_unknown_name_suggests():
    text = message(load, "minst")
    assert "'minst'" in text and "did you mean 'mnist'" in text and "cifar10" in text


@pytest.mark.parametrize("name", ["fashion-mnist", "fashion_mnist", "Fashion-MNIST"])
def test_spellings_of_a_name(tmp_path, name):
    np.savez(tmp_path / "fashion-mnist.npz", **images())
    assert load(name, data_home=tmp_path).name == "fashion-mnist"


def test_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NMFNET_DATA", str(tmp_path / "variable"))
    assert data_folder(tmp_path) == tmp_path
    assert data_folder() == tmp_path / "variable"
    monkeypatch.setenv("NMFNET_DATA", "")
    assert data_folder().name == "nmfnet"


def test_folder_from_environment(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", **images())
    monkeypatch.setenv("NMFNET_DATA", str(tmp_path))
    assert_holds(load("mnist"), images(), (28, 28))


def test_absent_and_download_refused(tmp_path):
    text = message(load, "mnist", data_home=tmp_path, download=False)
    assert "mnist.npz" in text and str(tmp_path) in text and "NMFNET_DATA" in text
    text = message(load, "cifar10", data_home=tmp_path, download=False)
    assert "cifar10.npz" in text and "data_batch_1.bin" in text


def test_available(tmp_path):
    np.savez(tmp_path / "mnist.npz", **images())
    write_idx(tmp_path / "fashion_mnist", images())
    records = available(tmp_path)
    assert tuple(record.name for record in records) == NAMES
    digits, mnist, fashion, cifar10 = records
    assert digits.here and digits.format == "scikit-learn" and digits.path is None
    assert (digits.n_train, digits.n_test, digits.n_features) == (1347, 450, 64)
    assert mnist.here and mnist.format == "npz" and mnist.path == tmp_path / "mnist.npz"
    assert (mnist.n_train, mnist.n_test, mnist.n_features) == (60000, 10000, 784)
    assert fashion.format == "IDX" and fashion.path == tmp_path / "fashion_mnist"
    assert not cifar10.here and cifar10.n_features == 3072 and cifar10.n_classes == 10


def test_available_does_not_open_files(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"not a zip")
    assert available(tmp_path)[1].here


# --- NAME.npz ---


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_npz(tmp_path, flat, dtype):
    arrays = images()
    stored = {
        key: (value.reshape(len(value), -1) if flat and key[0] == "X" else value).astype(dtype)
        for key, value in arrays.items()
    }
    np.savez_compressed(tmp_path / "mnist.npz", **stored)
    dataset = load("mnist", data_home=tmp_path)
    assert_holds(dataset, arrays, (28, 28))
    assert str(tmp_path / "mnist.npz") in dataset.source


def test_npz_colour(tmp_path):
    np.savez(tmp_path / "cifar10.npz", **images((32, 32, 3)))
    assert_holds(load("cifar10", data_home=tmp_path), images((32, 32, 3)), (32, 32, 3))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"X_train": np.zeros((20, 27, 28), np.uint8)}, "X_train has shape (20, 27, 28)"),
        ({"X_train": np.uint8(3)}, "X_train has shape ()"),
        ({"X_test": np.zeros((9, 28, 28), np.uint8)}, "y_test has shape (10,)"),
        ({"y_train": np.zeros((20, 1), np.uint8)}, "y_train has shape (20, 1)"),
        ({"y_train": np.full(20, 10)}, "labels in 10..10, not 0..9"),
        ({"y_test": np.full(10, -1)}, "labels in -1..-1"),
        ({"X_train": np.full((20, 28, 28), 256)}, "pixels in 256..256"),
        ({"X_train": np.zeros((20, 28, 28))}, "X_train is of type float64"),
        ({"y_train": np.full(20, "a")}, "y_train is of type <U1"),
        ({"X_test": np.zeros((0, 784), np.uint8), "y_test": np.zeros(0, int)}, "no rows"),
        ({"y_test": None}, "lacks the array y_test"),
        ({"y_test": np.full(10, None, object)}, "allow_pickle=False"),
    ],
)
def test_npz_with_wrong_arrays(tmp_path, change, expected):
    arrays = {key: value for key, value in (images() | change).items() if value is not None}
    np.savez(tmp_path / "mnist.npz", **arrays)
    text = message(load, "mnist", data_home=tmp_path)
    assert str(tmp_path / "mnist.npz") in text and expected in text


def test_npz_with_other_names(tmp_path):
    np.savez(tmp_path / "mnist.npz", images=np.zeros(3))
    assert "holds images, but none of X_train" in message(load, "mnist", data_home=tmp_path)


def test_npz_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X_train.npy", b"hello")
    assert "X_train is not an array" in message(read_file, tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY", b"PK\x03\x04 and no more"])
def test_npz_that_is_something_else(tmp_path, content):
    (tmp_path / "mnist.npz").write_bytes(content)
    assert "mnist.npz: is not a .npz file" in message(load, "mnist", data_home=tmp_path)


def test_damaged_npz_never_escapes_as_another_error(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **images())
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (10, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert str(path) in message(load, "mnist", data_home=tmp_path)
    for _ in range(100):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 20):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:  # a change in what zip files never look at goes unseen
            load("mnist", data_home=tmp_path)
        except DataError as error:
            assert str(path) in str(error)


# --- IDX ---


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(("name", "folder"), [("mnist", "mnist"), ("mnist", "."), ("fashion-mnist", "fashion-mnist")])
def test_idx(tmp_path, name, folder, compressed):
    write_idx(tmp_path / folder, images(), compressed)
    assert_holds(load(name, data_home=tmp_path, download=False), images(), (28, 28))


def test_idx_under_the_name_of_the_folder_only(tmp_path):
    """Both sets' files have the same names: one must not be taken for the other."""
    home = tmp_path / "fashion-mnist"
    write_idx(home, images())
    assert load("fashion-mnist", data_home=home, download=False).name == "fashion-mnist"
    assert "mnist.npz" in message(load, "mnist", data_home=home, download=False)


def test_incomplete_idx_is_not_there(tmp_path):
    write_idx(tmp_path, images())
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert not available(tmp_path)[1].here
    assert "mnist.npz" in message(load, "mnist", data_home=tmp_path, download=False)


def test_npz_comes_before_idx(tmp_path):
    np.savez(tmp_path / "mnist.npz", **images(seed=1))
    write_idx(tmp_path / "mnist", images(seed=2))
    assert_holds(load("mnist", data_home=tmp_path), images(seed=1), (28, 28))


WHOLE = gzip.compress(idx(images()["X_train"]))
BAD_CHECKSUM = WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:]


@pytest.mark.parametrize(
    ("key", "content", "expected"),
    [
        ("X_train", WHOLE[:-100], "cannot be read as an IDX file"),
        ("X_train", WHOLE[:50] + b"\xff" * 50 + WHOLE[100:], "cannot be read as an IDX file"),
        ("X_train", BAD_CHECKSUM, "CRC check failed"),
        ("X_train", gzip.compress(idx(images()["X_train"])[:-5]), "but holds 15675"),
        ("X_train", gzip.compress(idx(images()["X_train"]) + b"more"), "but holds 15684"),
        ("X_train", b"", "is not an IDX file"),
        ("X_train", b"<!doctype html>", "is not an IDX file"),
        ("X_train", idx(images()["y_train"]), "is not an IDX file of unsigned bytes in 3"),
        ("X_train", idx(np.zeros((20, 27, 28), np.uint8)), "X_train has shape (20, 27, 28)"),
        ("y_train", idx(np.zeros(19, np.uint8)), "has 19 labels for the 20 images"),
        ("y_test", idx(np.full(10, 10, np.uint8)), "labels up to 10, not 0..9"),
    ],
)
def test_wrong_idx(tmp_path, key, content, expected):
    write_idx(tmp_path, images())
    path = tmp_path / f"{IDX_NAMES[key]}.gz"
    path.write_bytes(content)
    text = message(load, "mnist", data_home=tmp_path)
    assert str(path) in text and expected in text


# --- CIFAR-10's binary batches ---


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "cifar10"])
def test_cifar_batches(tmp_path, folder):
    arrays = cifar_images()
    write_cifar(tmp_path / folder, arrays)
    dataset = load("cifar10", data_home=tmp_path, download=False)
    assert_holds(dataset, arrays, (32, 32, 3))
    assert available(tmp_path)[3].format == "CIFAR binary"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content[:-1], "are not whole records of 3073"),
        (lambda content: b"", "are not whole records"),
        (lambda content: content[3073:], "has 3 records, but data_batch_1.bin has 4"),
        (lambda content: b"\x0a" + content[1:], "labels in 1..10, not 0..9"),
    ],
)
def test_wrong_cifar_batch(tmp_path, change, expected):
    write_cifar(tmp_path / "cifar10", cifar_images())
    path = tmp_path / "cifar10" / "data_batch_3.bin"
    content = bytearray(path.read_bytes())
    content[3073::3073] = b"\x01\x02\x03"
    path.write_bytes(change(bytes(content)))
    text = message(load, "cifar10", data_home=tmp_path)
    assert str(path) in text and expected in text


def test_incomplete_cifar_is_not_there(tmp_path):
    write_cifar(tmp_path / "cifar10", cifar_images())
    (tmp_path / "cifar10" / "test_batch.bin").unlink()
    assert not available(tmp_path)[3].here
