"""Data sets: four by name, and anyone's own from a file.

`load` takes a name (`NAMES`), `read_file` a path; `available` says which of the named sets are on
this machine and where.
"""

from nmfnet.datasets._blocks import read_blocks, read_parts
from nmfnet.datasets._dialect import Dialect
from nmfnet.datasets._files import image_shape, read_file
from nmfnet.datasets._named import NAMES, Available, available, load
from nmfnet.datasets._schema import TABLES, Labels, Schema, ending, stem
from nmfnet.datasets._store import data_folder
from nmfnet.datasets._tables import column_names
from nmfnet.datasets._types import Dataset
from nmfnet.datasets._values import labels_as

__all__ = [
    "NAMES", "TABLES", "Available", "Dataset", "Dialect", "Labels", "Schema", "available", "column_names",
    "data_folder", "ending", "image_shape", "labels_as", "load", "read_blocks", "read_file", "read_parts", "stem",
]  # fmt: skip
