"""PyTorch's global modes, turned off while we compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Compute in the dtype and on the device of the data, whatever modes the caller is in.

    Autocast would change dtypes, a default device the place of new tensors, and those made in inference mode could
    not be written into later.
    """
    with ExitStack() as modes:
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(False))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                modes.enter_context(torch.autocast(device, enabled=False))
        if torch.empty(0).device.type != "cpu":  # PyTorch 2.4 names no device of a `with` block
            modes.enter_context(torch.device("cpu"))
        yield
