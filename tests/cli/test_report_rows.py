"""Rows of bounds and of shares, and lists of sentences, in the terminal and in Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from theory_check.analysis.bound_verdict import TermNumbers
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents, Numbers, RateVerdict, Status
from theory_check.analysis.replicate_verdicts import KeptShare
from theory_check.analysis.verdict import Verdict
from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate
from theory_check.report import verdicts
from theory_check.report.text import REASON_WIDTH, markdown_list, text_list
from theory_check.report.verdict_rows import OPEN_MEANING
from theory_check.studies.verification import Judgement

FILE = Path("experiments/planted.toml")
CLAIM = Claim("bound", "It holds.", "here", "D", "measured", "Yes.", (), "planted", ())
HEADER = "| claim | status | problem | rate | measured, 95 % interval | predicted | interval over |"

SHARES = {
    "optimisation": Interval(0.6, 0.59, 0.61),
    "bias": Interval(0.3, 0.29, 0.31),
    "sampling": Interval(0.1, 0.08, 0.12),
    "inner": Interval(0.0, 0.0, 0.004),
}
STATED = TermNumbers({"optimisation 1/T": 1.0, "sampling 1/sigma": 0.0, "inner 1/sigma": 2.0}, 0.9)
UNSHARED = replace(
    STATED,
    explained=0.9986,
    exponents={
        "optimisation 1/T": Interval(1.002, 0.999, 1.005),
        "sampling 1/sigma": Interval(-0.01, -0.02, 0.01),
    },
    constants={
        "optimisation": Interval(0.5, 0.49, 0.51),
        "bias": Interval(0.0213, 0.021, 0.0216),
        "sampling": Interval(4.0, 3.9, 4.1),
        "inner": Interval(0.0, 0.0, 1.25e-6),
    },
)
FITTED = replace(UNSHARED, shares=SHARES)


def judgement(numbers: Numbers, status: Status = "tight", **about: object) -> Judgement:
    rate = RateVerdict("rate", "bandit", status, "", numbers, **about)  # type: ignore[arg-type]
    return Judgement(CLAIM, Verdict(CLAIM, status, "fine", (rate,)), "fine", FILE)


def cells(judged: Judgement) -> list[list[str]]:
    """Return status, problem, name, measured and predicted of each line below the claim's."""
    lines = verdicts.markdown_table([judged]).splitlines()
    assert lines[2] == HEADER
    body = lines[5 : lines.index("", 5)]
    return [[cell.rstrip() for cell in line[2:-2].split(" | ")][1:6] for line in body]


def told(judged: Judgement, width: int = 200) -> list[str]:
    """Return the lines on the rates of a claim, of what ``--verbose`` shows."""
    lines = verdicts.text_table([judged], verbose=True, width=width).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    It holds."))
    last = next(number for number, line in enumerate(lines) if "come out otherwise" in line)
    return lines[first + 1 : last]


BOUND = [
    ["tight", "bandit", "rate", "R² 0.999", ">= 0.9"],
    [
        *("", "", "  optimisation 1/T"),
        "1.002 [0.999, 1.005] squared, 0.501 [0.499, 0.502] norm",
        "1 squared, 0.5 norm",
    ],
    [
        *("", "", "  sampling 1/sigma"),
        "-0.010 [-0.020, 0.010] squared, -0.005 [-0.010, 0.005] norm",
        "0 squared, 0 norm",
    ],
    [
        *("", "", "  inner 1/sigma"),
        "not identified (mean share at most 0.4 %)",
        "2 squared, 1 norm",
    ],
    ["", "", "  a", "0.5 [0.49, 0.51], mean share 60.0 [59.0, 61.0] %", ""],
    ["", "", "  b", "0.0213 [0.021, 0.0216], mean share 30.0 [29.0, 31.0] %", ""],
    ["", "", "  c", "4 [3.9, 4.1], mean share 10.0 [8.0, 12.0] %", ""],
    [
        *("", "", "  d rho^K at the fewest K"),
        "0 [0, 1.25e-06], mean share 0.0 [0.0, 0.4] %",
        "",
    ],
]


def test_a_bound_has_a_line_for_each_number() -> None:
    judged = judgement(FITTED)
    assert cells(judged) == BOUND
    assert told(judged) == [
        "    bandit, rate: tight",
        "        measured R² 0.999; predicted >= 0.9",
        *(
            f"        {name.strip()}: measured {measured}"
            + (f"; predicted {predicted}" if predicted else "")
            for _, _, name, measured, predicted in BOUND[1:]
        ),
    ]


def test_without_shares_the_exponents_are_still_shown() -> None:
    rows = cells(judgement(UNSHARED))
    assert rows[3][3] == "not identified"
    assert rows[4] == ["", "", "  a", "0.5 [0.49, 0.51]", ""]


def test_a_bound_that_was_not_fitted_shows_what_is_predicted() -> None:
    rows = cells(judgement(STATED))
    assert rows[0] == ["tight", "bandit", "rate", "-", ">= 0.9"]
    assert [row[3] for row in rows[1:]] == ["-"] * 3
    assert [row[4] for row in rows[1:]] == [row[4] for row in BOUND[1:4]]


