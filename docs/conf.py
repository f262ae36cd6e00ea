"""Settings of Sphinx: ``make docs`` builds the READMEs, the tutorials and the docstrings."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "vlsuite"
author = "the vlsuite authors"
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "docs/**.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data_pipelines/**.md",
    "vlsuite/**.md",
    "eval/*.md",
    "eval/studies/*.md",
    "eval/omnibench/*.md",
    "eval/xmai/*.md",
    "deepspeed_configs/*.md",
    "benchmarks/README.md",
    "tests/README.md",
]
exclude_patterns = [".venv", "runs", "build", "eval/reports"]

html_theme = "furo"
html_title = "vlsuite"
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Links to folders and licence files lead into the repository, which a page is not part of; shapes
# in annotations are no types; formulas in docstrings are plain text.
suppress_warnings = ["myst.xref_missing", "ref.python", "docutils"]
