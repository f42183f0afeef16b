"""The version, where hatch and the package find it."""

__version__ = "0.2.0"
