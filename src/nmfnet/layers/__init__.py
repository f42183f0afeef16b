"""Layers of a network, and the activation functions between them."""

from nmfnet.layers.base import Layer
from nmfnet.layers.dense import Dense

__all__ = ["Dense", "Layer"]
