"""Training by several processes, each with rows of its own: the group they form, and what they tell each other.

Inside an initialized process group of ``torch.distributed`` every fit is one of all processes.  docs/distributed.md
takes a reader from one process to many machines.
"""

from __future__ import annotations

import atexit
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from nmfnet.errors import RankError
from nmfnet.linalg.holders import Holders, local

T = TypeVar("T")

TIMEOUT = "NMFNET_RANK_TIMEOUT"  # environment variable: most seconds that a process waits for the others
DEFAULT_TIMEOUT = 600.0
GRACE = timedelta(seconds=2)  # for the words of a rank that failed to come
RELEASE = 0.1  # seconds in which threads of gloo let go of their last tensors
SHORT, LENGTH = 1024, 8  # bytes of an object that one message has room for, and of the number of its bytes
WIDE_NUMBERS = 2**12  # sums of fewer numbers are taken in float64

_NOW: ContextVar[Holders] = ContextVar("nmfnet_ranks", default=local)
_ALONE: ContextVar[bool] = ContextVar("nmfnet_alone", default=False)


class Ranks:
    """The processes of a group, each of which holds samples.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    messages, bytes : int
        Collective operations so far, and the bytes that this process put into them.
    """

    def __init__(self) -> None:
        seconds = float(os.environ.get(TIMEOUT, DEFAULT_TIMEOUT))
        self.world = dist.group.WORLD
        self.group: Any = dist.new_group(backend="gloo", timeout=timedelta(seconds=seconds))
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.messages = self.bytes = self.fits = 0

    def __call__(self, sums: Sequence[Tensor]) -> list[Tensor]:
        """Sums over all samples, by one message: few numbers in float64, many in the dtype of most."""
        if not sums:
            return []
        small = sum(each.numel() for each in sums) <= WIDE_NUMBERS
        dtype = torch.float64 if small else max((each for each in sums), key=Tensor.numel).dtype
        packed = torch.cat([each.detach().flatten().to("cpu", dtype) for each in sums])
        self._said(dist.all_reduce, packed)
        parts = packed.split([each.numel() for each in sums])
        # In memory of their own, as in one process: where numbers begin decides how products of them are rounded.
        return [part.view(each.shape).to(each, copy=True) for part, each in zip(parts, sums, strict=True)]

    def largest(self, values: Tensor) -> Tensor:
        """Largest of each of the values (n,) that there are anywhere."""
        found = values.detach().to("cpu", copy=True)
        self._said(dist.all_reduce, found, dist.ReduceOp.MAX)
        return found.to(values.device)

    def gathered(self, rows: Tensor, counts: list[int] | None = None) -> Tensor:
        """Rows (m, ...) of all, those of rank 0 first; of `counts` rows each, if these are known."""
        mine = rows.detach().to("cpu").contiguous()
        if counts is None:
            counts = self.gathered(torch.tensor([len(mine)]), [1] * self.size).tolist()
        most = max(counts)
        if not most:
            return rows
        padded = mine.new_zeros(most, *mine.shape[1:])
        padded[: len(mine)] = mine
        with torch.inference_mode(False):  # PyTorch 2.4 fills them in a thread that does not have this mode
            found = [torch.empty(padded.shape, dtype=padded.dtype) for _ in range(self.size)]
        self._said(dist.all_gather, found, padded)
        return torch.cat([part[:n] for part, n in zip(found, counts, strict=True)]).to(rows.device)

    def swapped(self, rows: Tensor) -> Tensor:
        """Of the `rows` (size, ...) of each rank the one with this one's number, that of rank 0 first."""
        mine = rows.detach().to("cpu").contiguous()
        found = torch.empty_like(mine)
        self._said(dist.all_to_all_single, found, mine)
        return found.to(rows.device)

    def any(self, flag: bool) -> bool:
        """Whether it is so for any of the ranks."""
        return bool(self.largest(torch.tensor([float(flag)])).item())

    def objects(self, value: T) -> list[T]:
        """What each rank says, rank 0 first."""
        first, rest = _packed(value)
        beginnings = self.gathered(first[None], [1] * self.size)
        counts = [_bytes_left(each) for each in beginnings]
        ends = self.gathered(rest, counts).split(counts) if any(counts) else [rest] * self.size
        return [_unpacked(*each) for each in zip(beginnings, ends, strict=True)]

    def shared(self, value: T) -> T:
        """What rank 0 says."""
        first, rest = _packed(None if self.rank else value)
        self._said(dist.broadcast, first, 0)
        if left := _bytes_left(first):
            rest = rest.new_empty(left) if self.rank else rest
            self._said(dist.broadcast, rest, 0)
        return _unpacked(first, rest) if self.rank else value

    def failed(self, error: BaseException) -> BaseException:
        """The error that all ranks raise where one has met this one; ends the group."""
        if not isinstance(error, RankError):
            said = f"rank {self.rank} of {self.size}: {type(error).__name__}: {error}"
            error = RankError(self._first_error(said) or said)
        self.close()
        return error

    def close(self) -> None:
        """End the group: whoever waits for this process hears of it."""
        if self.group is not None:
            _end(self.group)
        self.group = None

    def _said(self, operation: Callable[..., Any], *arguments: Any) -> None:
        """One collective operation, which fails if a rank has failed."""
        self.messages += 1
        sent = arguments[-1] if operation in (dist.all_gather, dist.all_to_all_single) else arguments[0]
        if operation is dist.all_to_all_single:  # one's own row stays
            sent = sent[1:]
        listens = operation is dist.broadcast and self.rank > 0
        self.bytes += 0 if listens else sent.numel() * sent.element_size()
        try:
            operation(*arguments, group=self.group)
        except (RuntimeError, ValueError) as error:  # a connection that was closed, or a group that has ended
            raise RankError(self._first_error(None) or f"A rank has ended or cannot be reached: {error}") from None

    def _first_error(self, said: str | None) -> str | None:
        """What the first rank that failed has said, this one if it is the first; None where none said anything."""
        key = f"nmfnet/{self.fits}/error"
        try:
            store = dist.distributed_c10d._get_default_store()
            if said is not None:
                return store.compare_set(key, "", said).decode()
            store.wait([key], GRACE)
            return store.get(key).decode()
        except RuntimeError:  # the process that kept the store has ended
            return None


