"""What users write in `hidden_layer_sizes` besides widths: convolutions, pooling, flattening; the words of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from numbers import Integral
from typing import Any, ClassVar, Literal

from nmfnet.linalg.patches import Pair, Window

Size = int | tuple[int, ...]


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(frozen=True, repr=False)
class Spec:
    """A layer of images or of sequences, as users write it; equal where all that it says is."""

    ndim: ClassVar[int]  # axes of an image besides the channels

    def changed(self) -> dict[str, Any]:
        """The parameters that have no default, or another value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {each.name: values[each.name] for each in fields(self) if values[each.name] != each.default}

    def __repr__(self) -> str:
        required = {field.name for field in fields(self) if field.default is MISSING}
        given = [repr(value) if name in required else f"{name}={value!r}" for name, value in self.changed().items()]
        return f"{type(self).__name__}({', '.join(given)})"

    def _checked(self, name: str, low: int, several: bool = True) -> Size:
        """A number, or a number for each axis; of Python's, so that equal specs look alike and can be stored."""
        value: Any = getattr(self, name)
        listed = several and isinstance(value, (list, tuple))
        values = list(value) if listed else [value]
        whole = all(is_whole(each) and int(each) >= low for each in values)
        if not whole or (listed and len(values) != self.ndim):
            axes = f", or {self.ndim} of them," if several and self.ndim > 1 else ""
            raise ValueError(
                f"{name} of {type(self).__name__} must be a whole number{axes} of at least {low}; got {value!r}."
            )
        numbers = tuple(map(int, values))
        checked = numbers[0] if len(set(numbers)) == 1 else numbers
        object.__setattr__(self, name, checked)
        return checked

    def _pair(self, value: Size, fill: int) -> Pair:
        """A number for the rows and one for the columns of an image; sequences are images of one row."""
        numbers = (value,) * self.ndim if isinstance(value, int) else value
        return (fill, numbers[0]) if self.ndim == 1 else (numbers[0], numbers[1])


