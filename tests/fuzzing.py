"""Damaged and hostile model files, and what loading one may do: a valid model, or ModelFileError, and nothing else.

    PYTHONPATH=src python tests/fuzzing.py 100000 [seed]                  structured mutations
    PYTHONPATH=src python tests/fuzzing.py --atheris -runs=100000         guided by coverage (pip install atheris)

Files are mutated as what they are: the table of safetensors, the JSON header in it, the numbers behind.  The test
suite does some thousands, tests/test_hostile_files.py.
"""

from __future__ import annotations

import copy
import gc
import json
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

import nmfnet
from nmfnet import DivergenceError, ModelFileError, NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv

SLOWEST = 1.0  # seconds of the processor
ASLEEP = 60  # seconds in which a load may wait for something
MOST, FREE = 10, 2**20  # bytes of memory for a byte of a file, and for nothing
NUMBERS = [0, 1, -1, 2, 5, 255, 2**31, 2**48, 2**63, 10**30, -(2**40), 0.5, 1e308, -1e-300]
TEXTS = [
    "", "x", "é", "\ud800", "a" * 5000, "../../etc/passwd", "/dev/zero", "os.system", "__class__", "__reduce__", "nan",
    "<U999999999", "|O", "<f4", "<M8[s]", "F16", "U8", "I64", "weight.1", "weight.999", "inputs.shift", "relu", "tanh",
    "Relaxed", "Pinv", "NMFNetRegressor", "softmax", "auto", "cuda", "nmfnet", "__metadata__", "settings", "callbacks",
]  # fmt: skip
SHAPES = [
    None,
    True,
    [],
    {},
    [[]],
    [1] * 3000,
    {"settings": "Pinv"},
    {"settings": "os"},
    {"a": {"b": [1]}},
    [2**62, 2],
]
EVENTS = (
    "exec", "compile", "import", "os.system", "os.exec", "subprocess.Popen", "pickle.find_class", "socket.connect",
)  # fmt: skip


def base_files(folder: Path) -> list[bytes]:
    """Whole model files of many kinds, those of earlier formats among them."""
    X = np.random.default_rng(0).random((40, 5))
    y, labels = np.arange(40) % 3, np.column_stack([np.arange(40) % 2, np.arange(40) % 3 == 0]).astype(int)
    models = [
        NMFNetClassifier((3,)).partial_fit(X, y, classes=[0, 1, 2]),
        NMFNetRegressor((3,)).partial_fit(csr_array(X.astype(np.float32)), X[:, :2]),
        NMFNetClassifier((4, 3), ["relu", "tanh"], max_iter=2).fit(X, np.array(["low", "high", "é"])[y]),
        NMFNetClassifier((3,), solver=Pinv(n_w=2), pretrain=NMFPretraining(n_ae=1), max_iter=1).fit(X, labels),
        NMFNetRegressor((3,), max_iter=1, fit_intercept=False).fit(X.astype(np.float32), X[:, :2]),
        NMFNetRegressor((), max_iter=1).fit(X, X[:, 0]),
    ]
    files = [path.read_bytes() for path in sorted((Path(__file__).parent / "models").iterdir())]
    for model in models:
        model.save(folder / "model")
        files.append((folder / "model").read_bytes())
    return files


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A file with one to four mutations."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        try:
            size = int.from_bytes(data[:8], "little")
            table, body = json.loads(data[8 : 8 + size]), data[8 + size :]
            data = rng.choice([in_table, in_header, in_header, in_text, in_numbers, in_bytes])(rng, table, body)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # damaged already
            data = in_bytes(rng, None, data)
    return data


def joined(text: str, body: bytes, size: int | None = None) -> bytes:
    table = text.encode("utf-8", "surrogatepass")
    return (len(table) if size is None else size).to_bytes(8, "little") + table + body


def any_value(rng: random.Random) -> object:
    return copy.deepcopy(rng.choice([rng.choice(NUMBERS), rng.choice(TEXTS), rng.choice(SHAPES), float("nan")]))


def change_somewhere(rng: random.Random, tree: object) -> None:
    """Replace, remove, add or exchange a value of a JSON tree."""
    slots = [(tree, key) for key in (tree if isinstance(tree, dict) else range(len(tree)))]
    for node, key in slots:
        value = node[key]
        if isinstance(value, (dict, list)):
            slots += [(value, each) for each in (value if isinstance(value, dict) else range(len(value)))]
    node, key = rng.choice(slots)
    match rng.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(TEXTS)] = any_value(rng)
        case 2 if isinstance(node, dict):
            node[rng.choice(TEXTS)] = node.pop(key)
        case 3:
            other, there = rng.choice(slots)
            node[key] = copy.deepcopy(other[there])
        case 4 if isinstance(node[key], (int, float)):
            node[key] = rng.choice([node[key] + 1, node[key] - 1, -node[key], node[key] * 2**20])
        case _:
            node[key] = any_value(rng)


