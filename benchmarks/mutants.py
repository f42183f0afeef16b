"""Mutation test: small errors are put into the code, one at a time, and the tests that run the line must fail.

    coverage run --source=src/nmfnet -m pytest                 its settings: `dynamic_context = test_function`
    python benchmarks/mutants.py .coverage --number 150 src/nmfnet/layers src/nmfnet/linalg

An error is another comparison or operator, another number, a condition turned round, or a statement left out.  Each is
made in a copy of the project.  The tests that ran its line are run there, first those that run least else, until one
fails.  What became of each is printed.  Works where processes can be forked.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis  # noqa: F401  # this and the rest are loaded once, for all children
import pytest
import scipy.stats  # noqa: F401
import sklearn.model_selection  # noqa: F401
import torch.distributed  # noqa: F401
from coverage import CoverageData

LEFT_OUT = {"annotation", "returns", "decorator_list", "type_params"}
ROOT = Path(__file__).resolve().parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """Replacement of a part of a file: lines and columns as `ast` counts them, in bytes."""

    path: Path
    start: tuple[int, int]
    end: tuple[int, int]
    new: str
    kind: str

    def __str__(self) -> str:
        lines = self.path.read_bytes().splitlines()[self.start[0] - 1 : self.end[0]]
        before, after = lines[0][: self.start[1]].lstrip(), lines[-1][self.end[1] :]
        lines[-1] = lines[-1][: self.end[1]]
        lines[0] = lines[0][self.start[1] :]
        old = b" ".join(map(bytes.strip, lines)).decode()
        line = f"{before.decode()}[{old} -> {self.new}]{after.decode()}"
        return f"{self.path.relative_to(ROOT)}:{self.start[0]}, {self.kind}: {line}"

    def source(self) -> str:
        """The whole file with the error."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        (first, a), (last, b) = self.start, self.end
        lines[first - 1 : last] = [lines[first - 1][:a] + self.new.encode() + lines[last - 1][b:]]
        return b"".join(lines).decode()


def mutants(path: Path) -> Iterator[Mutant]:
    """All errors of a file: none in annotations, in what is raised, or in texts."""
    todo: list[ast.AST] = [ast.parse(path.read_bytes())]
    while todo:
        node = todo.pop()
        for old, new, kind in _errors(node):
            start, end = (old.lineno, old.col_offset), (old.end_lineno or 0, old.end_col_offset or 0)
            yield Mutant(path, start, end, new, kind)
        checks = isinstance(node, ast.keyword) and node.arg == "strict"  # of zip
        if not (checks or isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert)):
            fields = (value for name, value in ast.iter_fields(node) if name not in LEFT_OUT)
            children = (child for value in fields for child in (value if isinstance(value, list) else [value]))
            todo += [child for child in children if isinstance(child, ast.AST)]


def _errors(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """The part that is replaced, what replaces it, and what kind of error that is."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        yield node, _with(node, ops=[SWAPS[type(node.ops[0])]()]), "comparison"
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        yield node, _with(node, op=SWAPS[type(node.op)]()), "operator"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node, repr(not node.value), "constant"
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield (
            node,
            repr(node.value * 2 if isinstance(node.value, float) and node.value else node.value + 1),
            "constant",
        )
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield node.test, f"(not ({ast.unparse(node.test)}))", "condition"
    elif isinstance(node, ast.stmt) and _can_be_left_out(node):
        yield node, "pass", "left out"


def _can_be_left_out(node: ast.stmt) -> bool:
    """Whether the rest would still run: no variable would be missing."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))


def _with(node: ast.expr, **fields: object) -> str:
    return f"({ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), **fields}))})"


def tests_of(coverage_file: Path) -> dict[tuple[str, int], list[str]]:
    """Tests that run a line, by file and line: those that run the fewest lines first."""
    data = CoverageData(str(coverage_file))
    data.read()
    found: dict[tuple[str, int], list[str]] = {}
    size: Counter[str] = Counter()
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            found[file, line] = [test for context in contexts if (test := _pytest_name(context))]
            size.update(found[file, line])
    return {key: sorted(tests, key=size.__getitem__) for key, tests in found.items()}


def _pytest_name(context: str) -> str | None:
    """tests/test_a.py::test_b of tests.test_a.test_b."""
    parts = context.split(".")
    for n in range(len(parts) - 1, 0, -1):
        if (ROOT / "/".join(parts[:n])).with_suffix(".py").exists():
            return "::".join(["/".join(parts[:n]) + ".py", *parts[n:]])
    return None


def run(copy: Path, mutant: Mutant, tests: list[str], seconds: float) -> str:
    """ "killed", "survived" or "timeout": the tests in a forked child, with the error in the copy of the project."""
    path = copy / mutant.path.relative_to(ROOT)
    path.write_text(mutant.source(), encoding="utf-8")
    child = os.fork()
    if child == 0:
        _be_pytest(copy, tests)
    try:
        return _outcome(child, time.monotonic() + seconds)
    finally:
        shutil.copy2(mutant.path, path)


def _be_pytest(copy: Path, tests: list[str]) -> None:
    os.setsid()
    os.chdir(copy)
    sys.path.insert(0, str(copy / "src"))
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.dont_write_bytecode = True
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))


def _outcome(child: int, deadline: float) -> str:
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def sample(
    paths: list[Path], tests: dict[tuple[str, int], list[str]], number: int, seed: int
) -> list[tuple[Mutant, list[str]]]:
    """Errors of lines that tests run, about as many of each file, with these tests."""
    draw, chosen = random.Random(seed), list[tuple[Mutant, list[str]]]()
    files = sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))
    for i, file in enumerate(files):
        tested = [(m, found) for m in mutants(file) if (found := tests.get((str(file), m.start[0])))]
        share = number * (i + 1) // len(files) - number * i // len(files)
        chosen += draw.sample(tested, min(share, len(tested)))
    draw.shuffle(chosen)  # so that a test that is stopped is of all files
    return chosen


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coverage", type=Path)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--number", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", type=int, default=20, help="so many for an error, and the file of the first")
    parser.add_argument("--seconds", type=float, default=120, help="of an error")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "project")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "results", "_build"))
        compileall.compile_dir(copy / "src", quiet=1)
        chosen = sample([path.resolve() for path in given.paths], tests_of(given.coverage), given.number, given.seed)
        for mutant, tests in chosen:
            outcome = run(copy, mutant, [*tests[: given.tests], tests[0].split("::")[0]], given.seconds)
            counts[outcome] += 1
            print(f"{outcome}: {mutant}", flush=True)
    print(", ".join(f"{n} {outcome}" for outcome, n in counts.items()))


if __name__ == "__main__":
    main()
