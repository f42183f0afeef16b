"""What a training will take: operations, bytes, memory and seconds of an epoch, by formulas and by measured rates.

`nmfnet plan` prints it.  docs/plan.md says what is counted.
"""

from nmfnet.planning.backpropagation import Backpropagation
from nmfnet.planning.epoch import Epoch, Part
from nmfnet.planning.memory import memory
from nmfnet.planning.messages import Message, Wire, messages
from nmfnet.planning.operations import Product, factorizations, moved_numbers, products
from nmfnet.planning.rates import MeasuredRates, Rates
from nmfnet.planning.task import LayerSizes, Task

__all__ = [
    "Backpropagation",
    "Epoch",
    "LayerSizes",
    "MeasuredRates",
    "Message",
    "Part",
    "Product",
    "Rates",
    "Task",
    "Wire",
    "factorizations",
    "memory",
    "messages",
    "moved_numbers",
    "products",
]
