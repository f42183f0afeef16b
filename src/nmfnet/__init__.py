"""Neural networks without backpropagation and without a learning rate.

They are trained by alternating nonnegative matrix factorizations, layer by layer.
"""

from nmfnet import callbacks, datasets, plotting
from nmfnet._forking import compute_alone_after_fork
from nmfnet._moved import register
from nmfnet._version import __version__
from nmfnet.data.augmentation import Augmentation
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
from nmfnet.factorization import (
    Factorization,
    nmf,
    nonlinear_least_squares,
    nonlinear_semi_nmf,
    semi_nmf,
)
from nmfnet.persistence import SKOPS_TYPES, load
from nmfnet.solvers import NMFPretraining, Pinv, Relaxed
from nmfnet.storage.checkpoints import Checkpoint
from nmfnet.torch_training import fit_module
from nmfnet.training import Callback
from nmfnet.transformers import NMF, NMFAutoencoder, NonlinearSemiNMF, SemiNMF

register()

compute_alone_after_fork()

__all__ = [
    "NMF",
    "SKOPS_TYPES",
    "Augmentation",
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
    "__version__",
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
