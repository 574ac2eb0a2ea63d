"""What is peculiar to these pages: generated tables, formulas, names of settings, references."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from markdown_it import MarkdownIt
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)

TABLES = {
    "comparison/accounting": "Accounting",
    "comparison/standings": "Standings",
    "comparison/value_standings": "Standings by value gap",
    "comparison/value_samples": "Samples by value gap",
    "comparison/value_summary": "Exponents by value gap",
    "comparison/samples": "Samples",
    "comparison/summary": "Exponents, returns and times",
    "comparison/tuning": "Tuning",
}
"""Pages that ``theory-check compare`` writes as tables without a heading, and the heading of each."""


FINDINGS = "comparison/findings"
"""The page that it writes as a list, without a heading as well."""

SCROLLED = "pst-scrollable-table-container"
"""How the theme shows a table that is wider than the page."""


def head_generated(app: Sphinx, page: str, source: list[str]) -> None:
    """Give what is generated the heading that a page needs, and render tables here.

    Tables have tens of thousands of cells: as nodes of a document they would take as long as all other
    pages together.
    """
    if page == FINDINGS:
        source[0] = f"# Findings\n\n{source[0]}"
    if page in TABLES:
        # A blank line ends a block of HTML.
        html = MarkdownIt("commonmark").enable("table").render(source[0]).replace("\n\n", "\n")
        html = html.replace("<table>", f'<div class="{SCROLLED}"><table class="table">')
        html = html.replace("</table>", "</table></div>")
        source[0] = f"# {TABLES[page]}\n\n<div>\n{html}</div>\n"


def lead_to_documented(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    """Return a reference to the one documented object that has the last name of what is asked for.

    Docstrings and annotations name an object by the module that defines it, or by its name alone; here
    it is documented under the name that users import. A name that two objects have leads nowhere.
    """
    target = node["reftarget"]
    if node["refdomain"] != "py" or not (target.startswith("theory_check") or "." not in target):
        return None
    domain = environment.domains.python_domain
    last = target.rpartition(".")[2]
    named = {
        full
        for full, entry in domain.objects.items()
        if full.rpartition(".")[2] == last and not entry.aliased
    }
    if len(named) != 1:
        return None
    return domain.resolve_xref(
        environment, node["refdoc"], app.builder, "obj", named.pop(), node, shown
    )


def write_inline_formula(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line as MathML."""
    _write_formula(translator, node, as_block=False)


def write_formula(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own as MathML."""
    _write_formula(translator, node, as_block=True)


def _write_formula(translator: HTML5Translator, node: nodes.Element, *, as_block: bool) -> None:
    try:
        formula = tex2mathml(node.astext(), as_block=as_block)
        translator.body.append(f"<p>{formula}</p>" if as_block else formula)
    except MathError as error:
        LOGGER.warning("%s is no formula: %s", node.astext(), error, location=node)
    raise nodes.SkipNode


def shorten_settings(
    app: Sphinx,
    what: str,
    name: str,
    documented: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None] | None:
    """Show the annotations of settings by their names alone; they lead to what each of them refuses."""
    if signature is None:
        return None
    # Within another annotation autodoc writes out how it looked an alias up.
    written_out = re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", signature)
    return re.sub(r"(?<!~)\btheory_check\.settings\.(?=[A-Z])", "~\\g<0>", written_out), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what is above."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", shorten_settings)
    app.connect("source-read", head_generated)
    app.add_html_math_renderer("mathml", (write_inline_formula, None), (write_formula, None))
    app.connect("missing-reference", lead_to_documented)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
