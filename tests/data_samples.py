"""What the tests of data sets share."""

import numpy as np
import pytest

from nmfnet.errors import DataError

N_TRAIN, N_TEST = 20, 10


def images(shape=(28, 28), seed=0):
    """Return the four arrays of a small image set, every class in both parts."""
    rng = np.random.default_rng(seed)
    return {
        "X_train": rng.integers(0, 256, (N_TRAIN, *shape), dtype=np.uint8),
        "y_train": (np.arange(N_TRAIN) % 10).astype(np.uint8),
        "X_test": rng.integers(0, 256, (N_TEST, *shape), dtype=np.uint8),
        "y_test": np.arange(N_TEST, dtype=np.uint8)[::-1].copy(),
    }


def message(call, *args, **kwargs):
    """Return the text of the DataError that a call raises, which must be one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert text and "\n" not in text
    return text
