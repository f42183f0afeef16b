"""Solvers and pre-trainings by their names."""

from __future__ import annotations

from nmfnet.solvers.pinv.pretraining import NMFPretraining
from nmfnet.solvers.pinv.sweep import Pinv
from nmfnet.solvers.relaxed.settings import Relaxed

SOLVERS = {"relaxed": Relaxed, "pinv": Pinv}
PRETRAININGS = {"nmf": NMFPretraining}