def in_table(rng: random.Random, table: dict, body: bytes) -> bytes:
    """Shapes, offsets, dtypes, names of tensors."""
    names = [name for name in table if name != "__metadata__"]
    match rng.randrange(4):
        case 0:  # overlapping, or out of order
            table[rng.choice(names)]["data_offsets"] = table[rng.choice(names)]["data_offsets"]
        case 1:
            table[rng.choice(names)]["shape"] = [rng.choice(NUMBERS) for _ in range(rng.randrange(5))]
        case 2:
            table[rng.choice(TEXTS)] = {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [len(body), len(body)]}
        case _:
            change_somewhere(rng, table)
    return joined(json.dumps(table), body)


def in_header(rng: random.Random, table: dict, body: bytes) -> bytes:
    header = json.loads(table["__metadata__"]["nmfnet"])
    change_somewhere(rng, header)
    table["__metadata__"]["nmfnet"] = json.dumps(header)
    return joined(json.dumps(table), body)


def in_text(rng: random.Random, table: dict, body: bytes) -> bytes:
    """What no tree of Python can say: names that occur twice, deep nesting, unfinished text, many tiny values."""
    inner = rng.random() < 0.5
    text = table["__metadata__"]["nmfnet"] if inner else json.dumps(table)
    match rng.randrange(4):
        case 0:
            name = rng.choice(list(re.finditer(r'"[\w.]+": ', text)))
            text = f"{text[: name.start()]}{name.group()}{rng.choice(['1', 'null', '[]'])}, {text[name.start() :]}"
        case 1:
            at = rng.randrange(len(text))
            text = (
                text[:at] + rng.choice(["[", '{"a":', "\\", '"', "NaN", "1e999", "[" * 3000, "9" * 5000]) + text[at:]
            )
        case 2:
            text = text[: rng.randrange(len(text))]
        case _:
            text = text.replace("[", f"[{many(rng)},", 1)
    if inner:
        table["__metadata__"]["nmfnet"] = text
        text = json.dumps(table)
    return joined(
        text, body, rng.choice([None, None, None, 0, 2**40, 2**64 - 1, max(0, len(text) - 1), len(text) + 9])
    )


def many(rng: random.Random) -> str:
    """Values that take more memory than text."""
    n = rng.choice([10, 10, 1000, 1000, 1000, 5000, 5000, 30_000])
    match rng.randrange(3):
        case 0:
            return ",".join([rng.choice(["[]", "{}", '""', '"ab"', "9e9", "0", '{"a":1}', "[0]", '["ab"]'])] * n)
        case 1:
            return f"{{{','.join(f'{chr(34)}{i:x}{chr(34)}:0' for i in range(n))}}}"
        case _:
            return ",".join(f'{{"{i:x}":0,"{i:x}a":"ab","{i:x}b":[]}}' for i in range(n))


