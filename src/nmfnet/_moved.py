"""Pickles and skops files name classes by the modules that they were in: where these are now."""

from __future__ import annotations

import sys
from importlib import import_module

# Of version 0.1.0 before it was released.
MOVED = {
    "nmfnet.activations": "nmfnet.layers.activations",
    "nmfnet.decomposition": "nmfnet.transformers",
    "nmfnet.decomposition.autoencoder": "nmfnet.transformers.autoencoder",
    "nmfnet.decomposition.nmf": "nmfnet.transformers.nmf",
    "nmfnet.decomposition.semi_nmf": "nmfnet.transformers.semi_nmf",
    "nmfnet.outputs": "nmfnet.network.outputs",
    "nmfnet.scaling": "nmfnet.data.scaling",
    "nmfnet.training.alternating": "nmfnet.solvers.pinv.sweep",
    "nmfnet.training.pretraining": "nmfnet.solvers.pinv.pretraining",
    "nmfnet.training.relaxed_settings": "nmfnet.solvers.relaxed.settings",
}


def register() -> None:
    """Let the old names be imported, as far as the new ones are."""
    for old, new in MOVED.items():
        sys.modules.setdefault(old, import_module(new))
