"""How the site is built: ``make docs``. Nothing in it is loaded from the network when it is read."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
# Notebooks call `theory-check` as a reader would: the one of the Python that builds the site.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

project = "theory-check"
author = "theory-check contributors"
project_copyright = "2026, theory-check contributors"
release = version = version_of("theory-check")

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "site_extension"]
exclude_patterns = ["_build"]

# Every reference has to lead somewhere, but for those of annotations to what is not documented here.
nitpicky = True
LIBRARIES = "jaxtyping|matplotlib|numpy|pandas|pd|pyarrow|scipy|torch"
STANDARD = "abc|collections|os|pathlib|types|typing"
BARE = "ArrayLike|Axes|Bool|Float|Int|NDArray|Path|Sparse|Tensor|ndarray"
# Types in the signatures of public functions that nobody but the package makes.
INNER = (
    r"advice\.\w+|analysis\.comparison\.\w+|models\.\w+|oracles\.\w+\.\w+"
    r"|problems\.(moves|spec|\w+_tables)|runs\.\w+|solvers\.\w+"
)
nitpick_ignore_regex = [
    # The inventories of other projects would come from the network.
    (r"py:.*", rf"({LIBRARIES}|{STANDARD})\..*"),
    (r"py:class", rf"({BARE})(\[.*)?"),
    (r"py:class", rf"theory_check\.({INNER})\.[A-Z]\w*"),
    # What an annotation of a setting refuses with, and a tuple that autodoc cuts at its comma.
    (r"py:class", r"theory_check(\.\w+)*\.(require|_require)_\w+|ADVISED|tuple\[~.*"),
]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Tutorials are executed on every build, each in an empty folder; one that fails ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# Fields of settings are shown with the names of their annotations, which say what they refuse.
autodoc_type_aliases = {
    name: f"theory_check.settings.{name}"
    for name in (
        *("Accuracies", "Flag", "Fraction", "NonNegative", "Positive", "PositiveInteger"),
        *("PositiveShare", "Scale", "Seed", "Target"),
    )
}
autodoc_default_options = {"members": True, "show-inheritance": True}
numpydoc_show_class_members = False

# Browsers draw MathML themselves: MathJax would come from the network.
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "theory-check"
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "show_prev_next": True}
html_context = {"default_mode": "auto"}
# Beside pages without pages below them there would be nothing to navigate.
html_sidebars = {
    page: [] for page in ("get-started", "verdicts", "theory", "results", "performance", "limits")
}
html_show_sourcelink = False
# A summary below a search result is fetched, which browsers refuse to pages that are files.
html_show_search_summary = False
