"""Pickles and skops files name classes by the modules that they were in: where these are now."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

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


class OldNames(MetaPathFinder, Loader):
    """Imports the modules of today under the names of before; each module exists once."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Know the old names and no others."""
        return spec_from_loader(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today in the place of a new one."""
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


def register() -> None:
    """Let the old names be imported."""
    # Before the other finders: those would find the files of today in the folders, and load them a second time.
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldNames())
