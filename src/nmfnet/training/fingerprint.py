"""What tells whether a stored state is of this training: its settings, and a checksum of its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.source import Source
from nmfnet.linalg.sparse import SparseRows
from nmfnet.training.state import Training

ODD = 0x1E3779B97F4A7C15  # that checksums are multiplied by
DATA, VALIDATION = "training data", "validation data"  # in a fingerprint, by their checksums
LONGEST_SHOWN = 100  # characters of a value in a message


def fingerprint(training: Training) -> dict[str, Any]:
    """What must be the same for a stored state to be one of this training: plain values, named as users do."""
    settings, network, solver = training.settings, training.network, training.solver
    names_of = network.activation_names
    shape = "" if network.input_shape is None else f" on {' x '.join(map(str, network.input_shape))}"
    hidden = network.hidden
    if training.choice.divided:
        hidden = [W.shape[1] + n for W, n in zip(network.weights[:-1], training.choice.divided, strict=True)]
    names = ("batch_size", "max_iter", "tol", "n_iter_no_change", "l1_ratio")
    parameters = solver.get_params() if hasattr(solver, "get_params") else {"settings": solver}
    return {
        "solver": type(solver).__name__,
        **{f"the solver's {name}": str(value) for name, value in parameters.items()},
        "network": "-".join(map(repr, [network.sizes[0], *hidden, network.sizes[-1]])) + shape,
        "activation": names_of if isinstance(names_of, str) else list(names_of),
        "output": network.output.name,
        "label smoothing": network.output.smoothing,
        "biases": network.intercept,
        "frozen layers": sorted(network.frozen),
        "dtype": str(network.dtype).removeprefix("torch."),
        **{name: getattr(settings, name) for name in names},
        "alpha": "auto" if settings.auto_alpha else settings.alpha,
        DATA: digest(training.source),
        VALIDATION: None if training.validation is None else digest(training.validation),
    }


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what differs between the fingerprints of a stored training and of that which is to go on with it."""
    said = []
    for name in [*now, *(name for name in stored if name not in now)]:
        then, value = stored.get(name), now.get(name)
        if then == value or (name.startswith("the solver's") and stored.get("solver") != now.get("solver")):
            continue
        if name in (DATA, VALIDATION) and None not in (then, value):
            said.append(f"the {name} differ")
        elif name == VALIDATION:
            said.append("there were no validation data, now there are" if then is None else
                        "there were validation data, now there are none")  # fmt: skip
        else:
            said.append(f"{name} was {_shown(then)} and is {_shown(value)} now")
    return said


def _shown(value: Any) -> str:
    """A value in a message, as users write it."""
    text = ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def digest(source: Source) -> str:
    """Checksum of all samples in their order, however they are divided into blocks and among processes."""
    n, found, start = source.n_rows + source.before, 0, 0
    for block in source.blocks():
        m = len(block.Y)
        places = torch.arange(start, start + m) if source.numbers is None else source.numbers[start : start + m]
        rows = places * ODD + sum(_checksums(part, seed) for seed, part in enumerate(block) if part is not None)
        rows = (rows ^ (rows >> 29)) * ODD  # so that rows cannot change places
        found, start = found + int((rows ^ (rows >> 32)).sum()), start + m
    total = sum(source.holders.objects(found)) % 2**64
    return f"{source.dtype} {n} x {source.n_features}, {source.n_outputs}: {total:016x}"


def _checksums(part: Any, seed: int) -> Tensor:
    """A whole number for each row of a part of some samples, shape (m,)."""
    generator = torch.Generator().manual_seed(seed)
    numbers = part.values if isinstance(part, SparseRows) else part.detach().cpu()
    words = numbers.contiguous().view(torch.int32).long()
    width = part.shape[1] if isinstance(part, SparseRows) else 1 if part.ndim == 1 else part.shape[1]
    each = numbers.element_size() // 4  # words of a number
    factors = torch.randint(2**62, (width * each,), generator=generator) * 2 + 1
    if not isinstance(part, SparseRows):
        return (words.view(len(part), len(factors)) * factors).sum(1)
    products = (words.view(-1, each) * factors.view(width, each)[part.columns]).sum(1)
    rows = torch.arange(len(part)).repeat_interleave(part.counts)
    return torch.zeros(len(part), dtype=torch.long).index_add_(0, rows, products)
