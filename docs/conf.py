"""How the documentation is built: ``make docs``.

The pages under ``reference/`` are written anew at each build, from the package itself. Nothing is loaded from another
host, neither while building nor by the pages that come out.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from reference import write_reference

project = "segscope"
author = "The segscope authors"
copyright = author  # noqa: A001  # Sphinx's own name for it
version = release = installed_version("segscope")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"segscope {release}"
html_static_path = ["_static"]
html_css_files = ["segscope.css"]
html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for pages to read."""
    app.connect("config-inited", lambda app, _config: write_reference(Path(app.srcdir) / "reference"))
