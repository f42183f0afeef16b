"""What several ranks that factorize together must have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nmfnet.distributed import now, refuse_differences
from nmfnet.linalg.holders import local

OWN = ("device", "random_state", "verbose")  # parameters of which ranks may have their own


def refuse_in_ranks(parameters: Mapping[str, Any], weighted: bool) -> None:
    """Refuse what needs all rows in one process, where there are several, and parameters that differ among them."""
    if now() is local:
        return
    same = {name: repr(value) for name, value in parameters.items() if name not in OWN}
    refuse_differences(weights=weighted, **same)
    if parameters["batch_size"] is not None:
        raise ValueError("batch_size needs all samples in one process: several ranks take batch_size=None.")
    if parameters.get("beta_loss", 2) in ("kullback-leibler", 1):
        raise ValueError(
            "beta_loss='kullback-leibler' needs all samples in one process: several ranks take 'frobenius'."
        )


def refuse_other_inputs(sparse: bool, X: Any) -> None:
    """Refuse inputs of another kind, dtype or width than those of other ranks."""
    if now() is not local:
        refuse_differences(
            **{"kind of X": "sparse" if sparse else "dense", "dtype of X": str(X.dtype), "columns of X": X.shape[1]}
        )
