"""The factorizations, each usable alone.

========================  ==================================  ===================
function                  problem                             role in a network
========================  ==================================  ===================
:func:`nmf`               X ~ Z H, Z >= 0, H >= 0             pre-training
:func:`semi_nmf`          Y ~ Z W, Z >= 0                     output layer
:func:`nonlinear_semi_nmf`  T ~ f(Z W), Z in the range of f   hidden layers
========================  ==================================  ===================
"""

from nmfnet.factorization._common import Factorization
from nmfnet.factorization.least_squares import nonlinear_least_squares
from nmfnet.factorization.nmf import nmf, nmf_update
from nmfnet.factorization.nonlinear_semi_nmf import nonlinear_semi_nmf, nonlinear_z_step
from nmfnet.factorization.semi_nmf import semi_nmf, semi_nmf_z_step
from nmfnet.linalg.penalties import penalty

__all__ = [
    "Factorization",
    "nmf",
    "nmf_update",
    "nonlinear_least_squares",
    "nonlinear_semi_nmf",
    "nonlinear_z_step",
    "penalty",
    "semi_nmf",
    "semi_nmf_z_step",
]
