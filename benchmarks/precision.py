"""Errors of training with float32 products, and with operands rounded to TF32 or bfloat16.

    python benchmarks/precision.py run NAME [SEED ...]     what is not stored: mnist, convolution, autoencoder
    python benchmarks/precision.py table                   docs/results/precision.md

The first 10,000 training rows of MNIST (4000 with convolutions), and the last 10,000 to test on: test rows are not
read.  Float32 operands of all matrix products and convolutions are rounded before each product, whose sums stay in
float32: as matrix units do it, on a processor that need not have any.  Nothing is gained in time.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from store import REPORTS, RESULTS, Store
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.layers import Conv2d, MaxPool2d

RUNS = Store(RESULTS / "precision", "precision", "seed")
BITS = {"float32": 23, "TF32": 10, "bfloat16": 7}  # stored ones of the mantissa
CONVOLUTIONS = (Conv2d(16, 3, padding="same"), MaxPool2d(2), Conv2d(32, 3, padding="same"), MaxPool2d(2), 100)
ROWS, HELD_OUT, EPOCHS = {"mnist": 10_000, "convolution": 4000, "autoencoder": 10_000}, 10_000, 5
FACTORS = {  # where functions have them
    **dict.fromkeys(("mm", "bmm", "convolution"), slice(0, 2)),
    **dict.fromkeys(("addmm", "addmm_", "baddbmm", "baddbmm_"), slice(1, 3)),
    "convolution_backward": slice(0, 3),
}

INTRODUCTION = """# Products of rounded numbers

GPUs have TF32, and GPUs and some processors have bfloat16: matrix products that are faster because they round their
operands, to 11 or to 8 bits of precision instead of 24. What does that do to the errors of trained networks?

- **Rounding** was done by a program, before each product: all operands of matrix products and convolutions were
  rounded, and the sums of their products were in float32. So it is certain that numbers were rounded, and nothing is
  said of times. Cholesky factors and sums over rows were not rounded.
- **Task.** {epochs} epochs of the first 10,000 training rows of MNIST (4000 with convolutions). Settings are the
  defaults.
- **Numbers** are means over seeds {seeds}, with the lowest and the highest in brackets: errors in % of the last 10,000
  training rows, which were held out, or the mean squared error of the autoencoder. Test rows were not read.
- **Difference** is that to float32 with the same seed, with its standard error.

Made by `python benchmarks/precision.py table`; the runs are in `benchmarks/results/precision`.
"""
PROCESSORS = """
In bfloat16 the convolutions lose 0.07 points (three seeds of three). The other differences are as large as their
standard errors.

## What processors do

`torch.set_float32_matmul_precision("medium")` lets oneDNN round operands to bfloat16. It need not. On an AMD EPYC with
AVX-512 and `avx512_bf16`, PyTorch 2.13, the product of two 1000 x 1000 matrices of normal numbers had these errors
against float64, relative to its norm:

| product | error |
| --- | ---: |
| float32 | 2.5e-7 |
| `"high"` (TF32) | 2.5e-7 |
| `"medium"` (bfloat16) | 4.0e-7 |
| operands rounded to bfloat16 by hand | 2.4e-3 |

oneDNN's log (`ONEDNN_VERBOSE=1`) says of the third one `brg_matmul:avx512_core`, a float32 kernel: it sums in another
order, but rounds nothing. For tensors that are bfloat16 themselves it takes `avx512_core_bf16`. So on this processor
`"medium"` products are float32 products, and so are those of the runs "AMD EPYC ... bfloat16" in [Solvers
compared](bench.md). Of the runs on Intel processors it is not known: oneDNN may round where there is AMX, but the
product was not checked at the time.
"""
TITLES = {
    "mnist": "1000-500 units",
    "convolution": "two convolutions and 100 units",
    "autoencoder": "autoencoder, 500-30-500 units",
}


def rounded(X: Tensor, bits: int) -> Tensor:
    """Float32 numbers to so many stored bits of the mantissa, to the nearest, halves to even."""
    drop = 23 - bits
    if X.dtype != torch.float32 or not drop:
        return X
    whole = X.contiguous().view(torch.int32)
    odd = (whole >> drop) & 1
    return ((whole + (2 ** (drop - 1) - 1) + odd) & -(2**drop)).view(torch.float32)


class RoundedProducts(TorchDispatchMode):
    """Rounds the operands of products, and counts these."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits, self.count = bits, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        factors = FACTORS.get(func.overloadpacket.__name__)
        if factors is not None:
            self.count += 1
            args = list(args)
            args[factors] = [rounded(X, self.bits) for X in args[factors]]
        return func(*args, **(kwargs or {}))


