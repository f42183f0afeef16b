"""What estimators ask of the ranks that fit together, before there is a source: that they agree."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from nmfnet._parameters import resolve
from nmfnet.data.columns import Table
from nmfnet.data.containers import Array
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import InMemory
from nmfnet.distributed import now, refuse_differences
from nmfnet.linalg.holders import local
from nmfnet.network import Network
from nmfnet.solvers import SOLVERS

OWN = ("callbacks", "verbose", "device", "random_state")  # parameters of which ranks may have their own


def refuse_other_inputs(X: Any) -> None:
    """Refuse checked inputs of another kind, dtype, width or with other columns than those of other ranks."""
    if now() is local:
        return
    kind = "table" if isinstance(X, Table) else "sparse matrix" if hasattr(X, "indptr") else "dense"
    columns = [f"{each.name} ({each.kind})" for each in X.columns] if isinstance(X, Table) else X.shape[1]
    dtype = None if isinstance(X, Table) else str(X.dtype).removeprefix("torch.")
    refuse_differences(**{"kind of X": kind, "dtype of X": dtype, "columns of X": columns})


def refuse_in_ranks(solver: Any, network: Network | None = None, **same: Any) -> None:
    """Refuse solvers that need all samples in one process, where there are several, and what differs among them.

    Parameters
    ----------
    solver : Solver or str
    network : Network, optional
        That of an earlier fit, which is trained further.
    **same
        Parameters that must be the same on all ranks; those that each rank may have of its own are left out.
    """
    if now() is local:
        return
    compared = {name: repr(value) for name, value in {"solver": solver, **same}.items() if name not in OWN}
    refuse_differences(**compared, **{"network of an earlier fit": None if network is None else _digest(network)})
    if not getattr(resolve(solver, SOLVERS), "takes_ranks", False):
        raise ValueError(
            f"solver={solver!r} needs all samples in one process: several ranks take a solver with takes_ranks=True."
        )


def _digest(network: Network) -> str:
    """A short name of a network's numbers: of two networks that differ the names do, too."""
    found = sha256(repr(network.hidden).encode())

    def add(tensor: Tensor) -> Tensor:
        found.update(tensor.cpu().numpy().tobytes())
        return tensor

    for tensor in network.weights:
        add(tensor)
    for scaling in (network.inputs, network.targets):
        if scaling is not None:
            scaling.changed(add)
    return found.hexdigest()[:12]


def source_of(here: InMemory, keys: Array | None = None) -> InMemory | Sharded:
    """Samples at hand as a source, of all ranks where there are several; `keys` (m,) say in what order these are."""
    if now() is local:
        return here
    return Sharded.of(here, now(), None if keys is None else torch.from_numpy(keys))


def all_classes(classes: Array) -> Array:
    """Classes that any rank has, sorted; of one process as they are."""
    return classes if now() is local else np.unique(np.concatenate(now().objects(classes)))


def shared_random_state(random_state: Any) -> Any:
    """That of rank 0, so that all draw the same numbers; of one process as it is."""
    return random_state if now() is local else now().shared(check_random_state(random_state))
