"""Audits of planted tables whose constants are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theory_check.analysis.audits import audit_problem, failures_of, not_audited
from theory_check.catalogue import Catalogue
from theory_check.claims.audits import GrowthRule
from theory_check.errors import InvalidArgumentError

SEEDS = 8
LEVELS = (0.1, 0.001)
GAPS = np.geomspace(1, 1e-8, 49)


def rows(**columns: object) -> pd.DataFrame:
    """The same rows for each seed, every column times ``1 + seed / 10``, and both levels of sigma."""
    frames = [
        pd.DataFrame({"seed": seed, "status": "ok", "solver.sigma": level, **columns})
        for seed in range(SEEDS)
        for level in LEVELS
    ]
    return pd.concat(frames, ignore_index=True)


def growth_rows(exponent: float, constant: float = 0.25, spread: float = 0.0) -> pd.DataFrame:
    """``gradient² = 2 constant gap^exponent``, with exponents that differ between seeds."""
    table = rows(lower_gap=GAPS)
    shift = spread * (table["seed"] - (SEEDS - 1) / 2)
    table["lower_gradient"] = (2 * constant * table["lower_gap"] ** (exponent + shift)) ** 0.5
    return table


@pytest.mark.parametrize(("exponent", "status"), [(1.0, "met"), (1.5, "not met"), (0.8, "met")])
def test_growth_follows_the_planted_exponent(exponent: float, status: str) -> None:
    finding = audit_problem(Catalogue.shipped().audit("lower-pl"), growth_rows(exponent), "planted")
    mu, fitted = finding.constants
    assert finding.status == status
    # The smallest ratio is 0.25 gap^(exponent - 1) at the smallest gap, or at 1.
    assert mu.value == pytest.approx(0.25 * min(1.0, 1e-8 ** (exponent - 1)))
    assert fitted.value == pytest.approx(exponent)
    assert fitted.low == pytest.approx(fitted.high)


def test_growth_is_undecided_where_the_interval_contains_the_limit() -> None:
    """Exponents 1.1 + 0.05 (seed - 3.5): Student's interval of the mean contains 1.1."""
    finding = audit_problem(
        Catalogue.shipped().audit("lower-pl"), growth_rows(1.1, spread=0.05), "planted"
    )
    exponents = 1.1 + 0.05 * (np.arange(SEEDS) - 3.5)
    reach = stats.t.ppf(0.975, SEEDS - 1) * exponents.std(ddof=1) / np.sqrt(SEEDS)
    assert finding.status == "undecided"
    assert finding.constants[1].low == pytest.approx(1.1 - reach)
    assert finding.constants[1].high == pytest.approx(1.1 + reach)
    assert finding.constants[1].worst == pytest.approx(exponents.max())


def test_growth_looks_at_the_smaller_half_of_the_decades() -> None:
    table = rows(lower_gap=GAPS)
    bent = np.where(table["lower_gap"] > 1e-4, table["lower_gap"] ** 2 * 1e4, table["lower_gap"])
    table["lower_gradient"] = bent**0.5
    assert audit_problem(Catalogue.shipped().audit("lower-pl"), table, "planted").status == "met"


def test_growth_needs_decades_and_resolved_points() -> None:
    audit = Catalogue.shipped().audit("lower-pl")
    short = growth_rows(1.0)
    short = short.loc[short["lower_gap"] > 0.03]
    finding = audit_problem(audit, short, "planted")
    assert (finding.status, "decades" in finding.reason) == ("undecided", True)
    # Exponent 3/2, but only where rounding would be in the way.
    hidden = growth_rows(1.0)
    hidden.loc[hidden["lower_gap"] < 1e-4, "lower_gradient"] **= 1.5
    assert isinstance(audit.rule, GrowthRule)
    coarse = replace(audit, rule=replace(audit.rule, resolved=1e-4))
    assert audit_problem(coarse, hidden, "planted").status == "met"
    nothing = replace(audit, rule=replace(audit.rule, resolved=2.0))
    assert audit_problem(nothing, hidden, "planted").status == "undecided"


def test_a_gradient_that_vanishes_at_a_gap_is_not_overlooked() -> None:
    """Of the smaller half of the gaps, the 12 smallest of 25 at gradient 0: stuck on a plateau."""
    table = growth_rows(1.0)
    table.loc[table["lower_gap"] < 1e-6, "lower_gradient"] = 0.0
    finding = audit_problem(Catalogue.shipped().audit("lower-pl"), table, "planted")
    assert finding.status == "not met"
    assert finding.constants[0].value < 1e-100


