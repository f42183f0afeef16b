"""Readers of the file formats image sets come in: .npz, IDX and CIFAR's binary batches.

Every reader either returns checked arrays or raises a one-line `DataError` that names the file.
"""

from __future__ import annotations

import gzip
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._types import Images, ImageSet
from nmfnet.errors import DataError

PARTS = ("X_train", "y_train", "X_test", "y_test")
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR_NAMES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")

_IDX_UNSIGNED_BYTE = 8
_GZIP_MAGIC = b"\x1f\x8b"


def reason(error: BaseException) -> str:
    """Return what went wrong in one line, without the path an OSError repeats."""
    if isinstance(error, UnicodeDecodeError):
        name = "UTF-8" if error.encoding == "utf-8" else error.encoding
        byte = f"byte 0x{error.object[error.start]:02x}"
        return f"it is not {name} text ({byte}): leave out --encoding, or give another one"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn any failure to read `path` as `kind` into a DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    # Broad on purpose: a damaged file makes the parsers raise nearly anything, from zlib.error
    # and BadZipFile to SyntaxError or MemoryError over a nonsensical array header.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as {kind}: {reason(error)}") from error


def load_npz(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return those of the `wanted` arrays that the file holds; pickled objects are refused."""
    with reading(path, "a .npz file"), open(path, "rb") as file:
        # Before np.load, which takes anything else for a pickle and would ask to trust it.
        if not zipfile.is_zipfile(file):
            raise DataError(f"{path}: is not a .npz file, or is cut short")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            there = archive.files
            arrays = {name: archive[name] for name in wanted if name in there}
    if not arrays:
        raise DataError(f"{path}: holds {', '.join(there) or 'nothing'}, but none of {', '.join(wanted)}")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # np.load hands out other members as bytes
            raise DataError(f"{path}: {name} is not an array")
    return arrays


def read_npz_images(path: Path, image_set: ImageSet) -> Images:
    """Read NAME.npz: integer images, shaped or flat, and their labels."""
    arrays = load_npz(path, PARTS)
    missing = [part for part in PARTS if part not in arrays]
    if missing:
        raise DataError(f"{path}: lacks the array {missing[0]}")
    X_train, y_train = check_part(arrays["X_train"], arrays["y_train"], image_set, path, "train")
    X_test, y_test = check_part(arrays["X_test"], arrays["y_test"], image_set, path, "test")
    return Images(X_train, y_train, X_test, y_test)


def check_part(
    X: NDArray[Any], y: NDArray[Any], image_set: ImageSet, path: Path, part: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Check one part's pixels and labels; return them as (n, features) uint8 and (n,) int64."""
    shape, size = image_set.image_shape, image_set.n_features
    if X.ndim == 0 or X.shape[1:] not in (shape, (size,)):
        expected = f"(n, {', '.join(map(str, shape))}) or (n, {size})"
        raise DataError(f"{path}: X_{part} has shape {X.shape}, not {expected}")
    if y.shape != (len(X),):
        raise DataError(f"{path}: y_{part} has shape {y.shape}, but X_{part} {len(X)} rows")
    if len(X) == 0:
        raise DataError(f"{path}: X_{part} has no rows")
    _check_integers(X, 255, path, f"X_{part}", "pixels")
    _check_integers(y, image_set.n_classes - 1, path, f"y_{part}", "labels")
    return X.reshape(len(X), size).astype(np.uint8, copy=False), y.astype(np.int64)


def _check_integers(values: NDArray[Any], high: int, path: Path, name: str, what: str) -> None:
    if values.dtype.kind not in "iu":
        raise DataError(f"{path}: {name} is of type {values.dtype}, not integer")
    least, most = values.min(), values.max()
    if least < 0 or most > high:
        raise DataError(f"{path}: {name} has {what} in {least}..{most}, not 0..{high}")


def idx_files(folder: Path) -> list[Path | None]:
    """Return the four IDX files in `folder`, compressed or not; None for each not there."""
    found: list[Path | None] = []
    for name in IDX_NAMES:
        candidates = (folder / f"{name}.gz", folder / name)
        found.append(next((path for path in candidates if os.path.isfile(path)), None))
    return found


def read_idx_images(paths: Sequence[Path], image_set: ImageSet) -> Images:
    """Read the four IDX files, in the order of `IDX_NAMES`."""
    train_images, train_labels, test_images, test_labels = paths
    X_train, y_train = _read_idx_part(train_images, train_labels, image_set, "train")
    X_test, y_test = _read_idx_part(test_images, test_labels, image_set, "test")
    return Images(X_train, y_train, X_test, y_test)


def _read_idx_part(
    images: Path, labels: Path, image_set: ImageSet, part: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    X, y = read_idx(images, 3), read_idx(labels, 1)
    if len(X) != len(y):
        raise DataError(f"{labels}: has {len(y)} labels for the {len(X)} images of {images}")
    if y.size and y.max() >= image_set.n_classes:
        raise DataError(f"{labels}: has labels up to {y.max()}, not 0..{image_set.n_classes - 1}")
    return check_part(X, y, image_set, images, part)


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, gzipped or not.

    The header is two zero bytes, the element type, the number of dimensions, and each dimension
    as a big-endian 32-bit integer.
    """
    with reading(path, "an IDX file"):
        content = path.read_bytes()
        # By content, not by ending: some browsers unpack a .gz and leave its name.
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    header = 4 + 4 * ndim
    if len(content) < header or content[:4] != bytes((0, 0, _IDX_UNSIGNED_BYTE, ndim)):
        raise DataError(f"{path}: is not an IDX file of unsigned bytes in {ndim} dimensions")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, offset=4))
    expected, there = math.prod(shape), len(content) - header
    if there != expected:
        raise DataError(f"{path}: announces {expected} bytes of shape {shape} but holds {there}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_cifar_images(folder: Path, image_set: ImageSet) -> Images:
    """Read CIFAR-10's five training batches and its test batch."""
    batches = [_read_cifar_batch(folder / name, image_set) for name in CIFAR_NAMES]
    # A batch cut off between two records still looks whole, but not beside the others.
    for name, batch in zip(CIFAR_NAMES, batches, strict=True):
        if len(batch[0]) != len(batches[0][0]):
            raise DataError(
                f"{folder / name}: has {len(batch[0])} records, but {CIFAR_NAMES[0]} has {len(batches[0][0])}"
            )
    X_train = np.concatenate([X for X, _ in batches[:-1]])
    y_train = np.concatenate([y for _, y in batches[:-1]])
    return Images(X_train, y_train, *batches[-1])


def _read_cifar_batch(path: Path, image_set: ImageSet) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read records of one label byte and then the image, channel by channel."""
    with reading(path, "a CIFAR batch"):
        content = np.frombuffer(path.read_bytes(), np.uint8)
    record = 1 + image_set.n_features
    if content.size == 0 or content.size % record:
        raise DataError(f"{path}: its {content.size} bytes are not whole records of {record}")
    records = content.reshape(-1, record)
    X = channel_last(records[:, 1:], image_set)
    part = "test" if path.name == CIFAR_NAMES[-1] else "train"
    return check_part(X, records[:, 0], image_set, path, part)


def channel_last(X: NDArray[Any], image_set: ImageSet) -> NDArray[Any]:
    """Reorder flat channel-major colour images to (n, height, width, channels), contiguous."""
    height, width, channels = image_set.image_shape
    planes = X.reshape(len(X), channels, height, width)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
