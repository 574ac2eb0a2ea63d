"""Verdicts at a glance: planted ones, in the width of a terminal."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from theory_check.analysis.bound_verdict import TermNumbers
from theory_check.analysis.computed_verdicts import Looseness, Ratios
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents, Growth, Numbers, RateVerdict, Status
from theory_check.analysis.replicate_verdicts import DecayFactor, KeptShare
from theory_check.analysis.verdict import Verdict
from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate, UpperBoundRate
from theory_check.errors import visible
from theory_check.report import screen
from theory_check.report.overview import Context, share_of, word_of, worst_of
from theory_check.report.verdicts import json_list, markdown_table, text_table
from theory_check.studies.verification import Judgement

FILE = Path("experiments/planted.toml")
RATE = PowerRate(
    "slope", "x", "y", 1.0, False, "zero", "larger", 0.02, (2.0,), "value", "$x$", "$y$"
)
CLAIM = Claim(
    "bias", "It falls.", "here", "S", "measured", "Yes.", (), "planted", (RATE,), audits=("step",)
)
CONTROL = replace(CLAIM, id="control", expected="violated")
OPEN = replace(CLAIM, id="assumed", kind="open", expected="open", provenance="R")
SMALL = Context(small=True)


def found(
    status: Status = "tight",
    value: float = 1.0,
    *,
    half: float = 0.003,
    problem: str = "bandit",
    reason: str = "exponent 1.0 of y in x: it is met.",
) -> RateVerdict:
    interval = Interval(value, value - half, value + half)
    return RateVerdict("slope", problem, status, reason, Exponents(1.0, interval))


def judged(claim: Claim, *rates: RateVerdict, status: Status | None = None) -> Judgement:
    status = rates[0].status if status is None else status
    verdict = Verdict(claim, status, f"because of {rates[0].problem}", rates)
    return Judgement(claim, verdict, verdict.reason, FILE)


def unjudged(claim: Claim) -> Judgement:
    return Judgement(claim, None, "1 of 2 cells of planted failed, first: a/b failed", FILE)


def lines_of(*judgements: Judgement, context: Context | None = None, width: int = 80) -> list[str]:
    return text_table(judgements, context, width=width).splitlines()


MIXED = [
    judged(CLAIM, found(value=0.997), found(value=0.999, problem="garnet")),
    judged(
        replace(CLAIM, id="total-2", provenance="D"),
        found("inconclusive", 1.11, reason="exponent 1.11: too few decades, 2 are needed."),
    ),
    judged(replace(CLAIM, id="broken"), found("violated", 0.5), found(), status="violated"),
    judged(OPEN, found("violated", 0.25)),
    judged(CONTROL, found("violated", 0.649, half=0.008)),
    judged(replace(CONTROL, id="missed"), found("tight")),
    unjudged(replace(CLAIM, id="failed")),
]


def test_what_matters_comes_first() -> None:
    places = {"report": Path("store/report.html"), "figures": Path("store/figures")}
    lines = lines_of(*MIXED, context=Context(True, "Experiments: mine.", places))
    assert lines[:10] == [
        "theory-check: 7 claims, small version (--quick)",
        "1 tight, 1 inconclusive, 1 violated, 1 not judged",
        "1 of 2 negative controls caught",
        "open statements, which fail nothing: 1 violated",
        "FAILED: broken (violated), missed (not caught), failed (not judged)",
        "report: store/report.html",
        "figures: store/figures",
        "next: mend what made cells fail, then the same command with --retry-failed",
        "Experiments: mine.",
        "",
    ]


def test_each_claim_has_a_line_and_what_is_not_as_it_should_be_its_reason() -> None:
    lines = lines_of(*MIXED, width=90)
    table = [line.rstrip() for line in lines[lines.index("") + 2 :]]
    assert table == [
        "claim        verdict             measured              predicted    problem",
        "bias [S]     tight 2/2           0.997 [0.994, 1.000]  1 ± 0.02     bandit",
        "total-2 [D]  inconclusive 0/1    1.110 [1.107, 1.113]  1 ± 0.02     bandit",
        "      bandit, slope: too few decades, 2 are needed.",
        "broken [S]   violated 1/2        0.500 [0.497, 0.503]  1 ± 0.02     bandit",
        "      because of bandit",
        "assumed [R]  violated 0/1        0.250 [0.247, 0.253]  1 ± 0.02     bandit",
        "      open, fails nothing; bandit, slope: it is met.",
        "failed [S]   not judged          -                     -",
        "      1 of 2 cells of planted failed, first: a/b failed",
        "",
        "Tests of the program, no findings, 2 claims (2 negative control):",
        "claim        verdict             measured              predicted    problem",
        "control [S]  caught 1/1          0.649 [0.641, 0.657]  1 ± 0.02     bandit",
        "missed [S]   not caught 0/1      1.000 [0.997, 1.003]  1 ± 0.02     bandit",
        "      because of bandit",
    ]


@pytest.mark.parametrize(
    ("judgement", "context", "step"),
    [
        (MIXED[0], None, "theory-check verify bias --verbose for all numbers, show bias"),
        (MIXED[1], SMALL, "total-2 is not decided by the small version: leave --quick out"),
        (MIXED[1], None, "theory-check verify total-2 --verbose for all numbers"),
        (MIXED[2], SMALL, "theory-check verify broken --verbose, theory-check show broken"),
        (MIXED[6], SMALL, "mend what made cells fail, then the same command with --retry-failed"),
    ],
)
def test_what_to_do_next(judgement: Judgement, context: Context | None, step: str) -> None:
    text = text_table([judgement], context, width=200)
    assert f"\nnext: {step}" in text
    assert text.count("next:") == 1


def test_words_and_shares() -> None:
    words = [(word_of(each), share_of(each)) for each in MIXED]
    assert words == [
        ("tight", "2/2"),
        ("inconclusive", "0/1"),
        ("violated", "1/2"),
        ("violated", "0/1"),
        ("caught", "1/1"),
        ("not caught", "0/1"),
        ("not judged", ""),
    ]


def test_the_line_shows_the_worst_problem() -> None:
    """The worst verdict first, then the interval that reaches farthest: a mean is not shown."""
    rates = (
        found(value=1.000, problem="near"),
        found(value=0.99, half=0.002, problem="farther"),
        found(value=1.002, half=0.012, problem="farthest"),
    )
    worst = worst_of(CLAIM, Verdict(CLAIM, "tight", "", rates))
    assert worst is rates[2]
    doubtful = found("inconclusive", 1.0, problem="doubtful")
    worst = worst_of(CLAIM, Verdict(CLAIM, "inconclusive", "", (*rates, doubtful)))
    assert worst is doubtful
    # Of a control that which was not found as expected, and an end that is not known says nothing.
    rates = (found("violated", 9.0), found("tight", 1.0), found("violated", 5.0))
    assert worst_of(CONTROL, Verdict(CONTROL, "violated", "", rates)) is rates[1]
    rates = (found(value=math.nan), found(value=1.01))
    assert worst_of(CLAIM, Verdict(CLAIM, "tight", "", rates)) is rates[1]


@pytest.mark.parametrize("better", ["larger", "smaller"])
def test_a_bound_is_shown_as_one_and_is_far_on_one_side_alone(better: str) -> None:
    """What beats it by far is not the worst; the sign says on which side it fails."""
    bound = UpperBoundRate(**{**vars(RATE), "better": better})
    claim = replace(CLAIM, rates=(bound,))
    larger, smaller = found(value=1.5, problem="larger"), found(value=0.98, problem="smaller")
    verdict = Verdict(claim, "tight", "", (larger, smaller))
    worst = worst_of(claim, verdict)
    assert worst is (smaller if better == "larger" else larger)
    sign = ">=" if better == "larger" else "<="
    assert f"  {sign} 1 ± 0.02  {worst.problem}" in text_table(
        [Judgement(claim, verdict, "", FILE)], width=120
    )


@pytest.mark.parametrize("width", [80, 120])
def test_eighty_claims_stay_within_the_terminal(width: int) -> None:
    """Every name whole on some line, every line within the width, the counts above and below."""
    names = [f"claim-{number:02}{'-of-a-long-name' * (number % 3)}" for number in range(80)]
    many = [
        judged(replace(CLAIM, id=name), found(value=-0.5, problem="garnet-with-long-name"))
        for name in names
    ]
    lines = lines_of(*many, width=width)
    assert max(map(len, lines)) <= width
    starts = [line[: len(name) + 4] for line in lines for name in names if line.startswith(name)]
    assert set(starts) >= {f"{name} [S]" for name in names}
    assert sum("tight 1/1" in line for line in lines) == 80
    # Above and below: on a terminal the end is what is seen.
    assert lines[:3] == ["theory-check: 80 claims", "80 tight, 0 violated", "nothing failed"]
    end = len(lines) - lines[::-1].index("") - 1
    assert lines[end + 1 :] == lines[: len(lines) - end - 1]
    # With room, the problem stands beside the numbers and no name has a line of its own.
    assert ("garnet-with-long-name" in "".join(lines)) is (width == 120)
    assert len([line for line in lines if line.startswith("claim-")]) == 80


def test_growth_and_shares_have_one_number_each() -> None:
    growth = Growth(0.125, 2.0, Interval(-1.126, -1.296, -0.957))
    share = KeptShare(">= 0.95 with confidence 0.95", "y <= 1", Interval(1.0, 0.794, 1.0))
    rates = [RateVerdict("other", "bandit", "holds", "", each) for each in (growth, share)]
    rates.append(RateVerdict("other", "bandit", "inconclusive", "none: none.", Growth(0.125, 2.0)))
    claims = [judged(replace(CLAIM, id=f"c{n}"), rate) for n, rate in enumerate(rates)]
    lines = lines_of(*claims, width=90)
    shown = [line.split("  ") for line in lines if line.startswith("c")][1:]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in shown]
    assert cells == [
        ["c0 [S]", "holds 1/1", "-1.13 [-1.30, -0.96]", "<= 0.125", "bandit"],
        ["c1 [S]", "holds 1/1", "1.000 [0.794, 1.000]", ">= 0.95", "bandit"],
        ["c2 [S]", "inconclusive 0/1", "-", "<= 0.125", "bandit"],
    ]


def test_every_kind_of_number_has_a_brief_form() -> None:
    """One number each, and what is predicted of it; a dash where nothing was measured."""
    one = Interval(1.0, 0.9, 1.1)
    stated = Ratios(Interval(2.0, 1.8, 2.2))
    kinds: list[tuple[Numbers, tuple[str, str]]] = [
        (Exponents(Interval(2.0, 1.9, 2.1), one), ("1.000 [0.900, 1.100]", "2 [1.9, 2.1]")),
        (Exponents(2.0), ("-", "2")),
        (Growth(0.125, 2.0, one), ("1.000 [0.900, 1.100]", "<= 0.125")),
        (DecayFactor(one), ("1.000 [0.900, 1.100]", "< 1")),
        (KeptShare(">= 0.9", "y"), ("-", ">= 0.9")),
        (Looseness(Interval(1.25, math.nan, math.nan), 3.0), ("1.25 smallest", ">= 1")),
        (Looseness(), ("-", ">= 1")),
        (stated, ("-", "2 [1.8, 2.2]")),
    ]
    for numbers, expected in kinds:
        assert numbers.brief() == expected
    assert TermNumbers({}, 0.9, 0.9986).brief() == ("R² 0.999", ">= 0.9")
    # Three decimals where they fit, two where not.
    assert Exponents(2.0, Interval(-1.0, -1.25, -0.5)).brief()[0] == "-1.00 [-1.25, -0.50]"


HOSTILE = "[red]a[/red]\x1b[2J\n9 claims, nothing failed\u202e:smile:"


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("colours", [False, True])
def test_what_steers_a_terminal_is_shown_and_not_obeyed(
    verbose: bool, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither escapes nor markup: with colours the only escapes are those of our own styles."""
    monkeypatch.setattr(screen, "has_colours", lambda: colours)
    rate = found("inconclusive", problem=HOSTILE, reason=f"why: {HOSTILE}")
    claim = replace(CLAIM, id=HOSTILE, statement=HOSTILE)
    text = text_table(
        [judged(claim, rate)], Context(experiments=HOSTILE), verbose=verbose, width=400
    )
    assert visible(HOSTILE) in text
    assert "\nclaims, nothing" not in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert ("\x1b[" in text) is colours


