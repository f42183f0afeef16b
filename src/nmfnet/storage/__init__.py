"""Model files and checkpoints."""

from nmfnet.storage.models import FORMAT_VERSION, load, save

__all__ = ["FORMAT_VERSION", "load", "save"]
