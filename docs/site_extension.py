"""What is peculiar to these pages: generated tables, and references by the name of an object."""

from __future__ import annotations

from docutils import nodes
from markdown_it import MarkdownIt
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

TABLES = {
    "comparison/accounting": "Accounting",
    "comparison/samples": "Samples",
    "comparison/summary": "Exponents, returns and times",
    "comparison/tuning": "Tuning",
}
"""Pages that ``theory-check compare`` writes as tables without a heading, and the heading of each."""


def render_tables(app: Sphinx, page: str, source: list[str]) -> None:
    """Give generated tables the heading that a page needs, and render them here.

    They have tens of thousands of cells: as nodes of a document they would take as long as all other
    pages together, and a search would find each of their numbers.
    """
    if page in TABLES:
        # A blank line ends a block of HTML.
        html = MarkdownIt("commonmark").enable("table").render(source[0]).replace("\n\n", "\n")
        source[0] = f'# {TABLES[page]}\n\n<div class="generated-tables">\n{html}</div>\n'


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both."""
    app.connect("source-read", render_tables)
    app.connect("missing-reference", lead_to_documented)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
