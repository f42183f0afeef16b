"""Sphinx's settings: `make docs` builds the site, offline and with warnings as errors."""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from nmfnet import __version__  # noqa: E402

project, author, release = "nmfnet", "The nmfnet developers", __version__
copyright = "The nmfnet developers"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_templates", "gallery/*.ipynb", "gallery/*.py", "gallery/*.json", "gallery/*.zip"]
templates_path = ["_templates"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"  # names of methods alone fit into the sidebar
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = f"nmfnet {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": []}
mathjax_path = "mathjax-not-used.js"  # pages write formulas as text: nothing is loaded from the network

sphinx_gallery_conf = {
    "examples_dirs": str(DOCS.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "backreferences_dir": None,
    "min_reported_time": 5,
    "write_computation_times": False,  # its page would load scripts from the network
}
suppress_warnings = ["config.cache"]  # settings of sphinx-gallery hold what cannot be pickled

LINK = re.compile(r"\[([^\]]+)\]\(([^)#:\s]+?)\)")
EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/(\w+)\.py\)")
OTHERS_TITLE = re.compile(r":(?:ref|term):`([^<`]+?)\s*<[^`]+>`", re.DOTALL)
OTHERS_TERM = re.compile(r":(?:ref|term):`([^<`]+)`")
ATTRIBUTE = re.compile(r"(?<![\w`.\\])([A-Za-z]\w*)_(?=,)")  # "name_," is a link in reStructuredText


def links_of_the_site(app, name, source):
    """Lead links to examples to the gallery, and show those to folders of the source tree as text."""
    page = Path(app.env.doc2path(name)).parent

    def shown(match):
        return match[1] if (page / match[2]).is_dir() else match[0]

    if not (DOCS / "distributed.md").exists():
        source[0] = source[0].replace("../distributed\n", "")
    source[0] = LINK.sub(shown, EXAMPLE.sub(r"](/gallery/\1.rst)", source[0]))


def no_references_to_others(app, what, name, obj, options, lines):
    """Inherited docstrings of scikit-learn and PyTorch refer to their own guides, which are not here."""
    text = OTHERS_TERM.sub(r"\1", OTHERS_TITLE.sub(r"\1", "\n".join(lines)))
    lines[:] = ATTRIBUTE.sub(r"\1\\_", text).split("\n")


def setup(app):
    """Connect the above."""
    app.connect("source-read", links_of_the_site)
    app.connect("autodoc-process-docstring", no_references_to_others)