def test_colours_are_for_terminals_and_can_be_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")  # of others' habits: ours is the terminal's
    assert not screen.has_colours()
    assert "\x1b" not in text_table(MIXED)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert screen.has_colours()
    coloured = text_table(MIXED, width=80)
    assert "\x1b[1;31mviolated 1/2" in coloured
    assert "\x1b[32mcaught 1/1" in coloured
    assert "\x1b[33minconclusive 0/1" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert text_table(MIXED, width=80) == text_table(MIXED, width=80).replace("\x1b", "")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not screen.has_colours()


def test_every_record_is_complete_and_has_the_same_keys() -> None:
    records = json.loads(json_list(MIXED, small=True))
    assert len({frozenset(record) for record in records}) == 1
    assert [record["word"] for record in records] == [word_of(each) for each in MIXED]
    assert [record["fails"] for record in records] == [False, False, True, False, False, True, True]
    assert records[0]["name"] == "bias [S]"
    assert records[0]["as_it_should_be"] == "2/2"
    assert records[0]["rests_on_audits"] == ["step"]
    assert records[6]["evidence"] == []
    assert [record["status"] for record in records][-1] == "not judged"


def test_markdown_has_all_numbers_whatever_the_terminal_shows() -> None:
    table = markdown_table(MIXED)
    for each in MIXED:
        assert f"| {each.claim.id} [{each.claim.provenance}] " in table
    assert table.count("| tight | garnet | slope | 0.999 [0.996, 1.002] | 1 |") == 1
