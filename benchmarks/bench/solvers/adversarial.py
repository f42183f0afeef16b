"""Backpropagation at worst-case inputs, as nmfnet's relaxed solver trains where classes are easy to tell apart.

The settings are those tuned for the same optimizer without it (mnist-adamw.json, mnist-muon.json); only how far inputs
are moved, in root mean squares of their distances from the mean, is tuned on top.
"""

from ..problem import Settings, Solver, Task
from . import _torch, adam, muon

COMMON: Settings = {"schedule": "cosine", "noise": 0.2, "dropout": 0.0, "smoothing": 0.1, "decay": 0.3, "reach": 0.1}
REACH = {"reach": (0.06, 0.1)}  # with the first masks kept, 0.03 and 0.15 were worse


def separable(task: Task) -> bool:
    """Only MNIST's classes are."""
    return task.name == "mnist"


SOLVERS = [
    Solver(name, fit, {**COMMON, **settings}, REACH, _torch.version, separable)
    for name, fit, settings in (
        ("adamw-adversarial", adam.fit_adamw, {"batch": 256, "rate": 0.003}),
        ("muon-adversarial", muon.fit, {"batch": 512, "rate": 0.01}),
    )
]
