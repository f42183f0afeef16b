"""Everybody at defaults on tables of packages: ``python -m benchmarks.tables run`` and ``report``."""
