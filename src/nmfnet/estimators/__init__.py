"""The scikit-learn faces of the method."""

from nmfnet.estimators.classifier import NMFNetClassifier
from nmfnet.estimators.regressor import NMFNetRegressor

__all__ = ["NMFNetClassifier", "NMFNetRegressor"]
