"""The version, where hatch and the package find it."""

__version__ = "0.1.0"
