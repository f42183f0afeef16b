"""Model files of the estimators: ``nmfnet.load``, and the types that skops must know."""

from __future__ import annotations

from nmfnet.estimators import NMFNetClassifier, NMFNetRegressor
from nmfnet.estimators.model_files import FORMAT_VERSION, SETTINGS, load, save

SKOPS_TYPES = [
    f"{cls.__module__}.{cls.__qualname__}" for cls in (NMFNetClassifier, NMFNetRegressor, *SETTINGS.values())
]

__all__ = ["FORMAT_VERSION", "SKOPS_TYPES", "load", "save"]
