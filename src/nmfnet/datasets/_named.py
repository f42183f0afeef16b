"""The data sets that have a name: `load` them, and see which are `available`."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmfnet.datasets._store import data_folder, fetch, how_to_provide, locate, read
from nmfnet.datasets._types import IMAGE_SETS, Dataset, Images, ImageSet
from nmfnet.errors import DataError

NAMES = ("digits", *IMAGE_SETS)


@dataclass(frozen=True)
class Available:
    """What a named set is, and whether it is on this machine.

    Attributes
    ----------
    name, description : str
        Name to `load` it by, and what it shows.
    n_train, n_test, n_features, n_classes : int
        Its size in the standard split.
    format : {"scikit-learn", "npz", "IDX", "CIFAR binary"} or None
        What it would be read from; None if it is not here.
    path : pathlib.Path or None
        File or folder it would be read from; None if bundled with scikit-learn or not here.
    """

    name: str
    description: str
    n_train: int
    n_test: int
    n_features: int
    n_classes: int
    format: str | None
    path: Path | None

    @property
    def here(self) -> bool:
        """Whether `load` would find it without fetching."""
        return self.format is not None


def available(data_home: str | os.PathLike[str] | None = None) -> list[Available]:
    """List the named sets and where each would be read from; no file is opened.

    Parameters
    ----------
    data_home : path, optional
        Folder of the data sets; see `data_folder`.

    Returns
    -------
    list of Available
        One record for each of `NAMES`, in that order.
    """
    home = data_folder(data_home)
    records = [Available("digits", "handwritten digits, 8 x 8 grey", 1347, 450, 64, 10, "scikit-learn", None)]
    for image_set in IMAGE_SETS.values():
        found = locate(image_set, home)
        records.append(
            Available(
                image_set.name,
                image_set.description,
                image_set.n_train,
                image_set.n_test,
                image_set.n_features,
                image_set.n_classes,
                found.format if found else None,
                found.path if found else None,
            )
        )
    return records


def load(name: str, *, data_home: str | os.PathLike[str] | None = None, download: bool = True) -> Dataset:
    """Load a named data set with its standard split into training and test part.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion-mnist", "cifar10"}
        Underscores may stand for hyphens.  `digits` comes with scikit-learn; its test part is a
        fixed quarter, stratified by class (``train_test_split`` with ``random_state=0``).
    data_home : path, optional
        Folder of the other sets; see `data_folder`.  They are read from the first of these that
        is complete: NAME.npz with uint8 arrays X_train, y_train, X_test and y_test (images of
        shape (n, 28, 28) or (n, 32, 32, 3), or flattened from it); the four IDX files, gzipped or
        not, in the folder NAME (MNIST's also directly in `data_home`); CIFAR-10's binary batches
        in the folder cifar-10-batches-bin or cifar10.  Files of fewer examples than the standard
        split are taken as they are.
    download : bool, default=True
        Fetch a set that is not there from OpenML, and keep it as NAME.npz for the next time.

    Returns
    -------
    Dataset
        X float32 of shape (n, n_features) in [0, 1]; y int64, 0 ... 9; all four parts present.

    Raises
    ------
    DataError
        The name is unknown; a file is damaged or not what its name says; or the set is neither
        there nor could be fetched, in which case the message says which file to put where.

    Examples
    --------
    >>> digits = load("digits")
    >>> digits.X_train.shape, digits.image_shape
    ((1347, 64), (8, 8))
    """
    canonical = str(name).lower().replace("_", "-")
    if canonical == "digits":
        return _digits()
    if canonical not in IMAGE_SETS:
        raise DataError(_unknown(str(name), canonical))
    image_set, home = IMAGE_SETS[canonical], data_folder(data_home)
    found = locate(image_set, home)
    if found:
        return _dataset(read(found, image_set), image_set, f"{found.path} ({found.format})")
    if not download:
        raise DataError(
            f"{image_set.name} is not on this machine and fetching it was not allowed: "
            f"{how_to_provide(image_set, home)}"
        )
    images, path = fetch(image_set, home)
    return _dataset(images, image_set, f"OpenML, kept in {path}")


def _unknown(name: str, canonical: str) -> str:
    close = difflib.get_close_matches(canonical, NAMES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no data set is named {name!r}: {hint}there are {', '.join(NAMES)}"


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(np.float32),  # pixels are 0..16
        y.astype(np.int64),
        test_size=0.25,
        stratify=y,
        random_state=0,
    )
    return Dataset("digits", X_train, y_train, X_test, y_test, image_shape=(8, 8), source="scikit-learn")


def _dataset(images: Images, image_set: ImageSet, source: str) -> Dataset:
    scale = np.float32(255)
    return Dataset(
        image_set.name,
        # With the type given, numpy divides in small blocks: no float64 copy of the whole.
        np.divide(images.X_train, scale, dtype=np.float32),
        images.y_train,
        np.divide(images.X_test, scale, dtype=np.float32),
        images.y_test,
        image_shape=image_set.image_shape,
        source=source,
    )
