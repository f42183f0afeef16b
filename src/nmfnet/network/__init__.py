"""The network: its weights and scalings, what its outputs mean, where it starts."""

from nmfnet.network.initialization import initial_weights
from nmfnet.network.network import Network

__all__ = ["Network", "initial_weights"]