def run(name: str, precision: str, seed: int) -> None:
    """Train, and store the error."""
    data = nmfnet.datasets.load("mnist")
    n = ROWS[name]
    X, y = data.X_train[:n], data.y_train[:n]
    X_out, y_out = data.X_train[-HELD_OUT:], data.y_train[-HELD_OUT:]
    options: dict[str, Any] = {"max_iter": EPOCHS, "random_state": seed}
    start = time.process_time()
    with RoundedProducts(BITS[precision]) as products:
        if name == "autoencoder":
            model: Any = NMFNetRegressor((500, 30, 500), **options).fit(X, X)
            error = float(((model.predict(X_out) - X_out) ** 2).mean())
        elif name == "convolution":
            model = NMFNetClassifier(CONVOLUTIONS, input_shape=(1, 28, 28), **options).fit(X, y)
            error = 100 * (1 - model.score(X_out, y_out))
        else:
            model = NMFNetClassifier((1000, 500), **options).fit(X, y)
            error = 100 * (1 - model.score(X_out, y_out))
    record = {"precision": precision, "seed": seed, "error": error, "products": products.count}
    record["train_loss"] = model.history_[-1]["train_loss"]
    record["seconds"] = round(time.process_time() - start, 2)
    print(name, record, flush=True)
    RUNS.add(name, record)


def table() -> str:
    """The page."""
    found = {task: RUNS.records(task) for task in ROWS}
    seeds = sorted({record["seed"] for records in found.values() for record in records})
    lines = [INTRODUCTION.format(epochs=EPOCHS, seeds=f"{seeds[0]} to {seeds[-1]}")]
    lines += ["| network | float32 | TF32 | difference | bfloat16 | difference |", "| --- |" + " ---: |" * 5]
    for task, records in found.items():
        errors = {name: {r["seed"]: r["error"] for r in records if r["precision"] == name} for name in BITS}
        cells = [cell(errors["float32"], task)]
        for name in ("TF32", "bfloat16"):
            cells += [cell(errors[name], task), difference(errors[name], errors["float32"], task)]
        lines.append(f"| {TITLES[task]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" + PROCESSORS


def cell(errors: dict[int, float], task: str) -> str:
    values, digits = torch.tensor(list(errors.values())).double(), 5 if task == "autoencoder" else 2
    return f"{values.mean():.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def difference(errors: dict[int, float], others: dict[int, float], task: str) -> str:
    apart = torch.tensor([errors[seed] - others[seed] for seed in errors]).double()
    digits = 5 if task == "autoencoder" else 2
    return f"{apart.mean():+.{digits}f} ± {apart.std() / len(apart) ** 0.5:.{digits}f}"


def main() -> None:
    if sys.argv[1:] == ["table"]:
        (REPORTS / "precision.md").write_text(table(), encoding="utf-8")
        return
    if len(sys.argv) < 3 or sys.argv[1] != "run" or sys.argv[2] not in ROWS:
        sys.exit(__doc__)
    for seed in map(int, sys.argv[3:] or ["0", "1", "2"]):
        for precision in BITS:
            if RUNS.find(sys.argv[2], precision, seed) is None:
                run(sys.argv[2], precision, seed)


if __name__ == "__main__":
    main()
