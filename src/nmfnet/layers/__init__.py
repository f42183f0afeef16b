"""Layers of a network, and the activation functions between them."""

from nmfnet.layers.base import Layer, Linearization, skipped_inputs
from nmfnet.layers.building import build_layers, n_weighted, takes_images
from nmfnet.layers.convolution import Convolution
from nmfnet.layers.dense import Dense
from nmfnet.layers.specs import (
    SPECS,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    Residual,
    Spec,
    unfolded,
)
from nmfnet.layers.stage import Stage

__all__ = [
    "SPECS",
    "AvgPool1d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "Convolution",
    "Dense",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "Linearization",
    "MaxPool1d",
    "MaxPool2d",
    "Residual",
    "Spec",
    "Stage",
    "build_layers",
    "n_weighted",
    "skipped_inputs",
    "takes_images",
    "unfolded",
]
