"""From checked data to a trained network: what `fit` and `partial_fit` of the estimators do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from nmfnet.data.column_statistics import Blocks, columns_of
from nmfnet.data.contents import drawn_by_contents
from nmfnet.data.first_reading import forget_rows
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import InMemory
from nmfnet.estimators.images import image_scaling
from nmfnet.layers import Spec, build_layers, n_weighted
from nmfnet.layers.activations import Activation, activations_named
from nmfnet.network import Network
from nmfnet.network.drift import followed
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Kind, Solver
from nmfnet.stateful import copied
from nmfnet.training import (
    Callback,
    EpochRecord,
    FitSettings,
    Fitted,
    Progress,
    choose,
    fit_network,
)
from nmfnet.training.scoring import Predicted, whole

MOST_ENCODED = 10_000  # rows that quantiles are of


@dataclass(frozen=True)
class Architecture:
    """What kind of network the parameters of an estimator ask for.

    Attributes
    ----------
    hidden : list of int and Spec
        The hidden layers.
    activation : str or sequence of str
    intercept : bool
    kind : {"classes", "labels", "real"}
        Of the targets.
    scaled : bool
        Whether the solver may scale inputs.  Pre-training is of the data as they are.
    input_shape : tuple of int or None
        Of a sample, where hidden layers are of images or sequences.
    piecewise : bool
        Whether inputs are encoded piecewise linearly.
    """

    hidden: list[int | Spec]
    activation: str | Sequence[str]
    intercept: bool
    kind: Kind
    scaled: bool = True
    input_shape: tuple[int, ...] | None = None
    piecewise: bool = False

    @property
    def activations(self) -> Activation | list[Activation]:
        """Of all hidden layers, or of each."""
        return activations_named(self.activation, n_weighted(self.hidden))

    def new_network(
        self, solver: Solver, data: InMemory | Sharded, generator: torch.Generator, partial: bool = False
    ) -> Network:
        """A network with random weights, where the data are; `partial` where they are the first of a stream."""
        if self.piecewise:
            inputs: Scaling | None = self._piecewise(solver, data)
        else:
            inputs = self._input_scaling(solver, data, partial) if self.scaled else None
        targets = solver.target_scaling(data, self.kind, self.intercept)
        n_in = data.n_features if inputs is None else inputs.n_out
        layers = build_layers(self.hidden, n_in, data.n_outputs, self.intercept, self.input_shape)
        weights = [W.to(data.X.device) for W in solver.initial_weights(layers, generator, data.X.dtype)]
        return Network(
            weights, self.activations, self.intercept, solver.output(self.kind), inputs, targets,
            hidden=self.hidden, input_shape=self.input_shape, layers=layers,
        )  # fmt: skip

    def _input_scaling(self, solver: Solver, data: InMemory | Sharded, partial: bool) -> Scaling | None:
        if self.input_shape is None:
            return solver.input_scaling(data, self.kind, self.intercept, partial)
        return image_scaling(
            data, self.input_shape, lambda pixels: solver.input_scaling(pixels, "real", self.intercept, partial)
        )

    def _piecewise(self, solver: Solver, data: InMemory | Sharded) -> PiecewiseLinear:
        """The encoding by quantiles of some of the rows, the same in whatever order they are."""
        scaling = solver.input_scaling(data, "real", self.intercept, False) if self.scaled else None
        if scaling is None or self.input_shape is not None or data.is_sparse:
            raise ValueError(
                "numeric_encoding='piecewise' is for dense inputs that solver='relaxed' scales, and fully-connected "
                "layers: use numeric_encoding='auto'."
            )
        scaled = [Predicted(scaling(X), Y, weight) for X, Y, weight in data.blocks()]
        X, Y, _ = whole(data, scaled)
        rows = drawn_by_contents(X.cpu(), Y.cpu(), MOST_ENCODED, 0)
        return PiecewiseLinear.of(X[rows]).after(scaling, data.dtype)

    def check(self, network: Network, solver: Solver, data: InMemory | Sharded, how: str) -> None:
        """Refuse to go on with a network that is not the one asked for; `how` it goes on is for the message."""
        f, output = self.activations, solver.output(self.kind)
        names = f.name if isinstance(f, Activation) else [each.name for each in f]
        sizes = [data.n_features, *self.hidden, data.n_outputs]
        of_network = [network.sizes[0], *network.hidden, network.sizes[-1]]
        there = _described(of_network, network.activation_names, network.output, network.intercept)
        asked = _described(sizes, names, output, self.intercept)
        if there != asked:
            raise ValueError(
                f"{how} goes on with a network of {there}; the call asks for {asked}. "
                "Set the parameters and pass the data of the first call, or start anew with warm_start=False and fit."
            )


def _described(sizes: list[int | Spec], f: str | list[str], output: Output, intercept: bool) -> str:
    bias = "a" if intercept else "no"
    return f"{'-'.join(map(repr, sizes))} units, {f} and {output.name}, {bias} bias"


def train(
    architecture: Architecture,
    solver: Solver,
    data: InMemory | Sharded,
    settings: FitSettings,
    generator: torch.Generator,
    *,
    validation: InMemory | Sharded | None = None,
    start: Network | None = None,
    history: Sequence[EpochRecord] = (),
    callbacks: Sequence[Callback] = (),
    pretraining: Any = None,
    feature_names: Sequence[str] | None = None,
    n_members: int | str = 1,
    averages: bool = True,
    encodes: bool = False,
) -> Fitted:
    """Train a network from the start, or from that of an earlier fit.

    Parameters
    ----------
    architecture, solver, data, settings, generator, validation, callbacks
        As in :func:`nmfnet.training.fit_network`.
    start : Network, optional
        The network to go on with.
    history : sequence of EpochRecord
        Its epochs.
    pretraining : NMFPretraining, optional
    feature_names : sequence of str, optional
        For messages.
    n_members : int or "auto", default=1
        Networks to average: the one of all rows, and networks of folds.  "auto": a weighted sum of several.
    averages : bool, default=True
        Whether "auto" is more than one.
    encodes : bool, default=False
        Whether the folds may choose a piecewise-linear encoding of the inputs.
    """
    progress = Progress.after(history)
    if start is not None:
        architecture.check(start, solver, data, "warm_start=True")
        network = start.with_weights(copied(start.weights)).on(data.X.device)
        rescaled = followed(network, data, whole=True)  # columns and targets may have another unit now
        network = network if rescaled is None else rescaled.network
        pretraining = None
    else:
        with progress.timed():
            network = architecture.new_network(solver, data, generator)
    forget_rows(data)

    def pretrain(network: Network) -> None:
        def announce(layer: int) -> None:
            for callback in callbacks:
                callback.on_pretrain_layer(layer, len(network.weights) - 1)

        scaled = data.with_targets(network.scaled_targets(data.Y))
        pretraining(network, scaled, generator, announce, feature_names)

    seed, given = generator.initial_seed(), settings.trained or pretraining is not None
    of_folds = replace(settings, trained=given)  # they start anew
    fitted = fit_network(
        network,
        solver,
        data,
        settings,
        generator,
        validation=validation,
        progress=progress,
        callbacks=callbacks,
        pretrain=None if pretraining is None else pretrain,
        choose=lambda: choose(network, solver, data, of_folds, seed, n_members, averages, encodes),
    )
    exact_where_constant_(fitted.network, data)
    return fitted


def exact_where_constant_(network: Network, data: InMemory | Sharded) -> None:
    """Zero the output weights of real targets that are constant, in place: only their random start is left in them.

    A constant is 0 once it is scaled, so there is nothing to learn.  Without these weights the network predicts it to
    the last digit.
    """
    targets = network.targets
    if targets is None or not bool((targets.factor == 1).any()):  # the scale of a constant
        return
    columns = columns_of(Blocks(data, "Y"), network.intercept)
    network.weights[-1][:, ~columns.vary(data.dtype)] = 0
