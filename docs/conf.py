"""How Sphinx makes the documentation: make docs."""

import fastnn

project = "fastnn"
author = "fastnn contributors"
copyright = "2026, fastnn contributors"
version = release = fastnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpydoc sections tell
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
suppress_warnings = ["ref.python"]  # the word dtype in "str or dtype" is that of several classes' attributes


def escape_bars(app, what, name, obj, options, lines):
    """|x| is an absolute value in a formula, where reStructuredText would look for a substitution."""
    lines[:] = [line if line.lstrip().startswith((">>>", "...")) else line.replace("|", r"\|") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)


html_theme = "furo"
html_title = f"fastnn {release}"
html_show_sphinx = False
