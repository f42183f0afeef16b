"""Neural networks without backpropagation and with no learning rate to tune.

They are trained by alternating nonnegative matrix factorizations, layer by layer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nmfnet._forking import compute_alone_after_fork
from nmfnet._moved import register
from nmfnet._version import __version__

if TYPE_CHECKING:
    from nmfnet import callbacks, datasets, plotting
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

# Where each name is.  It is imported when it is first used: PyTorch and scikit-learn take seconds.
_MODULES = {
    "errors": (
        "CheckpointError", "DataError", "DivergenceError", "DivergenceWarning", "ModelFileError", "NMFNetError",
        "VersionWarning",
    ),
    "data.augmentation": ("Augmentation",),
    "estimators": ("NMFNetClassifier", "NMFNetRegressor"),
    "factorization": ("Factorization", "nmf", "nonlinear_least_squares", "nonlinear_semi_nmf", "semi_nmf"),
    "persistence": ("SKOPS_TYPES", "load"),
    "solvers": ("NMFPretraining", "Pinv", "Relaxed"),
    "storage.checkpoints": ("Checkpoint",),
    "torch_training": ("fit_module",),
    "training": ("Callback",),
    "transformers": ("NMF", "NMFAutoencoder", "NonlinearSemiNMF", "SemiNMF"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = (
    "callbacks", "data", "datasets", "errors", "estimators", "export", "factorization", "layers", "linalg", "network",
    "persistence", "plotting", "solvers", "storage", "torch_training", "training", "transformers",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is used for the first time."""
    if name in _SUBMODULES:
        return import_module(f"nmfnet.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'nmfnet' has no attribute {name!r}")
    found = getattr(import_module(f"nmfnet.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return all names, whether they were used or not."""
    return sorted({*globals(), *__all__})


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