@dataclass(frozen=True, repr=False)
class _Convolution(Spec):
    """Convolution with `channels` filters."""

    channels: int
    kernel_size: Size
    stride: Size = 1
    padding: Size | Literal["same"] = 0
    dilation: Size = 1

    def __post_init__(self) -> None:
        self._checked("channels", 1, several=False)
        for name in ("kernel_size", "stride", "dilation"):
            self._checked(name, 1)
        if self.padding != "same":
            self._checked("padding", 0)
        elif self.stride != 1 or any((k - 1) * d % 2 for k, d in zip(*self._kernel_and_dilation, strict=True)):
            raise ValueError(
                f"padding='same' of {type(self).__name__} needs stride=1 and an odd kernel_size: give numbers instead."
            )

    @property
    def _kernel_and_dilation(self) -> tuple[Pair, Pair]:
        return self._pair(self.kernel_size, 1), self._pair(self.dilation, 1)

    @property
    def window(self) -> Window:
        """Where the patches are."""
        kernel, dilation = self._kernel_and_dilation
        if self.padding == "same":
            padding = ((kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2)
        else:
            padding = self._pair(self.padding, 0)
        return Window(kernel, self._pair(self.stride, 1), padding, dilation)


class Conv1d(_Convolution):
    """Convolution of sequences (channels, length), as ``torch.nn.Conv1d``.

    Parameters
    ----------
    channels : int
        Number of output channels.
    kernel_size : int
        Length of the kernel.
    stride : int, default=1
    padding : int or "same", default=0
        Number of zeros added at each side; "same" makes the outputs as large as the inputs.
    dilation : int, default=1
    """

    ndim = 1


class Conv2d(_Convolution):
    """Convolution of images (channels, height, width), as ``torch.nn.Conv2d``.

    Parameters
    ----------
    channels : int
        Number of output channels.
    kernel_size : int or tuple of int
        Size of the kernel: one number, or (height, width).
    stride : int or tuple of int, default=1
    padding : int, tuple of int or "same", default=0
        Number of zeros added at each side; "same" makes the outputs as large as the inputs.
    dilation : int or tuple of int, default=1
    """

    ndim = 2


@dataclass(frozen=True, repr=False)
class _Pooling(Spec):
    """Pooling by a window."""

    kernel_size: Size
    stride: Size | None = None
    padding: Size = 0

    def __post_init__(self) -> None:
        self._checked("kernel_size", 1)
        if self.stride is not None and self._checked("stride", 1) == self.kernel_size:
            object.__setattr__(self, "stride", None)
        self._checked("padding", 0)
        window = self.window
        if any(2 * p > k for p, k in zip(window.padding, window.kernel, strict=True)):
            raise ValueError(f"padding of {type(self).__name__} must be at most half of kernel_size; got {self!r}.")

    @property
    def window(self) -> Window:
        """Where the windows are."""
        stride = self.kernel_size if self.stride is None else self.stride
        return Window(self._pair(self.kernel_size, 1), self._pair(stride, 1), self._pair(self.padding, 0))


class MaxPool1d(_Pooling):
    """Largest number of each window of a sequence, as ``torch.nn.MaxPool1d``.

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
        By default `kernel_size`, so that windows lie side by side.
    padding : int, default=0
        At most half of the kernel.
    """

    ndim = 1


class MaxPool2d(_Pooling):
    """Largest number of each window of an image, as ``torch.nn.MaxPool2d``.

    Parameters
    ----------
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        By default `kernel_size`, so that windows lie side by side.
    padding : int or tuple of int, default=0
        At most half of the kernel.
    """

    ndim = 2


class AvgPool1d(_Pooling):
    """Mean of each window of a sequence, as ``torch.nn.AvgPool1d``.

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
        By default `kernel_size`, so that windows lie side by side.
    padding : int, default=0
        At most half of the kernel.
    """

    ndim = 1


class AvgPool2d(_Pooling):
    """Mean of each window of an image, as ``torch.nn.AvgPool2d``.

    Parameters
    ----------
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        By default `kernel_size`, so that windows lie side by side.
    padding : int or tuple of int, default=0
        At most half of the kernel.
    """

    ndim = 2


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Spec):
    """Mean of each channel, of an image or a sequence, as ``torch.nn.AdaptiveAvgPool2d(1)``."""


@dataclass(frozen=True, repr=False)
class Flatten(Spec):
    """Images to rows of numbers, channel by channel, as ``torch.nn.Flatten``; before a width it is implied."""


@dataclass(frozen=True, repr=False, init=False)
class Residual(Spec):
    """Convolutions with a skip connection: the inputs are added to the outputs of the last, before its activation.

    ``Residual(Conv2d(32, 3, padding="same"), Conv2d(32, 3, padding="same"))`` is the block of a residual network (He
    et al., 2016).  The outputs must have the shape of the inputs.

    Parameters
    ----------
    *layers : Conv1d or Conv2d
        One after the other, each with an activation behind it.
    """

    layers: tuple[_Convolution, ...]

    def __init__(self, *args: _Convolution, layers: Sequence[_Convolution] = ()) -> None:
        found = (*args, *layers)
        if not found or not all(isinstance(each, _Convolution) for each in found):
            raise ValueError(
                f"Residual takes convolutions, one or several; got {', '.join(map(repr, found)) or 'none'}."
            )
        object.__setattr__(self, "layers", found)

    @property
    def ndim(self) -> int:  # type: ignore[override]
        """Axes of an image besides the channels, as its layers have them."""
        return self.layers[0].ndim

    def __repr__(self) -> str:
        return f"Residual({', '.join(map(repr, self.layers))})"


def unfolded(hidden: Iterable[int | Spec]) -> list[int | Spec]:
    """Hidden layers with those inside of skip connections one by one."""
    return [part for each in hidden for part in (each.layers if isinstance(each, Residual) else (each,))]


SPECS: dict[str, type[Spec]] = {
    cls.__name__: cls
    for cls in (Conv1d, Conv2d, MaxPool1d, MaxPool2d, AvgPool1d, AvgPool2d, GlobalAvgPool, Flatten, Residual)
}
