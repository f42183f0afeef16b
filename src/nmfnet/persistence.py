"""Model files of the estimators: ``nmfnet.load``, and the types that skops must know."""

from __future__ import annotations

from nmfnet._moved import MOVED
from nmfnet.estimators import NMFNetClassifier, NMFNetRegressor
from nmfnet.estimators.model_files import FORMAT_VERSION, SETTINGS, load, save
from nmfnet.layers import SPECS

CLASSES = (NMFNetClassifier, NMFNetRegressor, *SETTINGS.values(), *SPECS.values())
SKOPS_TYPES = [f"{cls.__module__}.{cls.__qualname__}" for cls in CLASSES]
# And as files of before name them.
SKOPS_TYPES += [f"{old}.{cls.__qualname__}" for old, new in MOVED.items() for cls in CLASSES if cls.__module__ == new]

__all__ = ["FORMAT_VERSION", "SKOPS_TYPES", "load", "save"]
