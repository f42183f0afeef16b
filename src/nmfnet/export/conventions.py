"""What a PyTorch module may do besides its layers: obeyed where a network can, or refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized


def check_is_sequential(module: object) -> None:
    """Refuse all but an ``nn.Sequential``, and say where in a wrapper it is."""
    if isinstance(module, nn.Sequential):
        return
    advice = ""
    for name in ("module", "_orig_mod"):  # of DataParallel and the like, of torch.compile
        if isinstance(getattr(module, name, None), nn.Sequential):
            advice = f" Pass the one inside, module.{name}: its weights are the same."
    if isinstance(module, nn.ModuleList):
        advice = " It has no order of its own: nn.Sequential(*module) has."
    elif isinstance(module, nn.Module) and not advice:
        advice = (
            " What its forward does with its layers cannot be read from it: pass nn.Sequential(layer, nn.ReLU(), ...) "
            "of the same layers, which trains them in place."
        )
    raise TypeError(f"module must be an nn.Sequential; got {type(module).__name__}.{advice}")


def check_forward(module: nn.Sequential) -> None:
    """Refuse what changes the outputs of layers, or leaves them without weights."""
    for at, each in _described(module):
        for tensor in each.parameters(recurse=False):
            if is_lazy(tensor):
                raise ValueError(f"{at} has no weights yet: call the module on some samples first.")
            if tensor.is_meta:
                raise ValueError(
                    f"{at} is on the meta device, without weights: module.to_empty(device='cpu') makes room for some."
                )
        if is_parametrized(each):
            raise ValueError(
                f"{at} has parametrizations, which a network has not: make plain weights of them with "
                "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
            )
        if each._forward_hooks or each._forward_pre_hooks:
            raise ValueError(
                f"{at} has forward hooks, which would be left out: remove them, as with handle.remove(), "
                "torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove."
            )
        own = isinstance(each, nn.Sequential) and type(each).forward is not nn.Sequential.forward
        if own or "forward" in vars(each):
            raise ValueError(f"{at} has a forward of its own, which would be left out: use a plain {_plain(each)}.")


def check_trainable(module: nn.Sequential, tensors: Iterable[Tensor]) -> None:
    """Refuse what asks for gradients, and weights that cannot be written into."""
    for at, each in _described(module):
        if each._backward_hooks or each._backward_pre_hooks:
            raise ValueError(
                f"{at} has backward hooks, which nothing would call: there are no gradients. Remove them."
            )
    for tensor in tensors:
        if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
            raise ValueError(
                "module has weights with hooks on their gradients, which nothing would call. Remove them; to keep "
                "a layer's weights, set requires_grad=False of all of them."
            )
        if tensor.is_inference():
            raise ValueError(
                "module has weights made in torch.inference_mode(), which cannot be changed outside: make it in "
                "torch.no_grad(), or copy them, layer.weight = nn.Parameter(layer.weight.clone())."
            )
        if not tensor.is_leaf:
            raise ValueError(
                "module has weights that are computed from others: layer.weight must be an nn.Parameter to be trained."
            )


def share_memory(tensors: Iterable[Tensor]) -> bool:
    """Whether some entries of the tensors, all of one dtype, are the same ones: of tied or expanded weights."""
    groups: dict[int, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.untyped_storage().data_ptr(), []).append(tensor)
    for group in groups.values():
        if len(group) > 1 or not group[0].is_contiguous():
            places = torch.cat([_places(tensor) for tensor in group])
            if len(places.unique()) < len(places):
                return True
    return False


def _places(tensor: Tensor) -> Tensor:
    """Of the entries, in the memory that the tensor is a view of."""
    places = torch.tensor(tensor.storage_offset())
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        places = places[..., None] + stride * torch.arange(size)
    return places.flatten()


def _described(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, each in module.named_modules():
        yield f"module[{name}], a {type(each).__name__}," if name else "module", each


def _plain(module: nn.Module) -> str:
    return "nn.Sequential" if isinstance(module, nn.Sequential) else f"nn.{type(module).__name__}"
