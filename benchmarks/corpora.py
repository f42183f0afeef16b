"""Texts with classes that a machine with Python and Debian already has; none is downloaded.

`docstrings` and `code` of seven Python packages, by package, where these are installed; `pieces`, all that their files
say, in pieces of 120 words; `library`, code of seven packages of Python's own library; `packages`, the one-line
descriptions of Debian's packages, by section; `manuals`, the beginnings of manual pages, by section.  Reading them
takes minutes, so they are kept in the user's folder for caches.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory
from platformdirs import user_cache_path
from sklearn.feature_extraction.text import TfidfVectorizer

PYTHON = ("torch", "sympy", "scipy", "pandas", "matplotlib", "sklearn", "networkx")
LIBRARY = ("asyncio", "email", "idlelib", "multiprocessing", "tkinter", "unittest", "xml")
SECTIONS = ("admin", "games", "graphics", "net", "science", "sound", "text")
MANUALS = "1234578"
WORDS, PIECE = 40, 120  # of a document, at most; of a piece
FILES = 200  # of a package, from which pieces come
Texts = Iterator[tuple[str, str]]


def functions(of: Callable[[Any], str], packages: Sequence[str] = PYTHON) -> Texts:
    """Texts of functions and classes of packages."""
    for package in packages:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for path in sorted(Path(spec.origin).parent.rglob("*.py")):
            if "test" in str(path.relative_to(Path(spec.origin).parent)):
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    yield of(node), package


def pieces() -> Texts:
    """Equally long parts of files."""
    for package in PYTHON:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        files = [path for path in sorted(folder.rglob("*.py")) if "test" not in str(path.relative_to(folder))]
        for path in files[:FILES]:
            words = path.read_text("utf-8").split()
            for start in range(0, len(words) - PIECE + 1, PIECE):
                yield " ".join(words[start : start + PIECE]), package


def docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The docstring."""
    return ast.get_docstring(node) or ""


def code(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The body of a function without its docstring."""
    if isinstance(node, ast.ClassDef):
        return ""
    return " ".join(ast.unparse(each) for each in node.body[ast.get_docstring(node) is not None :])


def packages() -> Texts:
    """Descriptions of Debian's packages."""
    try:
        listed = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    for record in listed.split("\n\n"):
        fields = dict(re.findall(r"^(Section|Description): (.*)$", record, re.MULTILINE))
        if fields.get("Section") in SECTIONS and "Description" in fields:
            yield fields["Description"], fields["Section"]


def manuals() -> Texts:
    """Manual pages without their marks."""
    for section in MANUALS:
        for path in sorted(Path(f"/usr/share/man/man{section}").glob("*.gz")):
            if not path.is_symlink():
                text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
                text = re.sub(r"^[.']\S+", "", text, flags=re.MULTILINE)
                yield re.sub(r"\\f.|\\-|\\\(..|\\\[[^]]*\]|\\.", " ", text), section


CORPORA: dict[str, Callable[[], Texts]] = {
    "docstrings": partial(functions, docstring),
    "code": partial(functions, code),
    "library": partial(functions, code, LIBRARY),
    "pieces": pieces,
    "packages": packages,
    "manuals": manuals,
}
SHORTEST = {
    "docstrings": 60,
    "code": 150,
    "library": 150,
    "pieces": 1,
    "packages": 1,
    "manuals": 400,
}  # letters of a text


@Memory(user_cache_path("nmfnet") / "texts", verbose=0).cache
def texts(name: str) -> dict[str, list[str]]:
    """All different texts of a corpus, by class."""
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for text, label in CORPORA[name]():
        if len(text) >= SHORTEST.get(name, 1) and text not in seen:
            seen.add(text)
            found.setdefault(label, []).append(text)
    return found


def half_of(text: str) -> int:
    """Which half of a corpus a text is in, 0 or 1, wherever and whenever it is asked."""
    return hashlib.md5(text.encode()).digest()[-1] % 2


def tfidf(
    name: str, n: int, test: int, seed: int, half: int | None = None, words: int | None = None
) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """TF-IDF and classes of n texts and of others, of one half of the corpus or of all of it.

    At most twice an equal share is of one class.  Fewer texts than n where there are not enough.  Of some `words` only
    the most frequent ones.  Pieces are vectorized by scikit-learn's defaults, others with the logarithms of counts.
    """
    rng, drawn = np.random.default_rng(1000 + seed), []
    by_class = texts(name)
    if half is not None:
        by_class = {label: [text for text in each if half_of(text) == half] for label, each in by_class.items()}
    for label, all_texts in by_class.items():
        most = 2 * ((n + test) // len(by_class) + 1)
        drawn += [(all_texts[i], label) for i in rng.permutation(len(all_texts))[:most]]
    chosen = [drawn[i] for i in rng.permutation(len(drawn))[: n + test]]
    most = PIECE if name == "pieces" else WORDS
    documents = [" ".join(text.split()[:most]) for text, _ in chosen]
    y = np.array([label for _, label in chosen])
    vectorizer = TfidfVectorizer(sublinear_tf=name != "pieces", max_features=words)
    n = len(documents) - test
    return vectorizer.fit_transform(documents[:n]), y[:n], vectorizer.transform(documents[n:]), y[n:]
