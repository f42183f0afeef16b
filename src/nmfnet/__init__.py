"""Neural networks without backpropagation and without a learning rate.

They are trained by alternating nonnegative matrix factorizations, layer by layer.
"""

from nmfnet import callbacks, datasets, plotting
from nmfnet._forking import compute_alone_after_fork
from nmfnet.decomposition import NMF, NMFAutoencoder, NonlinearSemiNMF, SemiNMF
from nmfnet.errors import (
    CheckpointError,
    DataError,
    DivergenceError,
    DivergenceWarning,
    ModelFileError,
    NMFNetError,
    VersionWarning,
)
from nmfnet.estimators import NMFNetClassifier, NMFNetRegressor
from nmfnet.export import fit_module
from nmfnet.factorization import (
    Factorization,
    nmf,
    nonlinear_least_squares,
    nonlinear_semi_nmf,
    semi_nmf,
)
from nmfnet.storage import SKOPS_TYPES, Checkpoint, load
from nmfnet.training import Callback, NMFPretraining, Pinv, Relaxed

__version__ = "0.1.0"

compute_alone_after_fork()

__all__ = [
    "NMF",
    "SKOPS_TYPES",
    "Callback",
    "Checkpoint",
    "CheckpointError",
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
    "VersionWarning",
    "callbacks",
    "datasets",
    "fit_module",
    "load",
    "nmf",
    "nonlinear_least_squares",
    "nonlinear_semi_nmf",
    "plotting",
    "semi_nmf",
]
