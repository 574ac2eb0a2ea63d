"""Lines and plain tables as text: for a terminal, in Markdown, and what JSON can hold of numbers.

What is printed of files, records and errors is made visible here: nothing of it breaks a line or steers
a terminal.
"""

from __future__ import annotations

import math
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from theory_check.claims.base import CONTROLS, KIND_MEANING, Claim
from theory_check.errors import visible
from theory_check.report.screen import GAP, Row, natural_width, shown

SMALL_VERSION = "Small version of the experiments (--quick)."
REASON_WIDTH = 100

SOON = 1.0
"""Seconds of silence before a command says that it is at work."""


def joined(lines: Iterable[str]) -> str:
    """Return lines as a text for the terminal or a report, none of them broken or steering a terminal."""
    return "\n".join(visible(line) for line in lines)


def say(line: str) -> None:
    """Print a line about what happens to standard error."""
    print(visible(f"theory-check: {line}"), file=sys.stderr)


@contextmanager
def promised(line: str, wanted: bool = True) -> Iterator[None]:
    """Say what happens to somebody who waits for longer than :data:`SOON` within the block."""
    timer = threading.Timer(SOON, say, [line])
    timer.daemon = True
    if wanted:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def stamp(small: bool) -> str:
    """Return what is written on everything that comes from the small version, ``""`` elsewhere."""
    return SMALL_VERSION if small else ""


def filled(sentences: Iterable[str]) -> list[str]:
    """Return sentences wrapped for a terminal."""
    return [
        textwrap.fill(visible(line), REASON_WIDTH, subsequent_indent="  ") for line in sentences
    ]


def text_list(sentences: Sequence[str]) -> str:
    """Return sentences for a terminal, wrapped, a paragraph each."""
    return "\n".join(["", *filled(sentences)])


def markdown_list(sentences: Sequence[str]) -> str:
    """Return the same in Markdown."""
    return "".join(f"* {visible(line)}\n" for line in sentences)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines of columns of equal width, as wide as their longest cells."""
    widths = [natural_width(rows, column) for column in range(len(rows[0]) if rows else 0)]
    room = sum(widths) + GAP * len(widths)
    return shown([Row(row, widths) for row in rows], width=room, colours=False).splitlines()


def piped(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows, a header first, as lines of a Markdown table."""
    header, *others = rows
    return [
        "| " + " | ".join(visible(cell).replace("|", "\\|") for cell in row) + " |"
        for row in (header, ("---",) * len(header), *others)
    ]


def finite_numbers(value: object) -> object:
    """Return a record as JSON can hold it: numbers that are not finite become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite_numbers(entry) for entry in value]
    return value


def name_of(claim: Claim) -> str:
    """Return how a claim is called wherever it is shown: its id, and the tag of its provenance."""
    return f"{claim.id} [{claim.provenance}]"


def kind_of(claim: Claim) -> str:
    """Return the kind of a claim in words, and that it is a negative control where it is one."""
    return claim.kind + (", negative control" if claim.expected in CONTROLS else "")


def counted(claims: Sequence[Claim]) -> str:
    """Return how many claims there are of each kind, in the order of the kinds' meanings."""
    kinds = ["negative control" if claim.expected in CONTROLS else claim.kind for claim in claims]
    numbers = [
        f"{kinds.count(kind)} {kind}"
        for kind in (*KIND_MEANING, "negative control")
        if kind in kinds
    ]
    return f"{len(claims)} claim{'' if len(claims) == 1 else 's'} ({', '.join(numbers)})"
