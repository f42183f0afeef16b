"""The environment of processes that tests start."""

import os
from pathlib import Path

import nmfnet


def with_source():
    """Return this environment, in which the nmfnet of these tests is the one that is imported."""
    return os.environ | {"PYTHONPATH": str(Path(nmfnet.__file__).parents[1])}
