"""Networks in other forms: PyTorch modules and ONNX graphs."""

from nmfnet.export.modules import Probabilities, Standardize

__all__ = ["Probabilities", "Standardize"]