def test_a_share_has_its_interval_and_what_is_needed() -> None:
    kept = KeptShare(">= 0.875", "0.5 <= value <= 2", Interval(0.875, 0.6164, 0.98449))
    judged = judgement(kept, status="holds")
    assert cells(judged) == [["holds", "bandit", "rate", "0.875 [0.616, 0.984]", ">= 0.875"]]


def test_an_exponent_is_shown_in_both_units_where_there_are_two() -> None:
    """An exponent of 2 for the squared norm is 1 for the norm; a value has one exponent alone."""
    found = Interval(2.0, 1.9, 2.1)
    (row,) = cells(judgement(Exponents(2.0, found, units=(0.5, 1.0))))
    assert row[3] == "2.000 [1.900, 2.100] squared, 1.000 [0.950, 1.050] norm"
    assert row[4] == "2 squared, 1 norm"
    (row,) = cells(judgement(Exponents(2.0, found)))
    assert row[3:] == ["2.000 [1.900, 2.100]", "2"]


def test_an_open_statement_says_that_it_fails_nothing() -> None:
    closed = judgement(FITTED)
    statement = Judgement(
        replace(CLAIM, expected="open", kind="open"), closed.verdict, "fine", FILE
    )
    assert "bound (open): fine" in verdicts.markdown_table([statement])

    def verbose(judged: list[Judgement]) -> str:
        return verdicts.text_table(judged, verbose=True)

    for write in (verbose, verdicts.markdown_table):
        assert OPEN_MEANING in write([closed, statement])
        assert "(open)" not in write([closed])


def test_what_the_interval_speaks_about_stands_beside_it_once() -> None:
    """Beside the first number of a rate, with the spreads that were found."""
    population = "20 random garnet instances (states 3), 2 random starts each"
    spread = {"between instances": 0.0123, "between starts": 0.0045}
    text = (
        "20 random garnet instances (states 3), 2 random starts each; sd 0.012 between instances, "
        "0.0045 between starts"
    )
    judged = judgement(FITTED, population=population, spread=spread)
    (line,) = [line for line in told(judged) if "interval over" in line]
    assert line == f"        interval over {text}"
    assert verdicts.markdown_table([judged]).count(f"| {text} |") == 1
    evidence_found = json.loads(verdicts.json_list([judged]))[0]["evidence"][0]
    assert evidence_found["population"] == population
    assert evidence_found["spread"] == spread


def test_identities_and_controls_stand_apart_and_a_rate_can_be_one() -> None:
    """A rate is marked where the claim as a whole is not an identity; nothing is counted twice."""
    rate = PowerRate(
        "rate", "x", "y", 1.0, True, "zero", "larger", 0.1, (2.0,), "value", "$x$", "$y$"
    )
    verdict = judgement(Exponents(1.0, Interval(1.0, 0.9, 1.1))).verdict
    assert verdict is not None
    changes: dict[str, dict[str, object]] = {
        "mixed": {"identity_rates": ("rate",), "rates": (rate,)},
        "theorem": {"kind": "proved inequality"},
        "expansion": {"kind": "identity"},
        "control": {"expected": "violated"},
    }
    claims = [replace(CLAIM, id=name, **change) for name, change in changes.items()]  # type: ignore[arg-type]
    judged = [Judgement(claim, replace(verdict, claim=claim), "fine", FILE) for claim in claims]
    lines = verdicts.text_table(judged, verbose=True).splitlines()
    titles = [
        "Findings, 2 claims (1 proved inequality, 1 measured):",
        "Tests of the program, no findings, 2 claims (1 identity, 1 negative control):",
    ]
    first, second = (lines.index(title) for title in titles)
    tables = lines[first:second], lines[second : lines.index("", second)]
    assert [[line.split()[0] for line in part[2:] if line] for part in tables] == [
        ["mixed", "theorem"],
        ["expansion", "control", "fine"],  # that it was not caught has its reason below it
    ]
    marks = [line for line in lines if line.startswith("    bandit, rate")]
    assert marks == ["    bandit, rate (identity): tight", *["    bandit, rate: tight"] * 3]
    assert "* mixed: fine Could it have come out otherwise? Yes." in verdicts.markdown_table(judged)


@pytest.mark.parametrize("sentences", [[], ["One.", "word " * 50]])
def test_lists_have_a_paragraph_or_a_bullet_each(sentences: list[str]) -> None:
    text = text_list(sentences)
    assert text.split() == " ".join(sentences).split()
    lines = text.splitlines()
    assert all(len(line) <= REASON_WIDTH for line in lines)
    # Lines that continue a paragraph are indented.
    paragraphs = [line for line in lines if line and not line.startswith("  ")]
    assert len(paragraphs) == len(sentences)
    assert markdown_list(sentences) == "".join(f"* {line}\n" for line in sentences)
