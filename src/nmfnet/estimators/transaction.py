"""All or nothing: a fit that fails changes no estimator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.base import BaseEstimator

from nmfnet.torch_modes import plain_tensors


@contextmanager
def unchanged_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of an estimator if what follows raises, and keep PyTorch's modes out of it."""
    before = dict(estimator.__dict__)
    try:
        with plain_tensors():
            yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise
