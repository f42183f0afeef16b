"""The errors and warnings nmfnet raises, all in one place."""


class NMFNetError(Exception):
    """Base class of every error that is nmfnet's own."""


class DataError(NMFNetError, ValueError):
    """A data set or data file is missing, corrupt or unfit for what was asked."""


class ModelFileError(NMFNetError, ValueError):
    """A model file is missing, corrupt, or not an nmfnet model."""


class CheckpointError(NMFNetError, ValueError):
    """A checkpoint belongs to another training than the one that should continue."""


class DivergenceError(NMFNetError, ArithmeticError):
    """Numbers have left the range of their dtype, in a factorization or before the end of the first epoch."""


class RankError(NMFNetError, RuntimeError):
    """A process that trains with others failed, ended, or cannot be reached.  All of them raise the same error."""


class DivergenceWarning(UserWarning):
    """Training stopped at non-finite weights; the last good ones were kept."""


class VersionWarning(UserWarning):
    """An estimator was pickled by another version of nmfnet."""
