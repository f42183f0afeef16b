"""Neural networks without backpropagation and without a learning rate.

They are trained by alternating nonnegative matrix factorizations, layer by layer.
"""

from nmfnet import datasets
from nmfnet.decomposition import NMF, NMFAutoencoder, NonlinearSemiNMF, SemiNMF
from nmfnet.errors import (
    DataError,
    DivergenceError,
    DivergenceWarning,
    ModelFileError,
    NMFNetError,
)
from nmfnet.estimators import NMFNetClassifier, NMFNetRegressor
from nmfnet.factorization import (
    Factorization,
    nmf,
    nonlinear_least_squares,
    nonlinear_semi_nmf,
    semi_nmf,
)
from nmfnet.storage import load
from nmfnet.training import Callback, NMFPretraining, Pinv, Relaxed

__version__ = "0.1.0"

__all__ = [
    "NMF",
    "Callback",
    "DataError",
    "DivergenceError",
    "DivergenceWarning",
    "Factorization",
    "ModelFileError",
    "NMFAutoencoder",
    "NMFNetClassifier",
    "NMFNetError",
    "NMFNetRegressor",
    "NMFPretraining",
    "NonlinearSemiNMF",
    "Pinv",
    "Relaxed",
    "SemiNMF",
    "datasets",
    "load",
    "nmf",
    "nonlinear_least_squares",
    "nonlinear_semi_nmf",
    "semi_nmf",
]
