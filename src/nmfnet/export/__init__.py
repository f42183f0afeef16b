"""Models in other forms: PyTorch modules and ONNX graphs."""

from nmfnet.export.fitting import fit_module
from nmfnet.export.modules import Probabilities, Standardize

__all__ = ["Probabilities", "Standardize", "fit_module"]
