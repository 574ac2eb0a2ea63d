"""Audits in the table of the terminal, in Markdown and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

from theory_check.analysis.audits import AuditFinding, Constant
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.analysis.replicate_verdicts import DecayFactor
from theory_check.analysis.verdict import Verdict
from theory_check.claims.base import Claim
from theory_check.report import verdicts
from theory_check.studies.verification import Judgement

PL = AuditFinding(
    "lower-pl",
    "bandit",
    "not met",
    "an exponent of 1.5.",
    (Constant(0.25, 0.2, 0.3, "mu", 0.1), Constant(1.5, 1.4, 1.6, "exponent", 1.7)),
)
SLOW = AuditFinding("step", "bandit", "met", "", (Constant(2.0, 1.5, 2.5, "L", float("nan")),))
FAST = AuditFinding("step", "bandit", "undecided", "", (Constant(3.0, 1.5, 2.5, "L", 1.0),))
ABSENT = AuditFinding("lower-pl", "garnet", "not audited", "no such problem.")


def judgement(name: str, *audits: AuditFinding) -> Judgement:
    claim = Claim(name, "It holds.", "here", "D", "measured", "Yes.", (), "planted", ())
    rates = (RateVerdict("rate", "bandit", "tight", "", DecayFactor(), {"problem": "bandit"}),)
    verdict = Verdict(claim, "tight", "fine", rates, audits)
    return Judgement(claim, verdict, "fine", Path("experiments/planted.toml"))


JUDGEMENTS = [judgement("first", PL, SLOW), judgement("second", PL, FAST, ABSENT)]
ROWS = [
    ["audit", "status", "problem", "constant", "measured, 95 % interval"],
    ["lower-pl", "not met", "bandit", "mu", "0.25 [0.2, 0.3]"],
    ["", "", "", "exponent", "1.5 [1.4, 1.6]"],
    ["lower-pl", "not audited", "garnet", "", "no such problem"],
    ["step", "met", "bandit", "L", "2 [1.5, 2.5]"],
    ["step", "undecided", "bandit", "L", "3 [1.5, 2.5]"],
]
DEPENDENTS = [
    "claims that rest on lower-pl: first, second",
    "claims that rest on step: first, second; on bandit met for first, undecided for second",
]


def test_the_terminal_has_one_line_for_each_constant() -> None:
    lines = verdicts.text_table(JUDGEMENTS, verbose=True, width=120).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("audit "))
    columns = [lines[start].index(name) for name in ROWS[0]]
    ends = [*columns[1:], None]
    assert [
        [line[begin:end].strip() for begin, end in zip(columns, ends, strict=True)]
        for line in lines[start : start + 6]
    ] == ROWS
    assert lines[start + 6 : start + 10] == ["", *DEPENDENTS, ""]


def test_the_table_of_audits_stays_within_a_narrow_terminal() -> None:
    """What does not fit is wrapped within its column, and nothing is lost."""
    wide, narrow = (
        verdicts.text_table(JUDGEMENTS, verbose=True, width=width) for width in (120, 80)
    )
    assert max(map(len, narrow.splitlines())) <= 80
    assert set(wide.split()) <= set(narrow.split())


def test_audits_are_counted_once_each() -> None:
    """The same finding of two claims is one; two findings that differ are two."""
    lines = verdicts.text_table(JUDGEMENTS).splitlines()
    assert "audits: 1 met, 1 not audited, 1 not met, 1 undecided" in lines


def test_markdown_has_the_same_rows() -> None:
    lines = verdicts.markdown_table(JUDGEMENTS).splitlines()
    for row in ROWS:
        assert f"| {' | '.join(row)} |" in lines
    for line in DEPENDENTS:
        assert f"* {line}" in lines


def test_equal_constants_of_several_claims_are_shown_once() -> None:
    """The step differs between claims, the curvature does not."""
    curvature, steps = Constant(2.0, 1.5, 2.5, "L", 2.0), (0.1, 0.2)
    claims = [
        judgement(
            f"claim-{step}",
            AuditFinding(
                "step", "bandit", "met", "", (curvature, Constant(step, 0.0, 1.0, "product", step))
            ),
        )
        for step in steps
    ]
    table = verdicts.markdown_table(claims)
    assert table.count("| L | 2 [1.5, 2.5] |") == 1
    assert "| step | met | bandit | L |" in table
    for step in steps:
        assert f"|  |  |  | product | {step} [0, 1] |" in table
    assert "* claims that rest on step: claim-0.1, claim-0.2\n" in table


def test_the_claims_of_an_audit_are_wrapped() -> None:
    many = [judgement(f"claim-{number:02}", PL) for number in range(30)]
    lines = verdicts.text_table(many, verbose=True, width=100).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("claims that rest"))
    wrapped = lines[start : lines.index("", start)]
    assert len(wrapped) > 1
    assert max(map(len, wrapped)) <= 100
    assert " ".join(" ".join(wrapped).split()).endswith("claim-28, claim-29")


def test_without_audits_there_is_no_table_of_them() -> None:
    third = [judgement("third")]
    for table in (verdicts.text_table(third, verbose=True), verdicts.markdown_table(third)):
        assert "audit" not in table
        assert "rest on" not in table


def test_json_has_every_finding_and_its_place_in_the_evidence() -> None:
    first, second = json.loads(verdicts.json_list(JUDGEMENTS))
    assert first["audits"][0]["constants"][0] == {
        "name": "mu",
        "value": 0.25,
        "low": 0.2,
        "high": 0.3,
        "worst": 0.1,
    }
    assert first["audits"][1]["constants"][0]["worst"] is None
    assert first["evidence"][0]["audits"] == {"lower-pl": "not met", "step": "met"}
    # The garnet of the second claim's findings is another problem than that of its only rate.
    assert second["evidence"][0]["audits"] == {"lower-pl": "not met", "step": "undecided"}
    assert second["audits"][2]["status"] == "not audited"
