"""Say how far the tables of ``comparison/`` are from those that a store's comparison wrote.

python docs/compare_tables.py results

A row is what a table says of one problem, method and column, as an estimate with its interval. It moved
where neither interval contains the other estimate, and is missing where one table alone has it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from math import inf
from pathlib import Path

COMMITTED = Path(__file__).with_name("comparison")
TABLES = ("samples", "standings", "summary", "value_samples", "value_standings", "value_summary")
"""Those with intervals."""

KEYS = ("problem", "method")
ESTIMATE = re.compile(r"(\S+) \[(\S+), (\S+)\]")

Row = tuple[str, ...]
Estimate = tuple[float, float, float]


@dataclass(frozen=True)
class Difference:
    """Of how many rows which moved outside of each other's intervals, and which are missing."""

    rows: int
    moved: tuple[Row, ...]
    missing: tuple[Row, ...]

    @property
    def outside(self) -> int:
        """How many rows are not confirmed."""
        return len(self.moved) + len(self.missing)


def estimates(table: str) -> dict[Row, Estimate]:
    """Return estimate, low and high of every row of a table in Markdown."""
    lines = [_entries(line) for line in table.splitlines() if line.startswith("|")]
    if not lines:
        return {}
    header, _, *rows = lines
    found = {}
    for entries in rows:
        named = dict(zip(header, entries, strict=True))
        key = tuple(named[name] for name in KEYS if name in named)
        for column, entry in named.items():
            if match := ESTIMATE.match(entry):
                value, low, high = map(_number, match.groups())
                found[*key, column] = value, low, high
    return found


def difference(committed: str, regenerated: str) -> Difference:
    """Compare two tables in Markdown."""
    first, second = estimates(committed), estimates(regenerated)
    moved = [
        row
        for row in first
        if row in second
        and not (_within(first[row], second[row]) or _within(second[row], first[row]))
    ]
    missing = [row for row in {**first, **second} if row not in first or row not in second]
    return Difference(len({**first, **second}), tuple(moved), tuple(missing))


def _entries(line: str) -> list[str]:
    return [entry.strip() for entry in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _number(text: str) -> float:
    """Return a number; what is not reached is shown as larger than what was spent."""
    return inf if text.startswith(">") else float(text)


def _within(one: Estimate, other: Estimate) -> bool:
    return other[1] <= one[0] <= other[2]


def main(store: str) -> None:
    """Print of each table how many rows are not confirmed, and which."""
    for name in TABLES:
        committed, regenerated = (
            (folder / f"{name}.md").read_text(encoding="utf-8")
            for folder in (COMMITTED, Path(store) / "comparison")
        )
        found = difference(committed, regenerated)
        print(f"{name}: {found.outside} of {found.rows} rows outside each other's intervals")
        for word, rows in (("moved", found.moved), ("missing", found.missing)):
            for row in rows:
                print(f"  {word}: {', '.join(row)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
