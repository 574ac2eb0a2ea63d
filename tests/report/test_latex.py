"""Tables for LaTeX: read by a strict parser, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from theory_check.analysis.intervals import Interval
from theory_check.catalogue import Catalogue
from theory_check.report.latex import ESCAPES, escaped
from theory_check.report.tables import DisplayTable, Quantity

PROGRAM = next(filter(None, map(shutil.which, ("pdflatex", "tectonic"))), None)

ODD = "a_b & 50 % of $x^2$ {#} ~ \\ < > | ` -- --- ‖∇Φ‖² ≥ ε^−3 ± é Ł 中 “q” \n x"
"""Every character that LaTeX reads as something else, some that its fonts have not, and a line break."""

TABLE = DisplayTable(
    "odd",
    f"Of {ODD}",
    ("[who]", ODD, "cost"),
    [
        ("[0.1, 0.2]", "*", Quantity(Interval(1.5, 1.25, 2e7), 1.0, ("reached", "3/4"))),
        ("", "", Quantity(Interval(float("inf"), 1.0, float("inf")), 5.0)),
        (ODD, "(a)", Quantity(Interval(0.125, float("nan"), float("nan")))),
    ],
    (f"note with {ODD}", "two\nlines"),
)

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage{longtable}
\begin{document}
%s
\end{document}
"""

TOKEN = re.compile(r"\\begin\{(?P<begin>\w+)\}|\\end\{(?P<end>\w+)\}|(?P<command>\\(?:[a-zA-Z]+|.))|"
                   r"(?P<special>[{}&$#_^~%])|(?P<text>[^\\{}&$#_^~%]+)", re.DOTALL)  # fmt: skip
COMMANDS = {
    *(
        rf"\{name}"
        for name in [
            "begingroup",
            "endgroup",
            "tiny",
            "scriptsize",
            "caption",
            "toprule",
            "midrule",
        ]
    ),
    *(rf"\{name}" for name in ["bottomrule", "endhead", "ensuremath"]),
    r"\\",
}
COMMANDS |= {name for text in ESCAPES.values() for name in re.findall(r"\\(?:[a-zA-Z]+|.)", text)}


class NotLatexError(Exception):
    """What would not compile, or would not be shown as it was meant."""


def uncommented(text: str) -> str:
    return re.sub(r"(?<!\\)%[^\n]*\n?", "", text)


def tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise NotLatexError(f"unreadable at {text[at : at + 20]!r}")
        yield found
        at = found.end()


def rows_of(text: str) -> list[int]:
    """Return how many cells each row has; refuses what is not closed, not known or not escaped."""
    text = uncommented(text)
    for line in re.findall(r"\\(?:\\|toprule|midrule|endhead)\s*([\[*])", text):
        raise NotLatexError(f"{line} is read as an argument of what is before it")
    opened: list[str] = []
    cells, rows, mathematics = 1, [], -1
    for found in tokens(text):
        command, special = found["command"], found["special"]
        depth = len(opened)
        if found["begin"] or command == r"\begingroup":
            opened.append(found["begin"] or "group")
        elif found["end"] or command == r"\endgroup":
            if not opened or opened.pop() != (found["end"] or "group"):
                raise NotLatexError(f"{found[0]} closes what is not open")
        elif special == "{":
            opened.append("{")
        elif special == "}":
            if not opened or opened.pop() != "{":
                raise NotLatexError("} closes what is not open")
            mathematics = -1 if len(opened) <= mathematics else mathematics
        elif special == "&":
            cells += 1
        elif special == "^" and mathematics >= 0:
            continue
        elif special:
            raise NotLatexError(f"{special} is not escaped")
        elif command:
            if command not in COMMANDS:
                raise NotLatexError(f"{command} is not known")
            if command == r"\ensuremath":
                mathematics = depth
            if command == r"\\":
                rows.append(cells)
                cells = 1
        else:
            check_characters(found["text"])
    if opened:
        raise NotLatexError(f"{opened[-1]} is not closed")
    if cells > 1:
        raise NotLatexError("the last row has no end")
    return rows


def check_characters(text: str) -> None:
    for character in text:
        known = character.isascii() or "\u00c0" <= character <= "\u017f"
        if not known or character in "<>|`":
            raise NotLatexError(f"{character!r} is not shown as it is meant")
    if "--" in text:
        raise NotLatexError("two hyphens become a dash")


def structure(text: str) -> tuple[int, list[int]]:
    """Return the number of columns that are declared, and the cells of the rows."""
    (columns,) = re.findall(r"\\begin\{longtable\}\{(l+)\}", text)
    caption, *rows = rows_of(re.sub(r"(\\begin\{longtable\})\{l+\}", r"\1", text))
    assert caption == 1
    return len(columns), rows


def test_a_table_with_every_odd_character_has_its_columns() -> None:
    columns, rows = structure(TABLE.latex())
    assert columns == 3
    assert rows == [3] * 4  # the header, and three rows


def test_text_is_shown_as_it_is_meant() -> None:
    assert escaped("‖∇Φ‖² ≥ ε^−3") == (
        r"\ensuremath{\Vert}\ensuremath{\nabla}\ensuremath{\Phi}\ensuremath{\Vert}\ensuremath{^{2}} "
        r"\ensuremath{\ge} \ensuremath{\varepsilon}\textasciicircum{}\ensuremath{-}3"
    )
    assert escaped("--all ---") == "-{}-all -{}-{}-"
    assert escaped("é 中") == "é U+4E2D"


def test_what_the_package_says_needs_no_number_of_a_character() -> None:
    claims = Catalogue.shipped().claims.values()
    shown = {escaped(part) for claim in claims for part in (claim.statement, claim.source)}
    assert not [each for each in shown if re.search(r"U\+[0-9A-F]{4}", each)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (r"\begin{longtable}{ll} a & b \\", "not closed"),
        (r"\begingroup \end{longtable}", "not open"),
        ("a_b", "_ is not escaped"),
        (r"a \\ [0.5] & b \\", "read as an argument"),
        (r"\midrule" "\n*", "read as an argument"),
        ("a & b", "no end"),
        ("a } b", "not open"),
        ("ε", "not shown"),
        ("--all", "dash"),
        (r"\alhpa", "not known"),
    ],
)
def test_what_would_not_compile_is_seen(text: str, why: str) -> None:
    with pytest.raises(NotLatexError, match=re.escape(why)):
        rows_of(text)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="neither pdflatex nor tectonic is installed")
def test_it_compiles(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(DOCUMENT % TABLE.latex(), encoding="utf-8")
    assert PROGRAM is not None
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in PROGRAM else []
    done = subprocess.run(
        [PROGRAM, *options, "table.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000