def _packed(value: Any) -> tuple[Tensor, Tensor]:
    """An object in bytes: how many there are and the first of them, (LENGTH + SHORT,), and the others."""
    said = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
    first = torch.zeros(LENGTH + SHORT, dtype=torch.uint8)
    first[:LENGTH].view(torch.int64)[0] = len(said)
    first[LENGTH : LENGTH + len(said)] = said[:SHORT]
    return first, said[SHORT:]


def _bytes_left(first: Tensor) -> int:
    """How many bytes of an object there are beside the first."""
    return max(0, int(first[:LENGTH].view(torch.int64)) - SHORT)


def _unpacked(first: Tensor, rest: Tensor) -> Any:
    """Inverse of :func:`_packed`."""
    n = int(first[:LENGTH].view(torch.int64))
    return pickle.loads(torch.cat([first[LENGTH:], rest])[:n].numpy().tobytes())


_RANKS: list[Ranks] = []  # the group of this process, which outlives a fit


def now() -> Holders:
    """Return who takes part in the current fit: the ranks of a group, or this process alone.

    Returns
    -------
    object
        With `rank`, the number of this process from 0, and `size`, the number of processes.  The ranks of a group also
        count the `messages` and `bytes` that they have sent.
    """
    return _NOW.get()


def refuse_differences(**values: Any) -> None:
    """Refuse values that are not the same on all ranks, naming the first."""
    if now() is local:
        return
    said = now().objects(values)
    for name in values:
        for rank, each in enumerate(said):
            if each[name] != said[0][name]:
                raise ValueError(
                    f"Ranks must have the same {name}; rank 0 has {said[0][name]!s:.200}, rank {rank} has "
                    f"{each[name]!s:.200}."
                )


@contextmanager
def alone() -> Iterator[None]:
    """Let fits in a ``with`` block be made by this process alone, although there is a process group.

    Examples
    --------
    >>> from nmfnet import NMFNetClassifier
    >>> from nmfnet.distributed import alone
    >>> with alone():
    ...     model = NMFNetClassifier((5,), max_iter=2, random_state=0).fit([[0.0], [1.0]] * 10, [0, 1] * 10)
    """
    token, before = _ALONE.set(True), _NOW.set(local)
    try:
        yield
    finally:
        _ALONE.reset(token)
        _NOW.reset(before)


@contextmanager
def together() -> Iterator[Holders]:
    """Run a ``with`` block on all ranks together: if one of them raises an error, all raise the same one.

    Without a process group the block runs in this process alone.

    Yields
    ------
    object
        What :func:`now` returns inside.

    Raises
    ------
    RankError
        If a rank raises an error, ends, or cannot be reached.
    """
    if now() is not local or _ALONE.get() or not _several():
        yield now()
        return
    ranks = _ranks()
    ranks.fits += 1
    token = _NOW.set(ranks)
    try:
        yield ranks
        ranks.any(False)  # all have come to the end
    except BaseException as error:
        failure = ranks.failed(error)
        if not isinstance(error, Exception):  # Ctrl-C, or the end of the process
            raise
        raise failure from (None if failure is error else error)
    finally:
        _NOW.reset(token)


def launched() -> bool:
    """Whether torchrun, or whatever sets its variables, has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def join() -> None:
    """Form a process group with the other processes that torchrun, or another launcher, has started.

    Nothing happens if the process was started alone, or is in a group already.  The group uses gloo.  Unlike
    ``torch.distributed.init_process_group``, it works with all versions of PyTorch after torchrun has restarted the
    processes.

    Examples
    --------
    >>> from nmfnet.distributed import join
    >>> join()
    """
    environment = os.environ
    if not launched() or dist.is_initialized():
        return
    atexit.register(leave)
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        dist.init_process_group("gloo")
        return
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    server = TCPStore(environment["MASTER_ADDR"], int(environment["MASTER_PORT"]), is_master=False)
    store = PrefixStore(f"nmfnet/attempt {environment.get('TORCHELASTIC_RESTART_COUNT', 0)}", server)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)


def leave() -> None:
    """End the group of :func:`join` before Python ends: a thread of it that is left aborts the process.

    Threads end with the last reference to their group.
    """
    for ranks in _RANKS:
        ranks.group = ranks.world = None
    if dist.is_initialized():
        _end()


def _end(group: Any = None) -> None:
    """End a group, or all.

    Its threads need Python's lock to let go of tensors, and PyTorch 2.4 holds that lock while it waits for their end.
    """
    time.sleep(RELEASE)
    dist.destroy_process_group(group)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _ranks() -> Ranks:
    """The group of this process, a new one where there is none or the last one has ended."""
    if not (_RANKS and _RANKS[0].group is not None and _RANKS[0].world is dist.group.WORLD):
        fits = _RANKS[0].fits if _RANKS else 0  # of a group that has ended: its errors are in the store
        _RANKS[:] = [Ranks()]
        _RANKS[0].fits = fits
    return _RANKS[0]
