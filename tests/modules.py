"""Modules of PyTorch to train on iris."""

from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_iris
from torch import nn

from nmfnet import fit_module

X, y = load_iris(return_X_y=True)
X = X.astype(np.float32)
SOLVERS = ["relaxed", "pinv"]


def mlp(*sizes, bias=True, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n, k in pairwise(sizes):
        layers += [nn.Linear(n, k, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def fit(module, data=X, targets=y, **options):
    return fit_module(module, data, targets, **{"max_iter": 2, "random_state": 0, **options})


def accuracy(module):
    with torch.no_grad():
        return (module.eval()(torch.tensor(X)).argmax(1).numpy() == y).mean()


class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
