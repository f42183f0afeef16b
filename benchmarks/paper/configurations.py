"""Networks and methods that are compared.

The paper's settings are those of its group: batches of 5000, pixels in [0, 1], thresholds 5e-3 for X and 1e-14
elsewhere, 10 and 1 inner steps (25 and 25 for CIFAR-10), 20 rounds of pre-training with 25 + 25 updates.  Of its
backpropagation it tells the optimizer, Adam, and the pre-training, a stacked autoencoder; the usual batches of 100
and rate of 1e-3 are assumed.  With this rate all hidden units of the autoencoder of CIFAR-10 die (error 90 %).  So it
is pre-trained with 1e-4 there.  That was chosen on training images 3001 to 4000, where 1e-3, 3e-4 and 1e-4 have errors
of 90, 86 and 70 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

Hidden = tuple[int, ...]
NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


@dataclass(frozen=True)
class Scale:
    """How much is run.

    Attributes
    ----------
    networks : dict of str to list of tuple
        Hidden layers, for each data set.
    main : dict of str to tuple
        The network of each data set that claims are about.
    variants : tuple of str
        Data sets on which the variants of methods are run, with that network.
    rows : dict of str to int
        Training samples, the first ones.
    epochs : dict of str to int
    seeds : int
    batch : int
        Samples in a batch of the paper's method, and of its pre-training.
    rounds : int
        Of that pre-training.
    autoencoder_epochs : int
        Of the pre-training by backpropagation, for each layer.
    """

    autoencoder_rate: ClassVar[dict[str, float]] = {"mnist": 1e-3, "cifar10": 1e-4}

    networks: dict[str, list[Hidden]]
    main: dict[str, Hidden]
    variants: tuple[str, ...]
    rows: dict[str, int]
    epochs: dict[str, int]
    seeds: int
    batch: int
    rounds: int
    autoencoder_epochs: int


SCALES = {
    "full": Scale(
        networks={
            "mnist": [
                (500,), (1000,), (1000, 500), (1500, 1000, 500), (2000, 1000, 500), (500,) * 5, (500,) * 9,
            ],
            "cifar10": [(1000,), (1000, 500), (1500, 1000, 500), (500,) * 9],
        },
        main={"mnist": (1000, 500), "cifar10": (1500, 1000, 500)},
        variants=("mnist", "cifar10"),
        rows={"mnist": 60_000, "cifar10": 50_000},
        epochs={"mnist": 20, "cifar10": 10},
        seeds=5,
        batch=5000,
        rounds=20,
        autoencoder_epochs=5,
    ),
    "quick": Scale(
        networks={"mnist": [(200,), (200, 100), (200, 100, 100), (100,) * 9], "cifar10": [(200, 100)]},
        main={"mnist": (200, 100), "cifar10": (200, 100)},
        variants=("mnist",),
        rows={"mnist": 5000, "cifar10": 3000},
        epochs={"mnist": 5, "cifar10": 3},
        seeds=5,
        batch=1250,
        rounds=2,
        autoencoder_epochs=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A way to train.

    Attributes
    ----------
    what : str
        For people to read.
    kind : {"pinv", "relaxed", "adam", "adamw"}
    everywhere : bool
        Whether it is run with every network.  The others are variants.
    pretrain : bool
        Whether a stacked autoencoder comes first, as each kind has one.
    estimator, solver : dict
        Parameters that differ from the paper's.
    """

    what: str
    kind: str
    everywhere: bool = True
    pretrain: bool = False
    estimator: dict[str, Any] = field(default_factory=dict)
    solver: dict[str, Any] = field(default_factory=dict)


METHODS = {
    "pinv-nmf": Method("the paper's method: pinv, after pre-training by NMF", "pinv", pretrain=True),
    "pinv": Method("pinv from random weights", "pinv"),
    "adam-sae": Method(
        "what the paper compares with: Adam, after pre-training a stacked autoencoder by Adam", "adam", pretrain=True
    ),
    "adam": Method("Adam from random weights", "adam"),
    "adamw": Method(
        "backpropagation as one would do it now: AdamW, with settings tuned on held-out rows of all training images",
        "adamw",
    ),
    "relaxed": Method('nmfnet\'s default, solver="relaxed"', "relaxed"),
    "pinv-nmf-bias": Method("pinv-nmf with biases", "pinv", False, True, {"fit_intercept": True}),
    "pinv-nmf-sparse": Method(
        "pinv-nmf with an L1 penalty", "pinv", False, True, {"alpha": 1.0, "l1_ratio": 1.0}
    ),
    "pinv-nmf-sigmoid": Method("pinv-nmf with sigmoid units", "pinv", False, True, {"activation": "sigmoid"}),
    "pinv-tanh": Method("pinv with tanh units", "pinv", False, False, {"activation": "tanh"}),
    "pinv-nmf-batch": Method(
        "pinv-nmf; the first layer takes the pseudo-inverse of each batch, not of all data",
        "pinv", False, True, {}, {"first_layer": "batch"},
    ),
    "pinv-nmf-threshold": Method(
        "pinv-nmf; singular values of X below 4e-2 of the largest are dropped, not those below 5e-3",
        "pinv", False, True, {}, {"delta_x": 4e-2},
    ),
}  # fmt: skip


def methods(scale: Scale, data: str, hidden: Hidden) -> list[str]:
    """Names of the methods that are run with a network."""
    variants = data in scale.variants and hidden == scale.main[data]
    return [name for name, method in METHODS.items() if method.everywhere or variants]


def network_name(hidden: Hidden) -> str:
    """The hidden layers, as 1000-500 or 9 x 500."""
    same = len(hidden) > 3 and len(set(hidden)) == 1
    return f"{len(hidden)} x {hidden[0]}" if same else "-".join(map(str, hidden))
