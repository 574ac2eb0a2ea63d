"""What a legend says of many problems: the number farthest from the theory, and verdicts that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis import RateVerdict, Verdict, judge
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents
from theory_check.catalogue import Catalogue
from theory_check.plotting import attained_summary, power_summary, schedule_summary, verdict_lines
from theory_check.plotting.summaries import exceptions
from theory_check.testing.claims import planted_table


def exactly(exponents: dict[str, float], name: str = "penalty-bias") -> Verdict:
    """Return the verdict on ``y = x^p`` without noise, a p for each problem."""
    claim = Catalogue.shipped().claim(name)
    x = np.geomspace(1e-3, 1e-1, 9)
    rows = [
        pd.DataFrame({"problem": problem, "seed": seed, "status": "ok", "sigma": x}).assign(
            gradient_bias=(1 + seed) * x**exponent, value_bias=(1 + seed) * x
        )
        for problem, exponent in exponents.items()
        for seed in range(4)
    ]
    return judge(claim, pd.concat(rows))


def test_the_exponent_farthest_from_the_theory_is_said_with_its_problem() -> None:
    verdict = exactly({"near": 1.01, "far": 1.5, "nearer": 1.0})
    rate = verdict.claim.rates[0]
    first, second, *rest = power_summary((verdict, rate, "")).splitlines()
    assert first == "exponent (norm), 95 % intervals; line: fit in its window"
    assert second == "theory 1, farthest of 3: 1.500 [1.500, 1.500] (far)"
    assert rest == ["faster: far"]


def test_one_problem_is_found_and_none_is_not_fitted() -> None:
    verdict = exactly({"only": 1.0})
    rate = verdict.claim.rates[0]
    line = power_summary((verdict, rate, "one level")).splitlines()[1]
    assert line == "one level: theory 1, found 1.000 [1.000, 1.000]"
    unfitted = replace(verdict, rates=())
    assert power_summary((unfitted, rate, "")).splitlines()[1] == "theory 1, nothing fitted"


def test_verdicts_that_differ_from_most_are_named() -> None:
    judged = [
        RateVerdict("rate", problem, status, "", Exponents(1.0, Interval(1.0, 0.9, 1.1)))
        for problem, status in (("a", "tight"), ("b", "violated"), ("c", "tight"))
    ]
    assert exceptions(judged) == ["violated: b"]
    assert exceptions(judged, ["x on a", "x on b", "x on c"]) == ["violated: x on b"]
    assert exceptions([]) == []


@pytest.mark.slow
def test_schedules_and_costs_have_their_ends() -> None:
    """A schedule that loses 0.4 of an exponent grows like target^-0.4 on all problems."""
    claim = Catalogue.shipped().claim("control-small-batch")
    lines = schedule_summary([judge(claim, planted_table(claim, worse_by=0.4))]).splitlines()
    assert lines[0] == "growth as a power of 1/ε, at most 0.125 allowed"
    assert lines[1].startswith("0.4")
    assert "on planted" in lines[1]
    costs = Catalogue.shipped().claim("attained-3")
    lines = attained_summary([judge(costs, planted_table(costs))]).splitlines()
    assert lines[1].startswith("penalty: theory 3, found 3.0")


@pytest.mark.parametrize(
    ("name", "status", "line"),
    [
        ("penalty-bias", "tight", "penalty-bias: tight"),
        ("control-quartic", "violated", "control-quartic: violated, as it must"),
        ("control-quartic", "tight", "control-quartic: tight, but had to fail"),
    ],
)
def test_a_title_says_what_had_to_fail(name: str, status: str, line: str) -> None:
    claim = Catalogue.shipped().claim(name)
    assert verdict_lines(Verdict(claim, status, "", ())) == line  # type: ignore[arg-type]


def test_claims_of_one_verdict_share_a_line_and_lines_are_wrapped_between_claims() -> None:
    claims = Catalogue.shipped().claims
    found = [
        Verdict(claims[name], status, "", ())  # type: ignore[arg-type]
        for name, status in (
            ("schedule-3", "holds"),
            ("schedule-2", "holds"),
            ("sail-pl", "violated"),
        )
    ]
    assert verdict_lines(*found) == "schedule-3, schedule-2: holds\nsail-pl: violated"
    assert verdict_lines(*found, width=12).splitlines()[:2] == ["schedule-3,", "schedule-2:"]
