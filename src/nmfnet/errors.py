"""The errors and warnings nmfnet raises, all in one place."""


class NMFNetError(Exception):
    """Base class of every error that is nmfnet's own."""


class DataError(NMFNetError, ValueError):
    """A data set or data file is missing, corrupt or unfit for what was asked."""


class ModelFileError(NMFNetError, ValueError):
    """A model file is missing, corrupt or not a nmfnet model."""


class CheckpointError(NMFNetError, ValueError):
    """A checkpoint is of another training than the one that is to go on."""


class DivergenceError(NMFNetError, ArithmeticError):
    """Numbers left the range of their dtype: in a factorization, or in training before the first epoch's end."""


class RankError(NMFNetError, RuntimeError):
    """One of the processes that train together has failed, ended, or cannot be reached; all raise the same error."""


class DivergenceWarning(UserWarning):
    """Training stopped at non-finite weights; the last good ones were kept."""


class VersionWarning(UserWarning):
    """An estimator was pickled by another version of nmfnet."""
