"""A table of numbers with intervals, for a terminal and as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from theory_check.analysis.intervals import Interval, number
from theory_check.report.latex import comment_of, escaped, row_of
from theory_check.report.text import aligned, joined, piped

WIDE = 10
"""Columns beyond which LaTeX sets a table in its smallest size; it then needs a landscape page."""


@dataclass(frozen=True)
class Quantity:
    """A number of a table, with what belongs to it.

    Attributes
    ----------
    found
        The number with its interval; ends that are NaN are not shown.
    spent
        What was spent by runs that failed: an infinite number is shown as larger than this.
    remark
        Name and text of what is put after it in parentheses, and in a column of its own in CSV.
    """

    found: Interval
    spent: float = math.nan
    remark: tuple[str, str] | None = None

    def __str__(self) -> str:
        shown = self.found.text(self._end)
        return shown if self.remark is None else f"{shown} ({self.remark[1]})"

    def _end(self, value: float) -> str:
        return f">{number(self.spent)}" if math.isinf(value) else number(value)

    def columns(self, name: str) -> dict[str, str]:
        """Return what stands in the columns of a CSV file.

        Nothing for a number that is not known, and ``inf`` for a median that is not reached, so that
        columns of numbers hold nothing else.
        """
        numbers = {
            name: self.found.value,
            f"{name} low": self.found.low,
            f"{name} high": self.found.high,
            f"{name} spent": self.spent,
        }
        columns = {key: number(value) for key, value in numbers.items() if not math.isnan(value)}
        if self.remark is not None:
            columns[f"{name} {self.remark[0]}"] = self.remark[1]
        return columns


Entry = str | Quantity


@dataclass(frozen=True)
class DisplayTable:
    """A table with its caption and the lines below it.

    Attributes
    ----------
    name
        Stem of its files.
    caption
        One sentence.
    header, rows
        Equally long.
    notes
        Explanations.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[Entry, ...]]
    notes: Sequence[str] = field(default_factory=tuple)

    def _texts(self) -> list[tuple[str, ...]]:
        return [self.header, *(tuple(map(str, row)) for row in self.rows)]

    def text(self) -> str:
        """Return it for a terminal."""
        return joined([self.caption, "", *aligned(self._texts()), "", *self.notes, ""])

    def markdown(self) -> str:
        """Return it in Markdown."""
        notes = [f"* {note}" for note in self.notes]
        return joined([self.caption, "", *piped(self._texts()), "", *notes]) + "\n"

    def csv(self) -> str:
        """Return it as CSV: a number, the ends of its interval and its remark in their columns."""
        rows = [self._split(row) for row in self.rows]
        names: dict[str, None] = {}
        for title in self.header:
            own = [row[title] for row in rows]
            names |= dict.fromkeys([title, *(name for columns in own for name in columns)])
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: v for columns in row.values() for k, v in columns.items()})
        return buffer.getvalue()

    def _split(self, row: tuple[Entry, ...]) -> dict[str, dict[str, str]]:
        return {
            title: entry.columns(title) if isinstance(entry, Quantity) else {title: entry}
            for title, entry in zip(self.header, row, strict=True)
        }

    def latex(self) -> str:
        """Return it for LaTeX with the packages booktabs and longtable."""
        header, *rows = map(row_of, self._texts())
        size = r"\tiny" if len(self.header) > WIDE else r"\scriptsize"
        return joined(
            [
                "% needs the packages booktabs and longtable",
                rf"\begingroup{size}",
                rf"\begin{{longtable}}{{{'l' * len(self.header)}}}",
                rf"\caption{{{escaped(self.caption)}}} \\",
                r"\toprule",
                header,
                r"\midrule",
                r"\endhead",
                *rows,
                r"\bottomrule",
                r"\end{longtable}",
                r"\endgroup",
                *map(comment_of, self.notes),
                "",
            ]
        )
