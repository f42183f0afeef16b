"""Modules that are refused, in training or at all."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from modules import X, fit, mlp
from nmfnet import NMFNetClassifier, NMFNetRegressor

PARAMETRIZED, HOOKS = "ParametrizedLinear, has parametrizations", "has forward hooks"
TIED, TWICE = "weights that share memory", "a Linear layer twice"


class Doubled(nn.Sequential):
    def forward(self, X):
        return 2 * super().forward(X)


def changed(change, module=None):
    module = module or mlp(4, 4, 4, 3)
    return change(module) or module


def hooked(name, layer=1):
    def change(module):
        getattr(module[layer] if layer is not None else module, name)(lambda *_: None)

    return changed(change)


def tied(name="weight", transposed=False):
    def change(module):
        tensor = getattr(module[0], name)
        setattr(module[2], name, nn.Parameter(tensor.detach().T) if transposed else tensor)

    return changed(change)


def of_layer(change):
    def first(module):
        change(module[0])

    return changed(first)


def expanded(module):
    module[0].weight = nn.Parameter(torch.zeros(1, 4).expand(4, 4))


def patched(module):
    module[0].forward = lambda X: X


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (tied, ValueError, TIED),
        (lambda: tied("bias"), ValueError, TIED),
        (lambda: tied(transposed=True), ValueError, TIED),
        (lambda: changed(expanded), ValueError, TIED),
        (lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2), ValueError, TWICE),
        (lambda: nn.Sequential(*[mlp(4, 4)] * 2), ValueError, TWICE),
        (lambda: hooked("register_forward_hook"), ValueError, rf"module\[1\], a ReLU, {HOOKS}"),
        (lambda: hooked("register_forward_pre_hook", None), ValueError, f"module {HOOKS}"),
        (lambda: of_layer(nn.utils.spectral_norm), ValueError, HOOKS),
        (lambda: of_layer(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)), ValueError, HOOKS),
        (lambda: of_layer(parametrizations.weight_norm), ValueError, PARAMETRIZED),
        (lambda: of_layer(parametrizations.spectral_norm), ValueError, PARAMETRIZED),
        (lambda: of_layer(parametrizations.orthogonal), ValueError, PARAMETRIZED),
        (lambda: changed(patched), ValueError, r"module\[0\], a Linear, has a forward of its own"),
        (lambda: Doubled(*mlp(4, 3)), ValueError, "module has a forward of its own"),
        (lambda: nn.Sequential(Doubled(*mlp(4, 3))), ValueError, r"module\[0\], a Doubled, has a forward of its own"),
        (lambda: nn.Sequential(nn.LazyLinear(3)), ValueError, "LazyLinear, has no weights yet: call the module"),
        (lambda: mlp(4, 3).to("meta"), ValueError, "is on the meta device"),
        (lambda: mlp(4, 3).half(), ValueError, r"it has torch.float16: use module.float\(\)"),
        (lambda: mlp(4, 3).bfloat16(), ValueError, "it has torch.bfloat16"),
        (lambda: mlp(4, 3).to(torch.complex64), ValueError, "it has torch.complex64"),
        (lambda: nn.DataParallel(mlp(4, 3)), TypeError, "got DataParallel. Pass the one inside, module.module"),
        (lambda: torch.optim.swa_utils.AveragedModel(mlp(4, 3)), TypeError, "AveragedModel.*module.module"),
        (lambda: torch.compile(mlp(4, 3)), TypeError, "got OptimizedModule. Pass the one inside, module._orig_mod"),
        (lambda: nn.ModuleList(mlp(4, 3)), TypeError, r"got ModuleList.*nn.Sequential\(\*module\)"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), ValueError, r"module\[1\], a BatchNorm1d"),
        (lambda: nn.Sequential(OrderedDict(one=nn.Linear(4, 4), f=nn.GELU())), ValueError, r"module\[f\], a GELU"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(0)), ValueError, r"Softmax\(dim=1\)"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_modules_that_are_refused(make, error, match):
    """By whoever would ignore a part of them, before anything is trained."""
    for use in (fit, NMFNetClassifier.from_torch, NMFNetRegressor.from_torch):
        with pytest.raises(error, match=match):
            use(make())


def of_gradients(name):
    def change(module):
        getattr(module[0].weight, name)(lambda *_: None)

    return changed(change)


def computed(module):
    weight = module[0].weight.detach().requires_grad_()
    del module[0].weight
    module[0].weight = 2 * weight


def in_inference_mode():
    with torch.inference_mode():
        return mlp(4, 3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: hooked("register_full_backward_hook"), r"module\[1\], a ReLU, has backward hooks"),
        (lambda: hooked("register_full_backward_pre_hook", None), "module has backward hooks"),
        (lambda: of_gradients("register_hook"), "hooks on their gradients"),
        (lambda: of_gradients("register_post_accumulate_grad_hook"), "hooks on their gradients"),
        (lambda: changed(computed), "must be an nn.Parameter"),
        (in_inference_mode, "inference_mode"),
    ],
)
def test_what_needs_gradients_is_refused_in_training_alone(make, match):
    module = make()
    before = [each.clone() for each in module.parameters()]
    with pytest.raises(ValueError, match=match):
        fit(module)
    assert all(map(torch.equal, module.parameters(), before))
    assert NMFNetClassifier.from_torch(module).predict(X).shape == (150,)
