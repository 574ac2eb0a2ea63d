"""Text for a terminal, at its width: tables, wrapped text and colours, by ``rich``.

What comes from files, records and errors is made visible and is never read as markup. Colours are for
terminals alone, and not where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from theory_check.errors import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

# Nothing of rich is loaded before something is shown: help and listings come at once.

NARROWEST, USUAL = 60, 80
GAP = 2
"""Columns between two cells."""

GOOD, DOUBTFUL, BAD, QUIET, STRONG = "green", "yellow", "bold red", "dim", "bold"


def width_of_terminal() -> int:
    """Return the columns of the terminal, ``COLUMNS`` where that is set, 80 where there is none."""
    return max(shutil.get_terminal_size((USUAL, 24)).columns, NARROWEST)


def has_colours() -> bool:
    """Return whether standard output is a terminal whose user has not declined colours."""
    declined = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not declined


@dataclass(frozen=True)
class Styled:
    """Text in a style of ``rich``, such as :data:`BAD`."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Text that is wrapped, all of its lines indented; at most ``most`` lines where that is given."""

    text: str
    indent: int = 0
    style: str = ""
    most: int | None = None


@dataclass(frozen=True)
class Row:
    """A line of cells, each wrapped in its column.

    Attributes
    ----------
    cells
        Of the columns.
    widths
        Of the columns; None for what is left of the screen.
    indent
        Before the first.
    most
        Lines that a cell has at most, where that is given.
    """

    cells: Sequence[str | Styled]
    widths: Sequence[int | None]
    indent: int = 0
    most: int | None = None


Part = Paragraph | Row | Literal[""]
"""What is shown below what: ``""`` is an empty line."""


def shown(parts: Iterable[Part], *, width: int | None = None, colours: bool | None = None) -> str:
    """Return parts as lines for a terminal.

    Parameters
    ----------
    parts
        In their order.
    width
        Columns; those of the terminal when absent.
    colours
        Whether styles are written; as :func:`has_colours` says when absent.
    """
    from rich.console import Console

    width = width_of_terminal() if width is None else width
    colours = has_colours() if colours is None else colours
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system="standard" if colours else None,
        force_terminal=colours,
        # What the environment says of colours is decided above.
        no_color=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        for part in parts:
            console.print(_renderable(part, width), soft_wrap=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _renderable(part: Part, width: int) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    match part:
        case "":
            return Text("")
        case Paragraph(text, indent, style, most):
            return Padding(
                Text(_cut(visible(text), width - indent, most), style), (0, 0, 0, indent)
            )
        case Row(cells, widths, indent, most):
            grid = Table.grid(padding=(0, GAP, 0, 0))
            taken = sum(column for column in widths if column is not None)
            rest = max(width - indent - taken - GAP * (len(widths) - 1), 1)
            columns = [rest if column is None else column for column in widths]
            for column in columns:
                grid.add_column(width=column, overflow="fold")
            styled = [cell if isinstance(cell, Styled) else Styled(cell) for cell in cells]
            grid.add_row(
                *(
                    Text(_cut(visible(each.text), column, most), each.style)
                    for each, column in zip(styled, columns, strict=True)
                )
            )
            return Padding(grid, (0, 0, 0, indent))


def _cut(text: str, width: int, most: int | None) -> str:
    """Return text that takes at most so many lines of a width."""
    if most is None:
        return text
    lines = textwrap.wrap(text, width, max_lines=most, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines)


def natural_width(rows: Iterable[Sequence[str]], column: int) -> int:
    """Return how wide a column of some rows is where nothing is wrapped."""
    from rich.cells import cell_len

    return max((cell_len(visible(row[column])) for row in rows), default=0)
