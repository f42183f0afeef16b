"""What PyTorch users expect of whoever trains their modules: obeyed, or refused by name."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from modules import SOLVERS, Plain, X, accuracy, fit, mlp, y
from nmfnet import DivergenceError, NMFNetClassifier, Pinv


@pytest.mark.parametrize("solver", [*SOLVERS, Pinv(first_layer="batch")])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [(0,), (2,), (4,), (0, 2), (2, 4), (0, 4)])
def test_frozen_layers_keep_their_weights(solver, bias, frozen):
    """To the bit, while the others learn through them."""
    module = mlp(4, 20, 15, 3, bias=bias)
    for layer in frozen:
        module[layer].requires_grad_(False)
    before = [parameter.clone() for parameter in module.parameters()]
    history = fit(module, solver=solver, max_iter=40, tol=0)
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter, old) == (not parameter.requires_grad)
    if solver == "relaxed" or frozen != (2, 4):  # in which the paper's sweep has little room
        assert accuracy(module) > 0.75 and history[-1]["objective"] < history[0]["objective"]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_frozen_last_layer_of_a_regression(solver, alpha):
    """Scaled targets, and a penalty, do not move it either."""
    module, targets = mlp(4, 20, 1).double(), 1000 + 50 * X[:, 0].astype(float)
    with torch.no_grad():
        module[2].bias.fill_(1000)
        module[2].weight *= 100
    module[2].requires_grad_(False)
    before = module[2].weight.clone()
    history = fit(module, X, targets, solver=solver, alpha=alpha, max_iter=30)
    assert torch.equal(module[2].weight, before) and float(module[2].bias) == 1000
    assert history[-1]["train_error"] < history[0]["train_error"]


def test_frozen_weights_may_be_buffers():
    module = mlp(4, 20, 3)
    for name in ("weight", "bias"):
        tensor = getattr(module[0], name).detach().clone()
        delattr(module[0], name)
        module[0].register_buffer(name, tensor)
    before = module[0].weight.clone()
    fit(module, max_iter=30)
    assert torch.equal(module[0].weight, before) and accuracy(module) > 0.9


def test_half_frozen_layers_are_refused():
    for name, other in (("weight", "bias"), ("bias", "weight")):
        module = mlp(4, 20, 3)
        getattr(module[2], name).requires_grad_(False)
        with pytest.raises(ValueError, match=r"requires_grad=.* Linear number 2: freeze a layer as a whole"):
            fit(module)
        getattr(module[2], other).requires_grad_(False)
        fit(module)
    with pytest.raises(ValueError, match="nothing to train: all layers have requires_grad=False"):
        fit(module.requires_grad_(False))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("modes", [(True, True), (False, False), (False, True)])
def test_all_that_is_not_a_weight_stays(solver, modes):
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Dropout(0.1, inplace=True), nn.Linear(8, 3)))
    module.train(modes[0])
    module[2][0].train(modes[1])
    module[0].weight.grad = torch.ones(8, 4)
    module[0].register_buffer("counts", torch.arange(3))
    grad, view = module[0].weight.grad, module[0].weight.detach()
    optimizer = torch.optim.SGD(module.parameters(), momentum=0.9)
    flags = [each.training for each in module.modules()]
    parameters, places = list(module.parameters()), [each.data_ptr() for each in module.parameters()]
    fit(module, solver=solver)
    assert flags == [each.training for each in module.modules()]
    assert all(
        p is q and p.data_ptr() == place for p, q, place in zip(module.parameters(), parameters, places, strict=True)
    )
    assert module[0].weight.grad is grad and torch.equal(grad, torch.ones(8, 4)) and module[2][1].weight.grad is None
    assert torch.equal(view, module[0].weight) and optimizer.param_groups[0]["params"][0] is module[0].weight
    assert all(each.requires_grad and each.is_leaf and each.grad_fn is None for each in module.parameters())
    assert module[0].counts.tolist() == [0, 1, 2]


def test_the_weights_of_constant_columns_stay():
    """What is constant here may vary in the data that the module meets next."""
    for bias in (True, False):
        module = mlp(4, 8, 3, bias=bias)
        data = X.copy()
        data[:, 2] = 0
        before = module[0].weight[:, 2].clone()
        fit(module, data)
        torch.testing.assert_close(module[0].weight[:, 2], before)


def strided(module):
    module[0].weight = nn.Parameter(module[0].weight.detach().T.contiguous().T)


def flattened(module):
    """All parameters in one vector."""
    vector = nn.utils.parameters_to_vector(module.parameters()).detach()
    nn.utils.vector_to_parameters(vector, module.parameters())


def augmented(module):
    """Weight and bias are columns of one matrix."""
    both = torch.cat([module[0].weight, module[0].bias[:, None]], 1).detach()
    module[0].weight, module[0].bias = nn.Parameter(both[:, :-1]), nn.Parameter(both[:, -1])


@pytest.mark.parametrize("change", [strided, flattened, augmented, lambda module: module.compile()])
def test_any_place_in_memory(change):
    module, plain = mlp(4, 8, 3), mlp(4, 8, 3)
    change(module)
    places = [each.data_ptr() for each in module.parameters()]
    fit(module)
    fit(plain)
    assert places == [each.data_ptr() for each in module.parameters()]
    for found, expected in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "make",
    [
        Plain,
        lambda: nn.Sequential(nn.Flatten(), Plain(), nn.LogSoftmax(1)),
        lambda: nn.Sequential(nn.Identity(), nn.Linear(4, 3), nn.Flatten(), nn.Identity(), nn.Softmax(None)),
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Dropout(0.1, True), nn.Linear(8, 3)),
        lambda: nn.Sequential(OrderedDict(one=nn.Linear(4, 8), f=nn.Tanh(), two=nn.Linear(8, 3))),
        lambda: nn.Sequential(nn.Linear(4, 9), f := nn.Tanh(), nn.Linear(9, 8), f, nn.Linear(8, 3)),  # no weights
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_modules_that_are_trained(make):
    torch.manual_seed(0)
    module = make()
    fit(module, max_iter=60)
    assert accuracy(module) > 0.9
    assert NMFNetClassifier.from_torch(module).score(X, y) == pytest.approx(accuracy(module))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", ["whole numbers", "booleans", "column", "tensor", "bytes"])
@pytest.mark.parametrize("ending", [(), (nn.Sigmoid(),)])
def test_one_logit(solver, form, ending):
    """As for BCEWithLogitsLoss, or BCELoss."""
    first = y == 0
    targets = {
        "whole numbers": first.astype(int), "booleans": first, "column": first[:, None], "tensor": torch.tensor(first),
        "bytes": first.astype(np.uint8)[:, None],
    }[form]  # fmt: skip
    module = nn.Sequential(*mlp(4, 8, 1), *ending)
    fit(module, targets=targets, solver=solver, max_iter=30)
    logits = module[:3](torch.tensor(X)).detach().numpy()[:, 0]
    assert ((logits > 0) == (y == 0)).mean() > 0.95


def test_probabilities_as_targets_and_what_does_not_fit():
    for targets in ((y == 0) * 0.8 + 0.1, torch.tensor(y == 0).double()[:, None]):
        module = nn.Sequential(*mlp(4, 8, 1), nn.Sigmoid())
        fit(module, targets=targets, max_iter=60)
        P = module(torch.tensor(X)).detach().numpy()[:, 0]
        assert abs(P - np.ravel(targets)).mean() < 0.15
        real = mlp(4, 8, 1)  # without a Sigmoid the same are real numbers
        if targets.max() == 1:
            with pytest.raises(ValueError, match="task='multilabel'"):
                fit(real, targets=targets)
        fit(real, targets=targets, max_iter=60, task="regression")
        assert abs(real(torch.tensor(X)).detach().numpy()[:, 0] - np.ravel(targets)).mean() < 0.15
    for targets in (2.0 * y, 2 * y):
        with pytest.raises(ValueError, match=r"does not fit y|must have 0 and 1.* floating-point"):
            fit(module, targets=targets)
    with pytest.raises(ValueError, match="ends with softmax, which does not fit y"):
        fit(nn.Sequential(nn.Linear(4, 1), nn.LogSoftmax(1)), targets=y == 0)


def test_one_output_of_an_estimator():
    """With a Sigmoid it stands for two classes."""
    module = nn.Sequential(*mlp(4, 8, 1), nn.Sigmoid())
    fit(module, targets=y == 0, max_iter=20)
    model = NMFNetClassifier.from_torch(module, classes=["other", "setosa"], warm_start=True)
    P = module(torch.tensor(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(model.predict_proba(X), np.column_stack([1 - P, P]), atol=1e-6)
    names = np.where(y == 0, "setosa", "other")
    assert model.score(X, names) > 0.95 and model.fit(X, names).score(X, names) > 0.95
    with pytest.raises(ValueError, match=r"an output for each class.*put nn.Sigmoid\(\) behind it"):
        NMFNetClassifier.from_torch(module[:-1])


def test_weights_that_overflow_are_not_written():
    module = mlp(4, 1)
    before = [each.clone() for each in module.parameters()]
    with pytest.raises(DivergenceError, match="overflow"):
        fit(module, 1e-3 * X, 1e37 * X[:, 0].astype(float), max_iter=30)
    assert all(map(torch.equal, module.parameters(), before))


MODES = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mode", MODES)
def test_the_modes_of_pytorch_change_nothing(solver, mode):
    """Neither what is computed, nor what can be done with it outside."""
    module, same = mlp(4, 8, 3), mlp(4, 8, 3)
    plain = NMFNetClassifier((8,), solver=solver, max_iter=2, random_state=0).fit(X, y)
    model = NMFNetClassifier((8,), solver=solver, max_iter=2, random_state=0)
    with MODES[mode]():
        fit(module, solver=solver)
        codes = model.fit(X, y).partial_fit(X, y).transform(X)
        P = model.predict_proba(X)
    plain.partial_fit(X, y)
    fit(same, solver=solver)
    assert all(map(torch.equal, module.parameters(), same.parameters()))
    np.testing.assert_array_equal(P, plain.predict_proba(X))
    np.testing.assert_array_equal(codes, plain.transform(X))
    np.testing.assert_array_equal(model.partial_fit(X, y).predict_proba(X), plain.partial_fit(X, y).predict_proba(X))
    fit(module, solver=solver)
    fit(model.to_torch()[:-1] if solver == "relaxed" else module)


def test_gradients_stay_on_in_callbacks():
    from nmfnet import Callback

    class Gradient(Callback):
        def on_epoch_end(self, network, record):
            a = torch.ones((), requires_grad=True)
            (2 * a).backward()
            assert a.grad == 2

    fit(mlp(4, 3), callbacks=[Gradient()])
    NMFNetClassifier((3,), max_iter=2, callbacks=[Gradient()]).fit(X, y)
