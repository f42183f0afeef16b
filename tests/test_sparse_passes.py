"""Steps on both factors of sparse data, tile by tile, against those on all of the products; their memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

import nmfnet
from nmfnet import NMF
from nmfnet.factorization.data import SparseData
from nmfnet.factorization.initialization import orthonormal
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.factorization.sparse_passes import SPARSE_TILE_COLUMNS, SPARSE_TILE_NUMBERS, SparseLeastSquares

CPU = torch.device("cpu")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalties", [Penalties(), Penalties(0.1, 0.2, 0.3, 0.4)])
def test_tile_by_tile_is_the_same(penalties, weighted):
    rng = np.random.default_rng(0)
    data = SparseData(scipy.sparse.random(3000, 5000, 0.01, format="csr", random_state=rng), CPU)
    weights = torch.from_numpy(rng.random(3000)) if weighted else None
    Z, H = (data.laid_out(torch.from_numpy(rng.random((7, side)))) for side in data.shape)
    found = []
    for kind in (LeastSquares, SparseLeastSquares):
        problem, out, H_new = kind(data, 7, penalties, row_weights=weights), torch.zeros_like(Z), H.clone()
        found.append((out, H_new, *problem.step(Z, H_new, out, measure_z=True, measure_h=True)))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize(("k", "columns"), [(7, SPARSE_TILE_NUMBERS // 7), (40, SPARSE_TILE_COLUMNS)])
def test_tiles_take_memory_when_a_step_needs_them_and_little(k, columns):
    """While a start is searched for, the problem of the passes after it is there already."""
    rng = np.random.default_rng(0)
    data = SparseData(scipy.sparse.random(300, 5000, 0.01, format="csr", random_state=rng), CPU)
    problem = SparseLeastSquares(data, k, Penalties())
    assert "workspace" not in vars(problem)
    Z, H = (data.laid_out(torch.from_numpy(rng.random((k, side)))) for side in data.shape)
    problem.step(Z, H, Z)
    assert problem.workspace.memory.numel() == 3 * k * columns


MEMORY = """
import numpy as np, scipy.sparse
from nmfnet import NMF

def fit(X):
    NMF(40, max_iter=4, tol=0, random_state=0).fit(X)

def memory(name):  # not ru_maxrss, which begins with that of the process that started this one
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(name))

X = scipy.sparse.random(15_000, 60_000, 1e-3, format="csr", random_state=np.random.default_rng(0))
fit(X[:600, :2000])  # what libraries take once
before = memory("VmRSS")
fit(X)
size = 8 * 40 * sum(X.shape) + X.data.nbytes + X.indices.nbytes
print((memory("VmHWM") - before) / size)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux does")
def test_memory():
    """The most memory of a process that fits sparse data, from the search for a start on, against factors and data."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(nmfnet.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "500000",  # what is freed is given back at once
    }
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < 3


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_orthonormal_columns(dependent, scale):
    A = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6)) * scale)
    A[3] = 0
    if dependent:
        A[:, 5] = A[:, 4] * (1 + 1e-12)
    Q = orthonormal(A)
    if not dependent:  # else rounding errors may be left out, with the row of zeros
        torch.testing.assert_close(Q.T @ Q, torch.eye(6, dtype=A.dtype))
    torch.testing.assert_close(Q @ (Q.T @ A), A, rtol=0, atol=1e-10 * scale)
    assert not Q[3].any()


def test_ignored_starting_factors_are_said_where_a_search_finds_the_start():
    X = scipy.sparse.random(600, 600, 0.05, format="csr", random_state=np.random.default_rng(0))
    with pytest.warns(RuntimeWarning, match="W and H are ignored"):
        NMF(3, max_iter=200, tol=0.1, random_state=0).fit_transform(X, W=np.ones((600, 3)), H=np.ones((3, 600)))
