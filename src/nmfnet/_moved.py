"""Pickles and skops files name classes by the modules that they were in: where these are now."""

from __future__ import annotations

import sys
from importlib import import_module

# Of version 0.1.0 before it was released.
MOVED = {
    "nmfnet.layers.activations": "nmfnet.layers.activations",
    "nmfnet.transformers": "nmfnet.transformers",
    "nmfnet.transformers.autoencoder": "nmfnet.transformers.autoencoder",
    "nmfnet.transformers.nmf": "nmfnet.transformers.nmf",
    "nmfnet.transformers.semi_nmf": "nmfnet.transformers.semi_nmf",
    "nmfnet.network.outputs": "nmfnet.network.outputs",
    "nmfnet.data.scaling": "nmfnet.data.scaling",
    "nmfnet.solvers.pinv.sweep": "nmfnet.solvers.pinv.sweep",
    "nmfnet.solvers.pinv.pretraining": "nmfnet.solvers.pinv.pretraining",
    "nmfnet.solvers.relaxed.settings": "nmfnet.solvers.relaxed.settings",
}


def register() -> None:
    """Let the old names be imported, as far as the new ones are."""
    for old, new in MOVED.items():
        sys.modules.setdefault(old, import_module(new))
