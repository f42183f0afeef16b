"""A fair comparison of solvers: one file scores them all, and a data set or a solver is one more file."""
