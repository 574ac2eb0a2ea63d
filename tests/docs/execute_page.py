"""Execute a page as the documentation is built: ``python execute_page.py PAGE NOTEBOOK``.

A program of its own, because the libraries of notebooks warn of things that are no concern of tests,
where warnings are errors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from nbclient import NotebookClient


def execute(page: Path, notebook: Path) -> None:
    """Write the notebook with its outputs; an error in a cell is an error here."""
    read = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    resources = {"metadata": {"path": str(notebook.parent)}}
    client = NotebookClient(read, timeout=900, kernel_name="python3", resources=resources)
    nbformat.write(client.execute(), notebook)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]))