@pytest.mark.parametrize(("trend", "status"), [(0.0, "met"), (2 / 3, "not met")])
def test_growth_must_not_vanish_with_sigma(trend: float, status: str) -> None:
    table = rows(penalised_distance=np.geomspace(1, 1e-5, 20))
    constant = table["solver.sigma"] ** trend
    table["penalised_gradient"] = constant * table["penalised_distance"]
    finding = audit_problem(Catalogue.shipped().audit("error-bound"), table, "planted")
    assert finding.status == status
    mu, exponent, vanishing = finding.constants
    assert mu.value == pytest.approx(min(LEVELS) ** trend)
    assert exponent.value == pytest.approx(1.0)
    assert vanishing.value == pytest.approx(trend, abs=1e-9)


@pytest.mark.parametrize(("floor", "status"), [(0.0, "met"), (0.05, "not met"), (0.005, "met")])
def test_domination_finds_the_planted_majorant(floor: float, status: str) -> None:
    """Points on ``y = 2 x + floor`` and below it: the tightest majorant is that line."""
    x = np.repeat(np.linspace(0.0, 1.0, 11), 2)
    y = 2 * x + floor
    y[::2] *= 0.5
    table = rows(lower_gradient=x, lower_gap=y)
    finding = audit_problem(Catalogue.shipped().audit("weak-gradient-domination"), table, "planted")
    factor, share = finding.constants
    assert finding.status == status
    assert factor.value == pytest.approx(2.0)
    assert share.value == pytest.approx(floor / (2 + floor), abs=1e-9)


def test_level_uses_the_smallest_value_of_each_seed() -> None:
    audit = Catalogue.shipped().audit("policy-support")
    table = rows(min_policy_probability=np.array([0.5, 0.1, 0.3]))
    table["min_policy_probability"] *= 1 + table["seed"] / 10
    logs = np.log(0.1 * (1 + np.arange(SEEDS) / 10))
    reach = stats.t.ppf(0.975, SEEDS - 1) * logs.std(ddof=1) / np.sqrt(SEEDS)
    (smallest,) = audit_problem(audit, table, "planted").constants
    assert smallest.value == pytest.approx(np.exp(logs.mean()))
    assert smallest.low == pytest.approx(np.exp(logs.mean() - reach))
    assert smallest.worst == pytest.approx(0.1)
    for factor, status in ((1.0, "met"), (0.005, "not met"), (0.0075, "undecided")):
        scaled = table.assign(min_policy_probability=factor * table["min_policy_probability"])
        assert audit_problem(audit, scaled, "planted").status == status


@pytest.mark.parametrize(
    ("step", "status"),
    [(0.4, "met"), (0.6, "not met"), (None, "not audited")],
)
def test_step_times_the_largest_curvature(step: float | None, status: str) -> None:
    """Curvatures of at most 4: steps below and above 2 / 4."""
    table = rows(outer_curvature=np.array([1.0, np.nan, 4.0]))
    finding = audit_problem(
        Catalogue.shipped().audit("outer-step"), table, "planted", {"outer": step}
    )
    assert finding.status == status
    assert finding.constants[0].value == pytest.approx(4.0)
    if step is not None:
        assert finding.constants[1].value == pytest.approx(4 * step)
    # The inner step is another matter.
    other = audit_problem(
        Catalogue.shipped().audit("outer-step"), table, "planted", {"inner": step}
    )
    assert other.status == "not audited"


def test_without_usable_evidence_nothing_is_audited() -> None:
    audit = Catalogue.shipped().audit("lower-pl")
    table = growth_rows(1.5)
    stopped = table.copy()
    stopped.loc[stopped["seed"] == 3, "status"] = "diverged"
    finding = audit_problem(audit, stopped, "planted")
    assert (finding.status, "1 seeds ended with 'diverged'" in finding.reason) == (
        "not audited",
        True,
    )
    assert audit_problem(audit, table.loc[table["seed"] == 0], "p").status == "not audited"
    empty = table.assign(lower_gap=np.nan)
    assert "no values of lower_gap" in audit_problem(audit, empty, "planted").reason
    with pytest.raises(InvalidArgumentError, match="no column 'lower_gap'"):
        audit_problem(audit, table.drop(columns="lower_gap"), "planted")


def test_failures_are_those_not_met() -> None:
    audit = Catalogue.shipped().audit("lower-pl")
    bad = audit_problem(audit, growth_rows(1.5), "bad")
    good = audit_problem(audit, growth_rows(1.0), "good")
    absent = not_audited(audit, "absent", "no rows")
    assert failures_of([bad, good, absent]) == {"bad": {"lower-pl": bad.reason}}
    assert bad.to_dict()["status"] == "not met"
