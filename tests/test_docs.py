"""Links of the documentation, and what its reference lists."""

import inspect
import re
from pathlib import Path

import pytest

import nmfnet

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_yes_of_ours_has_its_test():
    """In the table against others, the cell of ours is a link, or a no."""
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.partition("## Against others")[2].splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    for cells in rows[2:]:
        assert LINK.search(cells[1]) or cells[1].startswith("no"), cells[1]


def test_the_reference_has_every_public_name():
    """Of the package, and of its modules that people import from."""
    text = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([\w.]+)$", text, re.M)) | set(re.findall(r"autodata:: nmfnet\.(\w+)", text))
    modules = {name for name in nmfnet.__all__ if inspect.ismodule(getattr(nmfnet, name))}
    for module in ("callbacks", "plotting"):
        assert {f"{module}.{name}" for name in getattr(nmfnet, module).__all__} - {"callbacks.Callback"} <= listed
    assert set(nmfnet.__all__) - modules - {"__version__"} <= listed
