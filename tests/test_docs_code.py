"""The code of the README and of the documentation runs.

The blocks of a page run one after the other, in an empty folder.  A comment in front of a block says what a reader has
at hand (``<!-- setup: X = ... -->``), or why the block is not run (``<!-- not run: ... -->``).
"""

import re
import shlex
from pathlib import Path

import pytest

from nmfnet import cli
from nmfnet.layers.activations import ACTIVATIONS

ROOT = Path(__file__).parent.parent
# "distributed" is of torchrun and clusters, and has tests of its own.
LEFT_OUT = ("distributed", "research", "results", "changelog", "contributing", "gallery", "api", "_build")
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.relative_to(ROOT / "docs").with_suffix("").parts[0] not in LEFT_OUT
    ),
]
BLOCK = re.compile(
    r"(?:<!-- (?P<kind>setup|not run): (?P<words>.*?) -->\s*)?^```(?P<language>python|sh)\n(?P<code>.*?)^```",
    re.M | re.S,
)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.fixture(autouse=True)
def registry():
    """What a page registers is taken out again."""
    before = dict(ACTIVATIONS)
    yield
    ACTIVATIONS.clear()
    ACTIVATIONS.update(before)


def run_shell(code):
    """Run the commands of nmfnet that a block holds; it has no others, unless it says why it is not run."""
    for line in code.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "nmfnet", f"{line!r} is not of nmfnet: say why it is not run"
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert not ended.value.code, line


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        if block["kind"] == "not run":
            continue
        if block["kind"] == "setup":
            exec(block["words"], names)
        if block["language"] == "sh":
            run_shell(block["code"])
            continue
        line = text.count("\n", 0, block.start("code"))
        code = compile("\n" * line + block["code"], str(page), "exec")
        exec(code, names)


def test_there_is_code():
    assert len(WITH_CODE) >= 12
