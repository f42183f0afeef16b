"""From what users pass to the numbers that a network takes: tables encoded, missing values filled and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array
from torch import Tensor

from nmfnet.data.columns import Table, table_of
from nmfnet.data.missing import MissingValues
from nmfnet.data.table_encoder import TableEncoder
from nmfnet.linalg.arrays import as_tensor

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


@dataclass(frozen=True)
class InputEncoder:
    """What an estimator learned of its inputs, as its attribute `input_encoder_`.

    Attributes
    ----------
    table : TableEncoder or None
        Of columns that are not all numbers.
    missing : MissingValues or None
        Of dense inputs; None of sparse ones, of models of earlier versions, and of PyTorch modules.
    categorical : tuple of int
        Positions of columns that are categories whatever their type.
    """

    table: TableEncoder | None = None
    missing: MissingValues | None = None
    categorical: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        X: Any,
        dtype: torch.dtype,
        weight: NDArray[np.float64] | None,
        complete: bool,
        Y: NDArray[Any] | None = None,
    ) -> tuple[Self, Any]:
        """Learn from checked inputs, and encode them.

        Parameters
        ----------
        X : Table, ndarray, sparse matrix or Tensor
        dtype : torch.dtype
        weight : ndarray of shape (n,), optional
            Nonnegative, of the rows.
        complete : bool
            Whether the rows are all there are, and not the first of many.
        Y : ndarray of shape (n, k), optional
            Targets, for columns of very many categories.
        """
        if issparse(X):
            _refuse_sparse_nan(X)
            return cls(), X
        table = TableEncoder.of(X, complete, Y, weight) if isinstance(X, Table) else None
        categorical = X.categorical if isinstance(X, Table) else ()
        numbers = _tensor(X if table is None else table.transform(X, Y, weight), dtype)
        w = None if weight is None else as_tensor(weight).to(numbers.device)
        missing = MissingValues.of(numbers, w)
        return cls(table, missing, categorical), missing(numbers)

    def __call__(
        self, X: Any, dtype: torch.dtype, Y: NDArray[Any] | None = None, weight: NDArray[np.float64] | None = None
    ) -> Any:
        """Encode checked inputs, to be trained on where Y is there: a tensor (n, width), or the sparse matrix."""
        if issparse(X):
            _refuse_sparse_nan(X)
            return X if self.missing is None or not len(self.missing.indicated) else self(X.toarray(), dtype)
        if self.table is not None:
            X = self.table.transform(X, Y, weight)
        numbers = _tensor(X, dtype)
        if self.missing is None:
            if bool(numbers.sum().isnan()) and bool(numbers.isnan().any()):
                raise ValueError(
                    "Input X contains NaN, and this model was not fitted to dense data with this version: it does not "
                    "know what to fill in. Fill it in before, as with sklearn.impute.SimpleImputer, or fit anew."
                )
            return numbers
        if numbers.shape[1] != len(self.missing.fill):  # which a network that goes on is about to refuse
            return numbers
        return self.missing.on(numbers.device)(numbers)

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return what the network is given: for use with ``to_torch(encoded=True)``, say.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_encoded)
        """
        dtype = torch.float64 if self.missing is None else self.missing.fill.dtype
        checked = check_array(X, ensure_all_finite="allow-nan") if self.table is None else self.read(X)
        return self(checked, dtype).numpy()

    def read(self, X: Any) -> Table:
        """The columns of a table, as they were read in the fit."""
        return table_of(X, self.categorical)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> list[str] | None:
        """Names of what the network is given; None where the inputs have none.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the inputs, where these are all numbers.
        """
        names = self.table.get_feature_names_out() if self.table is not None else input_features
        return None if names is None else list(names) if self.missing is None else self.missing.names(list(names))

    def n_features(self, n_inputs: int) -> int:
        """Features of a table, or of numbers of which a network takes so many."""
        if self.table is not None:
            return len(self.table.columns)
        return n_inputs if self.missing is None else len(self.missing.fill)

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "table": None if self.table is None else self.table.state(),
            "missing": None if self.missing is None else self.missing.state(),
            "categorical": list(self.categorical),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any] | None, dtype: torch.dtype, n_inputs: int) -> Self:
        """Inverse of :meth:`state`, checked against the width of the network; None is of an earlier version."""
        if state is None:
            return cls()
        table = None if state["table"] is None else TableEncoder.from_state(state["table"])
        missing = None if state["missing"] is None else MissingValues.from_state(state["missing"], dtype)
        width = n_inputs if missing is None else len(missing.fill) + len(missing.indicated)
        if width != n_inputs or (table is not None and (missing is None or table.width != len(missing.fill))):
            raise ValueError("the encoding of the inputs does not fit the weights.")
        return cls(table, missing, tuple(state["categorical"]))


def categorical_positions(estimator: BaseNMFNet, X: Any) -> tuple[int, ...]:
    """Positions of the columns that `categorical_features` names.

    Raises
    ------
    ValueError
        If there are no such columns.
    """
    asked = estimator.categorical_features
    if asked is None or (isinstance(asked, str) and asked == "from_dtype"):
        return ()
    names = [str(name) for name in getattr(X, "columns", ())] or [str(name) for name in getattr(X, "column_names", ())]
    n = np.shape(X)[1]
    which = np.atleast_1d(np.asarray(asked))
    if which.dtype.kind == "b" and which.shape == (n,):
        return tuple(np.flatnonzero(which).tolist())
    positions = [names.index(str(c)) if str(c) in names else c for c in which.tolist()]
    unknown = [c for c in positions if isinstance(c, (str, bool, float)) or not 0 <= c < n]
    if unknown:
        raise ValueError(f"categorical_features: X has no columns {', '.join(map(repr, unknown))}.")
    return tuple(sorted(set(positions)))


def _tensor(X: Any, dtype: torch.dtype) -> Tensor:
    return X if isinstance(X, Tensor) else as_tensor(np.asarray(X)).to(dtype)


def _refuse_sparse_nan(X: Any) -> None:
    if np.isnan(X.data).any():
        n = int(np.isnan(X.data).sum())
        raise ValueError(
            f"Input X contains NaN in a sparse matrix, {n} of its stored values. Fill them in before, as with "
            "sklearn.impute.SimpleImputer, which keeps it sparse; or pass X.toarray(), where NaN counts as missing."
        )