def in_numbers(rng: random.Random, table: dict, body: bytes) -> bytes:
    """Weights that are not finite, or too few or too many."""
    numbers = bytearray(body)
    at = rng.randrange(len(numbers) // 8) * 8
    special = rng.choice([float("nan"), float("inf"), -float("inf"), 0.0, 1e300])
    numbers[at : at + 8] = struct.pack(rng.choice(["<d", ">d"]), special)
    part = rng.choice([slice(None), slice(None), slice(rng.randrange(len(numbers))), slice(8, None)])
    return joined(json.dumps(table), bytes(numbers[part]))


def in_bytes(rng: random.Random, table: object, body: bytes) -> bytes:
    """Bytes changed, cut out or put in anywhere."""
    data = bytearray(body if table is None else joined(json.dumps(table), body))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                del data[at : at + rng.choice([1, 7, 100])]
            case 1:
                data[at:at] = rng.choice([rng.randbytes(8), b"\x80\x04N.", b"PK\x03\x04", bytes(data[:50])])
            case _:
                data[at : at + 1] = rng.randbytes(1)
    return bytes(data)


class Asleep(BaseException):
    """A load that waits for something; `nmfnet.load` turns exceptions of other kinds into its own."""


class Watch:
    """Notes what a load must not do: run code, import, open other files or connections, wait."""

    def __init__(self, path: Path) -> None:
        self.path, self.on, self.seen, self.waited = str(path), False, [], 0
        self.before: Any = None
        sys.addaudithook(self._hook)

    def __enter__(self) -> None:
        self.before = signal.signal(signal.SIGALRM, self._tick)
        self.seen, self.waited, self.on = [], 0, True
        signal.setitimer(signal.ITIMER_REAL, 1, 1)

    def __exit__(self, *error: object) -> None:
        self.on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.on and (event.startswith(EVENTS) or (event == "open" and str(arguments[0]) != self.path)):
            self.seen.append((event, arguments))

    def _tick(self, number: int, frame: object) -> None:
        """Count the seconds; all those together in which the whole process is stopped are one."""
        self.waited += 1
        if self.on and self.waited >= ASLEEP:
            raise Asleep(f"no end after {ASLEEP} s")


def check(path: Path, data: bytes, watch: Watch, memory: bool = True) -> str:
    """Load a file, and return what came of it; an AssertionError, or another error, is a find."""
    path.write_bytes(data)
    model, outcome, seconds, peak = loaded(path, watch, memory)
    for _ in range(2):  # the processor's time has a collection of garbage in it, too; a slow file is slow again
        if seconds >= SLOWEST:
            model, outcome, seconds, _ = loaded(path, watch, False)
    assert seconds < SLOWEST, f"{seconds} s"
    assert peak <= MOST * len(data) + FREE, f"{peak} bytes of memory for a file of {len(data)}"
    if model is not None:
        assert all(bool(W.isfinite().all()) for W in model.network_.weights)
        if model.n_features_in_ == 5:
            with np.errstate(all="ignore"):  # weights of 1e300 are weights
                assert len(model.network_.predict(torch.zeros(3, 5, dtype=model.network_.dtype))) == 3
                gone_on(model)
    return outcome


def gone_on(model: Any) -> None:
    """The next `partial_fit`, from whatever stream the file has: it works, or says what is wrong."""
    if model._stream_ is None:
        return
    y = model.classes_[np.arange(70) % len(model.classes_)] if hasattr(model, "classes_") else np.ones((70, 2))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(np.random.default_rng(0).random((70, 5)), y)
    except (ValueError, DivergenceError) as error:
        assert str(error)
    else:
        assert all(bool(W.isfinite().all()) for W in model.network_.weights)


def loaded(path: Path, watch: Watch, memory: bool) -> tuple[Any, str, float, int]:
    """The model, if there is one, what came of it, the processor's seconds, and the peak of memory, if traced."""
    if memory:
        tracemalloc.start()
    start = time.process_time()
    try:
        with watch:
            model, outcome = nmfnet.load(path), "model"
    except ModelFileError as error:
        model, outcome = None, "error"
        assert len(str(error)) < 1000
    finally:
        seconds = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        tracemalloc.stop()
    assert not watch.seen, watch.seen
    return model, outcome, seconds, peak


def main(n: int, seed: int) -> None:
    rng, outcomes = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        files, path = base_files(Path(folder)), Path(folder, "fuzzed")
        watch = Watch(path)
        for data in files:
            path.write_bytes(data)
            nmfnet.load(path)  # imports and reads what is imported and read late
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        for number in range(n):
            data = mutated(rng, rng.choice(files))
            try:
                outcomes[check(path, data, watch, memory=number % 10 == 0)] += 1
            except BaseException:
                kept = Path(f"fuzzed-{seed}-{number}")
                kept.write_bytes(data)
                print(f"found: {kept}", flush=True)
                raise
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{n} files, seed {seed}: {dict(outcomes)}, {time.perf_counter() - start:.0f} s, peak + {grown:.0f} MiB")


def guided(arguments: list[str]) -> None:
    """The same mutations, those kept that reach new code of the package or of json."""
    import atheris

    folder = Path(tempfile.mkdtemp())
    files, path, corpus = base_files(folder), folder / "fuzzed", folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(files):
        (corpus / str(number)).write_bytes(data)
        nmfnet.load(corpus / str(number))  # reads what is read late
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and (function.__module__ or "").startswith(("nmfnet", "json")):
            atheris.instrument_func(function)
    watch = Watch(path)

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        return mutated(random.Random(seed), data or files[0])[:most]

    atheris.Setup([*arguments, str(corpus)], lambda data: check(path, data, watch, False), custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--atheris":
        guided([sys.argv[0], *sys.argv[2:]])
    else:
        main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
