"""How many threads train a network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from nmfnet.data.source import Source
from nmfnet.layers import Dense
from nmfnet.linalg.threads import one_thread
from nmfnet.network import Network

# Operations of the largest product of an update, some hundred microseconds.  With fewer, two threads gain a quarter of
# the time at most.  Beside two busy processes they take four to seven times as long as one: each waits, spinning,
# until the other has had its turn.
MIN_SHARED_FLOPS = 5e7


def suited_threads(network: Network, source: Source, batch_size: int) -> AbstractContextManager[None]:
    """Train a small network on one thread, and others on all.

    Parameters
    ----------
    network : Network
    source : Source
        Of sparse inputs the first layer's products are small.
    batch_size : int
        Rows of an update.
    """
    weights = network.weights[1:] if source.is_sparse else network.weights
    small = 2 * batch_size * max((W.numel() for W in weights), default=0) < MIN_SHARED_FLOPS
    return one_thread() if small and all(isinstance(layer, Dense) for layer in network.layers) else nullcontext()
