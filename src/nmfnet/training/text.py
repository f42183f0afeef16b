"""What held-out halves of texts tell: how the words are scaled, and how much naive Bayes adds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.scaling import Scaling, one_scale
from nmfnet.data.source import Source
from nmfnet.layers import Dense
from nmfnet.linalg.products import weighted_mean
from nmfnet.network import Network
from nmfnet.network.calibration import fitted_temperature
from nmfnet.network.outputs import Output
from nmfnet.training.calibration import ONE_HALF, HeldOut, held_out, pairs_of_halves
from nmfnet.training.choice import Choice
from nmfnet.training.naive_bayes import NaiveBayes, takes_naive_bayes
from nmfnet.training.scoring import Predicted, whole
from nmfnet.training.settings import FitSettings
from nmfnet.training.stacking import stacking_weights
from nmfnet.training.unseen_words import of_one_length, seen_words, without_unseen_words

MOST_DOCUMENTS = 10_000  # of which the halves tell what to add up
MANY_WRONG = 0.03  # share of the training documents: a small network with more of them wrong has not learned them
PART = 0.5  # of the way from the network alone to the best sum: halves of the documents praise naive Bayes too much
UNITS_OF_A_CLASS = 4  # hidden units that there must be for each class, if one of them is to go to naive Bayes


def has_words(network: Network, solver: Any, source: Source, settings: FitSettings) -> bool:
    """Whether halves of documents of classes can choose for such a network."""
    dense = all(isinstance(layer, Dense) for layer in network.layers) and len(network.layers) > 1
    possible = dense and not network.frozen and not settings.trained and network.output.name == "softmax"
    return possible and hasattr(solver, "is_text") and solver.is_text(network, source)


def choice_of_text(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int, adds: bool
) -> Choice:
    """The scaling of the words, the temperature, and the weight of naive Bayes.

    Parameters
    ----------
    network, solver, source, settings, seed
        As in :func:`nmfnet.training.folds.choose`.
    adds : bool
        Whether naive Bayes may be added.
    """
    found, inputs = held_out(network, solver, source, settings, seed), None
    if found is None:
        return Choice()
    scaled_by_rarity = network.inputs is not None and network.inputs.one_unit and not network.inputs.has_one_factor
    trained_to_the_end = source.n_rows < ONE_HALF  # networks of halves of more rows have fewer epochs than the fit
    if scaled_by_rarity and trained_to_the_end and found.wrong > MANY_WRONG:
        found, inputs = _scaled_alike(network, solver, source, settings, seed, found)
    output = network.output
    temperature = fitted_temperature(output, found.outputs, found.Y, found.weight)
    choice = Choice(temperature=temperature, inputs=inputs)
    enough = min(W.shape[1] for W in network.weights[:-1]) >= UNITS_OF_A_CLASS * source.n_outputs
    fair = found.wrong <= MANY_WRONG  # naive Bayes is compared with networks that have learned what they were shown
    if not (adds and fair and enough and source.n_rows <= MOST_DOCUMENTS and takes_naive_bayes(network, source)):
        return choice
    B = _naive_bayes(source, seed).to(found.outputs)
    share, others = stacking_weights(output, torch.stack([found.outputs, B]), found.Y, found.weight).tolist()
    if not others > 0:
        return choice
    share, others = (1 - PART) / temperature + PART * share, PART * others
    bayes = NaiveBayes.of(source.normalized()[0])
    like = network if inputs is None else replace(network, inputs=inputs.on(network.weights[0].device))
    return choice._replace(members=bayes.weights(like, others), share=share)


def _scaled_alike(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int, found: HeldOut
) -> tuple[HeldOut, Scaling | None]:
    """What networks with one scale for all words put out, and that scale; as it was if their loss is not lower."""
    inputs = one_scale(source)
    alike = replace(network, inputs=inputs.on(network.weights[0].device))
    other = held_out(alike, solver, source, settings, seed, rarity=False)
    if other is None or not _loss(network.output, other) < _loss(network.output, found):
        return found, None
    return other, inputs


def _loss(output: Output, found: HeldOut) -> float:
    """Mean log-loss with the best temperature."""
    temperature = fitted_temperature(output, found.outputs, found.Y, found.weight)
    each = replace(output, temperature=temperature).prediction_loss(found.outputs, found.Y.double())
    return float(weighted_mean(each, None if found.weight is None else found.weight.double()))


def _naive_bayes(source: Source, seed: int) -> Tensor:
    """Outputs (m, k) for the same rows as those of the small networks."""
    outputs = []
    for trained, others in pairs_of_halves(source, torch.Generator().manual_seed(seed)):
        part = source.subset(trained)
        bayes, seen = NaiveBayes.of(part.normalized()[0]), seen_words(source, part)
        rest = source.subset(others)
        one_length = seen is not None and of_one_length(rest)
        known = ((without_unseen_words(X, seen, one_length), Y, weight) for X, Y, weight in rest.blocks())
        parts = [(bayes.outputs(X), Y, weight) for X, Y, weight in known]
        outputs.append(whole(rest, [Predicted(A.to(Y), Y, weight) for A, Y, weight in parts]).outputs)
    return torch.cat(outputs)
