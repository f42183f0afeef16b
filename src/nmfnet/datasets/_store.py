"""The folder the named sets are kept in: where it is, what is there, and filling it."""

from __future__ import annotations

import http.client
import importlib.util
import os
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from nmfnet.datasets._formats import (
    CIFAR_NAMES,
    IDX_NAMES,
    channel_last,
    check_part,
    idx_files,
    read_cifar_images,
    read_idx_images,
    read_npz_images,
    reason,
)
from nmfnet.datasets._types import IMAGE_SETS, Images, ImageSet
from nmfnet.errors import DataError

ENVIRONMENT_VARIABLE = "NMFNET_DATA"
_CIFAR_FOLDERS = ("cifar-10-batches-bin", "cifar10")

# Besides OSError (which URLError, timeouts and TLS errors are): a broken-off reply, a wrong
# checksum or OpenML's own refusal (ValueError), and an unexpected description (KeyError).
_FETCH_ERRORS = (OSError, http.client.HTTPException, ValueError, KeyError, EOFError, zlib.error)


class Found(NamedTuple):
    """Files of a named set on this machine: a .npz file, or the folder that holds the rest."""

    format: str
    path: Path


def data_folder(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder the named sets are looked for and kept in; it need not exist.

    Parameters
    ----------
    data_home : path, optional
        The folder itself.  Left out, it is the environment variable NMFNET_DATA or, where that
        is not set, this user's cache folder for nmfnet.

    Returns
    -------
    pathlib.Path
    """
    chosen = data_home if data_home is not None else os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_cache_path("nmfnet")


def locate(image_set: ImageSet, home: Path) -> Found | None:
    """Return the first complete set of files of `image_set` below `home`, if any."""
    for spelling in _spellings(image_set.name):
        path = home / f"{spelling}.npz"
        if os.path.isfile(path):
            return Found("npz", path)
    for folder in _folders(image_set, home):
        if image_set.in_colour:
            if all(os.path.isfile(folder / name) for name in CIFAR_NAMES):
                return Found("CIFAR binary", folder)
        elif None not in idx_files(folder):
            return Found("IDX", folder)
    return None


def _spellings(name: str) -> list[str]:
    return list(dict.fromkeys((name, name.replace("-", "_"))))


def _folders(image_set: ImageSet, home: Path) -> list[Path]:
    """Return the folders that IDX files or CIFAR batches of `image_set` may lie in."""
    names = list(_CIFAR_FOLDERS) if image_set.in_colour else _spellings(image_set.name)
    folders = [home / name for name in names]
    # IDX files are named alike in MNIST and Fashion-MNIST: those directly in `home` are taken
    # for MNIST unless the folder's own name says that they are another set.
    own_name = home.name.lower().replace("_", "-")
    if own_name in names or (image_set.name == "mnist" and own_name not in IMAGE_SETS):
        folders.append(home)
    return folders


def read(found: Found, image_set: ImageSet) -> Images:
    """Read the files that `locate` found."""
    if found.format == "npz":
        return read_npz_images(found.path, image_set)
    if found.format == "CIFAR binary":
        return read_cifar_images(found.path, image_set)
    return read_idx_images([path for path in idx_files(found.path) if path], image_set)


def how_to_provide(image_set: ImageSet, home: Path) -> str:
    """Return the half sentence that says which file would make the set available."""
    if image_set.in_colour:
        others = f"{CIFAR_NAMES[0]} ... {CIFAR_NAMES[-1]} in {_CIFAR_FOLDERS[0]}{os.sep}"
    else:
        others = f"{IDX_NAMES[0]}.gz and the other three IDX files in {image_set.name}{os.sep}"
    return (
        f"put {image_set.name}.npz (uint8 arrays X_train, y_train, X_test, y_test), or {others}, "
        f"into {home}, or set {ENVIRONMENT_VARIABLE} to the folder that has it"
    )


def fetch(image_set: ImageSet, home: Path) -> tuple[Images, Path]:
    """Fetch a set from OpenML, check it, and keep it as NAME.npz in `home`.

    Returns
    -------
    images : Images
        Its four arrays.
    path : pathlib.Path
        The file that now holds them.

    Raises
    ------
    DataError
        It cannot be fetched, is not what it should be, or cannot be kept; nothing is kept then.
    """
    path = home / f"{image_set.name}.npz"
    advice = how_to_provide(image_set, home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        # OpenML's own files are several times the size of ours, and a wrong one must not be
        # found again: they go to a folder that is removed either way.
        with tempfile.TemporaryDirectory(prefix=f".{image_set.name}-", dir=home) as scratch:
            X, y = _fetch_openml(image_set, scratch, advice)
            images = _split(X, y, image_set, advice)
            del X, y
            _keep(images, path, home / f"{Path(scratch).name}.npz")
    except OSError as error:
        raise DataError(f"{image_set.name} cannot be kept in {home} ({reason(error)}): {advice}") from error
    return images, path


def _fetch_openml(image_set: ImageSet, folder: str, advice: str) -> tuple[Any, Any]:
    from sklearn.datasets import fetch_openml

    # The pure-Python ARFF parser needs many times the memory and minutes where pandas needs
    # seconds, but it is always there.
    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    try:
        with warnings.catch_warnings():
            # What comes of the retries is in our own error; one line is enough.
            warnings.filterwarnings("ignore", message="A network error occurred")
            fetched = fetch_openml(**image_set.openml, data_home=folder, as_frame=False, parser=parser, n_retries=1)
            return fetched.data, fetched.target
    except _FETCH_ERRORS as error:
        raise DataError(
            f"{image_set.name} is not on this machine and cannot be fetched from OpenML ({reason(error)}): {advice}"
        ) from error


def _split(X: Any, y: Any, image_set: ImageSet, advice: str) -> Images:
    """Check what OpenML sent and split it: the test part is the last `n_test` examples."""
    X, n_train, n_test = np.asarray(X), image_set.n_train, image_set.n_test
    try:
        shape = (n_train + n_test, image_set.n_features)
        if X.shape != shape:
            raise DataError(f"its shape is {X.shape}, not {shape}")
        X, y = _as_integers(X, np.uint8, "pixels"), _as_integers(y, np.int64, "labels")
        if image_set.in_colour:
            X = channel_last(X, image_set)
        where = Path(image_set.name)
        parts = (
            *check_part(X[:n_train], y[:n_train], image_set, where, "train"),
            *check_part(X[n_train:], y[n_train:], image_set, where, "test"),
        )
        # The class counts tell the standard split from the same images in another order.
        counts = np.bincount(parts[3], minlength=image_set.n_classes).tolist()
        if tuple(counts) != image_set.test_class_counts:
            raise DataError(f"its last {n_test} examples are not the standard test part")
    except DataError as error:
        raise DataError(
            f"{image_set.name} as fetched from OpenML is not as expected ({error}) and was not kept: {advice}"
        ) from error
    return Images(*parts)


def _as_integers(values: Any, dtype: type[np.integer], what: str) -> NDArray[Any]:
    """Return `values` (numbers, or labels as strings) as integers, if that is what they are."""
    try:
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iuf":
            numbers = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"its {what} are not numbers") from error
    limits = np.iinfo(dtype)
    # Written so that NaN, for which every comparison is false, fails too.
    if not (numbers.size and numbers.min() >= limits.min and numbers.max() <= limits.max):
        raise DataError(f"its {what} are not in {limits.min}..{limits.max}")
    integers = numbers.astype(dtype)
    if not np.array_equal(integers, numbers):
        raise DataError(f"its {what} are not integers")
    return integers


def _keep(images: Images, path: Path, temporary: Path) -> None:
    """Write NAME.npz so that the name never stands for half a file."""
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **images._asdict())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
