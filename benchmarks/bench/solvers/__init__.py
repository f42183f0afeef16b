"""A file lists its solvers in SOLVERS."""
