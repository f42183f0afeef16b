"""When the program looks at what has been computed: on a GPU each look waits until all of it is there."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nmfnet.stateful import Stateful

# Updates of which one is looked at, where a look takes long.  A look costs about the time in which a queue of kernels
# runs dry and is filled again, a part of an update: over 16 updates that is little.  A Gram matrix serves ten updates
# anyway, and steps of UNANCHORED_DELTA take some twenty to change a layer altogether.
LOOK_INTERVAL = 16


class Looks(Stateful):
    """Whether decisions about an update are made now, or put down where it is computed until the next look.

    In an update that is looked at everything is decided from numbers: whether to accept a batch, which Gram matrices
    are due, whether weights are finite.  On a CPU, where it costs nothing, that is every update; and so in a stream,
    whose next batch may be far away.  In other updates tensors take these decisions as far as they must be taken, so
    that neither the average nor the weights can be spoilt:

    - weights through which a batch goes badly do not enter the average;
    - weights that are not finite are set back to the average.

    Parameters
    ----------
    device : torch.device
    endless : bool
        Whether it is a stream.

    Attributes
    ----------
    now : bool
        Whether the update at hand is looked at.
    well : Tensor or None
        Whether the last batch went well, a scalar; None: it was looked at.
    undone : Tensor or None
        Whether weights were set back since the last look, a scalar.
    """

    fields = ("well", "undone")
    at_hand: ClassVar[tuple[str, ...]] = ("cpu",)  # kinds of devices whose numbers are

    def __init__(self, device: torch.device, endless: bool) -> None:
        self.interval = 1 if endless or device.type in self.at_hand else LOOK_INTERVAL
        self.now = True
        self.well: Tensor | None = None
        self.undone: Tensor | None = None

    def begin(self, update: int | None, fresh: bool) -> None:
        """Begin with an update of such a number, or go on with one; `fresh`: nothing is known to compare with."""
        self.now = fresh or self.interval == 1 or (update is not None and update % self.interval == 0)

    def found_undone(self) -> bool:
        """Whether weights were set back since the last look, which this is."""
        undone, self.undone = self.undone, None
        return undone is not None and bool(undone)

    def keep_finite(self, weights: list[Tensor], finite: Tensor, mean: list[Tensor]) -> None:
        """Set weights back to their mean unless they are finite; in place."""
        self.undone = ~finite if self.undone is None else self.undone | ~finite
        for W, average in zip(weights, mean, strict=True):
            W.copy_(torch.where(finite, W, average))
