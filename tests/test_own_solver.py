"""A solver from outside the package: stochastic gradient descent by autograd, in forty lines."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from nmfnet import NMFNetClassifier, NMFNetRegressor, Pinv, fit_module
from nmfnet.data.scaling import input_scaling, target_scaling
from nmfnet.network.initialization import initial_weights
from nmfnet.network.outputs import Output


class GradientSweep:
    retries = 0

    def __init__(self, network, rate):
        self.network, self.rate = network, rate

    def __call__(self, X, Y, sample_weight=None):
        network, Y = self.network, self.network.scaled_targets(Y)
        W = [W.detach().requires_grad_() for W in network.weights]
        with torch.enable_grad():
            outputs = network.with_weights(W).forward(X)[1][-1]
            slopes = torch.autograd.grad(network.output.loss(outputs, Y).mean(), W)
        network.weights[:] = [(w - self.rate * slope).detach() for w, slope in zip(W, slopes, strict=True)]
        return network.original_outputs(outputs.detach())

    def weights(self):
        return self.network.weights

    def state(self):
        return {"weights": self.network.weights}

    def restore(self, state):
        self.network.weights[:] = [W.clone() for W in state["weights"]]


@dataclass
class GradientDescent:
    rate: float = 0.1
    min_batch_samples, takes_sparse, penalizes_bias, message_bits = 1, False, False, 0

    def default_batch_size(self, n, real_values=0, positions=1):
        return min(n, 50)

    def default_alpha(self, network):
        return 0.0

    def output(self, kind):
        return Output({"classes": "softmax", "labels": "sigmoid"}.get(kind, "identity"))

    def input_scaling(self, source, kind, centre, partial):
        return input_scaling(source, 1.0, centre, float(partial))

    def target_scaling(self, source, kind, centre):
        return target_scaling(source, centre) if kind == "real" else None

    def initial_weights(self, layers, generator, dtype):
        return initial_weights(layers, generator, dtype)

    def prepare(self, network, source, plan):
        return GradientSweep(network, self.rate)

    def proceed(self, sweep, source, plan, rescaled=None):
        return sweep if rescaled is None else self.prepare(rescaled.network, source, plan)


@pytest.mark.parametrize("batches", ["fit", "partial_fit"])
def test_own_solver_in_the_classifier(batches, digits):
    X_train, X_test, y_train, y_test = digits
    model = NMFNetClassifier((50,), solver=GradientDescent(0.3), max_iter=20, random_state=0)
    if batches == "fit":
        model.fit(X_train, y_train)
    else:
        for _ in range(20):
            model.partial_fit(X_train, y_train, classes=range(10))
    assert model.score(X_test, y_test) > 0.9
    assert len(model.history_) == 20


def test_own_solver_in_the_regressor_and_for_a_module():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5))
    y = X @ rng.standard_normal(5)
    model = NMFNetRegressor((20,), solver=GradientDescent(), max_iter=60, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    module = torch.nn.Sequential(torch.nn.Linear(5, 20), torch.nn.ReLU(), torch.nn.Linear(20, 1)).double()
    history = fit_module(module, X, y, solver=GradientDescent(), max_iter=60, random_state=0)
    assert history[-1]["train_error"] < 0.1 * y.var()


def test_what_is_no_solver_is_refused_by_name():
    class Half:
        def prepare(self, network, source, plan):
            """Not enough."""

    for value in (Half(), Half, Pinv, 3, "adam"):
        with pytest.raises(ValueError, match="solver must be 'relaxed' or 'pinv', or an instance"):
            NMFNetClassifier(solver=value).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=r"Half has no .*proceed"):
        NMFNetClassifier(solver=Half()).fit([[0.0], [1.0]], [0, 1])
