"""Checkpoints: a training on the disk, whole whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

from nmfnet._parameters import at_least, boolean
from nmfnet.distributed import now
from nmfnet.errors import CheckpointError
from nmfnet.stateful import State
from nmfnet.storage import container
from nmfnet.storage.states import flat, whole
from nmfnet.training import Callback, Training, differences, fingerprint

FORMAT_VERSION = 5
KEY = "nmfnet-checkpoint"
NAME = "checkpoint-{:010d}.safetensors"  # by the number of batches done
ALL = "checkpoint-*.safetensors"


class Checkpoint(Callback):
    """Store a training while it runs, so that it can continue where it ended.

    A checkpoint holds all that the training needs: weights, averages, Gram matrices, random states, the position in
    the epoch and the history.  On the same machine, with the same number of threads on the CPU, a training that
    continues from one ends with the same weights, bit for bit, as one that was never interrupted.  Each is first
    written under another name, forced to the disk and then renamed.  If one cannot be written, as on a full disk, a
    warning says so, and the training continues.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist.  It is for one training: the fits of a search would overwrite each other's
        checkpoints or, with `resume`, raise an error.
    every : int, optional
        Batches between two checkpoints; left out, one is written at the end of each epoch.
    keep : int, default=2
        Checkpoints to keep, the last ones.
    resume : bool, default=False
        Whether to continue from the newest checkpoint that can be read.  If there is none, the training starts from
        the beginning.  If False, the first new checkpoint replaces those in the folder.

    Warns
    -----
    RuntimeWarning
        If a checkpoint could not be written, or read.

    Examples
    --------
    >>> import tempfile
    >>> from nmfnet import Checkpoint, NMFNetClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> folder = tempfile.mkdtemp()
    >>> model = NMFNetClassifier(callbacks=[Checkpoint(folder, resume=True)], random_state=0).fit(X, y)
    """

    def __init__(
        self, folder: str | os.PathLike[str], every: int | None = None, keep: int = 2, resume: bool = False
    ) -> None:
        if every is not None:
            at_least("every", every, 1, int, otherwise="None")
        at_least("keep", keep, 1, int)
        boolean("resume", resume)
        self.folder, self.every, self.keep, self.resume = Path(folder), every, keep, resume
        self._training: Training | None = None
        self._fingerprint: dict[str, Any] = {}
        self._files: list[Path] = []  # of this training, oldest first
        self._batches = 0  # done in this fit
        self._found: dict[str, Any] | None = None

    def resumes(self) -> bool:  # noqa: D102
        if self.resume and self._found is None:
            self._found = self._newest() if now().rank == 0 else None
        if self.resume:  # rank 0 alone writes and reads
            self._found = now().shared(self._found)
        return self._found is not None

    def planned_epochs(self) -> Any:
        """Epochs of the training that would be continued; None if there is none."""
        return self._found["fingerprint"].get("max_iter") if self.resumes() and self._found is not None else None

    def clear(self) -> None:
        """Remove the checkpoints, and the folder if nothing else is in it."""
        with contextlib.suppress(OSError):
            for path in [*self.folder.glob(ALL), *self.folder.glob(f".{ALL}.*")]:
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def on_train_begin(self, training: Training) -> None:
        """Restore the newest checkpoint, if asked to.

        Raises
        ------
        CheckpointError
            If it is of a training on other data, or with other parameters.
        OSError
            If the folder cannot be made.
        """
        if now().rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f".{ALL}.*"):  # by a process that was killed while writing
                left.unlink(missing_ok=True)
        self._training, self._fingerprint, self._files, self._batches = training, fingerprint(training), [], 0
        if self.resumes() and self._found is not None:
            self._restore(training, self._found)
            self._files = sorted(self.folder.glob(ALL))
        self._found = None

    def _restore(self, training: Training, found: dict[str, Any]) -> None:
        other = differences(found["fingerprint"], self._fingerprint)
        if other:
            raise CheckpointError(
                f"The checkpoint in {self.folder} is of another training: {'; '.join(other)}. Use the same data and "
                "parameters (an int as random_state), or another folder."
            )
        try:
            training.restore(found["state"])
            self._batches = int(found["batches"])
        except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"The checkpoint in {self.folder} does not fit this nmfnet: {error}") from error

    def on_train_end(self) -> None:  # noqa: D102
        self._training = self._found = None

    def on_batch_end(self, batch: int, n_batches: int) -> None:  # noqa: D102
        assert self._training is not None
        self._batches += 1
        if batch == n_batches if self.every is None else self._batches % self.every == 0:
            self._write(self._training)

    def _write(self, training: Training) -> None:
        path = self.folder / NAME.format(self._batches)
        content = {"fingerprint": self._fingerprint, "batches": self._batches, "state": training.state()}
        if now().rank:
            return
        try:
            write(path, content)
        except OSError as error:
            last = f"the last one is {self._files[-1].name}" if self._files else "there is none yet"
            warnings.warn(
                f"The checkpoint {path} could not be written: {error.strerror}. The training goes on; {last}.",
                RuntimeWarning, stacklevel=2,
            )  # fmt: skip
            return
        self._files = [*(each for each in self._files if each != path), path][-self.keep :]
        for old in set(self.folder.glob(ALL)) - set(self._files):
            with contextlib.suppress(OSError):
                old.unlink(missing_ok=True)

    def _newest(self) -> dict[str, Any] | None:
        """Content of the newest checkpoint that can be read."""
        for path in sorted(self.folder.glob(ALL), reverse=True):
            try:
                return read(path)
            except CheckpointError as error:
                warnings.warn(f"{error} An older checkpoint is used if there is one.", RuntimeWarning, stacklevel=2)
        return None


def write(path: Path, content: State) -> None:
    """Write a state of tensors, numbers and text to a file."""
    plain, tensors = flat(content)
    header = {"format": "nmfnet-checkpoint", "format_version": FORMAT_VERSION, **plain}
    container.write(path, KEY, container.unparse(header), tensors)


def read(path: Path) -> State:
    """Inverse of :func:`write`.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    try:
        header, tensors, _ = container.read(path, KEY)
        if header.pop("format") != "nmfnet-checkpoint" or header.pop("format_version") != FORMAT_VERSION:
            raise ValueError("it has another format.")
        return whole(header, tensors)
    # Broad on purpose: whatever is wrong with a file shows as this one error.
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {' '.join(str(error)[:300].split())}") from error
