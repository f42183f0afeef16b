"""What must be known of files before the first epoch comes from one reading."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.data.files import opened_inputs
from nmfnet.data.first_reading import first_reading
from nmfnet.data.on_disk import OnDisk, read_ahead
from nmfnet.solvers.relaxed.masks import masking_value


def save(folder, X):
    np.save(folder / "X.npy", X)
    return folder / "X.npy"


@pytest.fixture
def before_training(monkeypatch):
    """Rows of each reading of files in their order, up to the first batch."""
    readings, own, batches, begun = [], read_ahead, OnDisk.batches, []

    def counted(X, rows):
        if not begun:
            readings.append(0)
        for block in own(X, rows):
            if not begun:
                readings[-1] += len(block)
            yield block

    monkeypatch.setattr("nmfnet.data.on_disk.read_ahead", counted)
    monkeypatch.setattr(OnDisk, "batches", lambda *a, **k: (begun.append(1), batches(*a, **k))[1])
    monkeypatch.setattr("nmfnet.data.on_disk.BLOCK_NUMBERS", 1)  # 64 rows in a block
    return readings


def pixels(n):
    """Nearly four directions of 150 columns of one unit, and classes of them."""
    rng = np.random.default_rng(1)
    parts = rng.standard_normal((n, 4))
    X = parts @ rng.standard_normal((4, 150)) + 0.05 * rng.standard_normal((n, 150)) + 3
    return X.astype(np.float32), (parts[:, 0] > 0).astype(int)


READ_ONCE = {
    "table": {},
    "pixels": {},
    "weights": {"weighted": True},
    "classes": {"class_weight": "balanced"},
    "real": {"real": True},
    "as they are": {"solver": Relaxed(standardize=False)},
}


@pytest.mark.parametrize("name", READ_ONCE)
def test_files_are_read_once_before_the_first_epoch(name, tmp_path, digits, before_training, monkeypatch):
    """For the check, the scaling, the principal components of every third row, and the values of masked inputs."""
    monkeypatch.setattr("nmfnet.data.first_reading.COVARIANCE_ROWS", 300)
    X, y = digits[0], digits[2]
    if name != "table":
        X, y = pixels(2001)
    options = {"max_iter": 1, "random_state": 0, "n_members": 1, **READ_ONCE[name]}
    w = 1.0 + np.arange(len(X)) % 3 if options.pop("weighted", False) else None
    real = options.pop("real", False)
    model = (NMFNetRegressor if real else NMFNetClassifier)((5,), **options)
    stored = model.fit(save(tmp_path, X), y, w).network_.inputs
    assert before_training == [len(X)]
    np.testing.assert_allclose(model.input_encoder_.missing.fill, np.average(X, 0, mean_weights(model, y, w)), 1e-5)
    held = clone(model).fit(X, y, w).network_.inputs
    assert (stored is None) == (held is None) == (name == "as they are")
    if stored is not None:
        assert stored.projects == held.projects == (name in ("pixels", "weights", "classes"))
        torch.testing.assert_close(stored.shift, held.shift)
        factors = [each.factor @ each.factor.T if each.projects else each.factor for each in (stored, held)]
        torch.testing.assert_close(*factors, rtol=1e-4, atol=1e-5)


def mean_weights(model, y, w):
    """Weights of the rows, those of their classes among them."""
    if getattr(model, "class_weight", None) is None:
        return w
    return len(y) / np.bincount(y)[y]


@pytest.mark.parametrize("kept", [True, False])
def test_rows_of_a_validation_set_are_read_but_once(tmp_path, before_training, monkeypatch, kept):
    X, y = pixels(1000)
    if not kept:  # rows for the principal components, which are read again
        monkeypatch.setattr("nmfnet.data.first_reading.MOST_KEPT_BYTES", 0)
    options = {"max_iter": 1, "random_state": 0, "early_stopping": True}
    model = NMFNetClassifier((5,), **options).fit(save(tmp_path, X), y)
    assert before_training[:2] == [900, 100] and before_training[2:].count(900) >= (not kept)
    assert model.network_.inputs.projects


def test_masked_inputs_are_as_in_memory(tmp_path):
    X, y = pixels(300)
    rows, Y = opened_inputs(save(tmp_path, np.abs(X) + 0.5)), torch.tensor(y[:, None])
    plain = masking_value(OnDisk(rows, Y.float()))
    rows.first = first_reading(rows, None, False, None)
    assert torch.equal(masking_value(OnDisk(rows, Y.float())), plain) and bool((plain > 0).all())


def test_what_is_not_finite_is_named_by_row_and_column(tmp_path):
    X, y = pixels(300)
    X[250, [3, 7]] = np.nan, np.inf
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(150)]).assign(y=y)
    frame.to_parquet(tmp_path / "t.parquet")
    for path, targets, names in ((save(tmp_path, X), y, "3, 7"), (tmp_path / "t.parquet", "y", "'p3', 'p7'")):
        with pytest.raises(ValueError, match=f"NaN or infinity, in rows 0 to 299, columns {names}: fill it in before"):
            NMFNetClassifier().fit(path, targets)
    w = np.ones(300)
    w[:100] = 0
    with pytest.raises(ValueError, match="in rows 100 to 299, columns"):
        NMFNetClassifier().fit(tmp_path / "X.npy", y, w)
    w[250] = 0  # rows without weight are left out
    assert NMFNetClassifier((5,), max_iter=1).fit(tmp_path / "X.npy", y, w).network_.is_finite()
