"""Verdicts on tables of one's own, with planted exponents.

Planted noise is 0.05 per point of 16 replicates, at 13 points over 3 decades: the standard error of the
exponent is 0.05 / 4 / sqrt(sum of squared deviations of log x, 67) = 0.0015, so that each exponent
below lies at least 20 of them from the end of the band that it has to keep away from. A normal error
of that size, and so another status than the one stated, has probability below 1e-80.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from calibration.planted import CASES, plant
from scipy import stats

from theory_check import analysis
from theory_check.analysis import power_law_verdict, power_law_verdicts
from theory_check.errors import InvalidArgumentError

N = np.geomspace(10.0, 10_000.0, 13)


def planted(exponent: float, seeds: int = 16, noise: float = 0.05, start: int = 0) -> pd.DataFrame:
    """Return ``error = n ** exponent`` times noise, one row per run and n."""
    generator = np.random.default_rng(start)
    values = N**exponent * np.exp(noise * generator.standard_normal((seeds, N.size)))
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(seeds), N.size),
            "n": np.tile(N, seeds),
            "error": values.ravel(),
        }
    )


@pytest.mark.parametrize(
    ("planted_exponent", "direction", "status"),
    [
        (-1.0, "upper", "tight"),
        (-0.7, "upper", "violated"),
        (-1.3, "upper", "faster"),
        (-1.0, "lower", "tight"),
        (-0.7, "lower", "holds"),
        (-1.3, "lower", "violated"),
        (-1.0, "two-sided", "tight"),
        (-0.7, "two-sided", "violated"),
        (-1.3, "two-sided", "violated"),
    ],
)
def test_status_of_a_planted_exponent(planted_exponent: float, direction: str, status: str) -> None:
    verdict = power_law_verdict(
        planted(planted_exponent),
        x="n",
        y="error",
        predicted=-1.0,
        direction=direction,  # type: ignore[arg-type]
    )
    assert verdict.status == status
    assert verdict.measured["exponent"] == pytest.approx(planted_exponent, abs=0.02)
    assert verdict.reason.endswith("Judged for n towards infinity.")
    assert verdict.evidence["direction"] == direction
    # What the sentence says must not contradict the status.
    assert ("better" in verdict.reason) == (status == "faster")


def test_the_side_that_refutes_is_named() -> None:
    both = power_law_verdict(planted(-1.3), x="n", y="error", predicted=-1.0, direction="two-sided")
    assert "predicted -1 ± 0.1: the whole interval is below the band" in both.reason
    bound = power_law_verdict(planted(-0.7), x="n", y="error", predicted=-1.0, direction="lower")
    assert "the whole interval is above the band, which the lower bound allows" in bound.reason


def test_too_little_to_decide_is_inconclusive() -> None:
    rows = planted(-1.0)
    narrow = power_law_verdict(rows[rows.n < 90], x="n", y="error", predicted=-1.0)
    assert narrow.status == "inconclusive"
    # Two digits, cut: to one, 0.95 decades would be "1.0 where 1 are needed".
    seen = math.floor(100 * narrow.evidence["decades_x"]) / 100  # type: ignore[operator]
    assert f"too few decades of n, {seen:.2f} where 1 are needed" in narrow.reason
    assert seen < 1
    assert repr(narrow) == f"<RateVerdict error in n, the table: inconclusive; {narrow.reason}>"
    # Halfway between the end of the band and the next exponent: 0.9 is that end.
    straddling = power_law_verdict(planted(-0.9), x="n", y="error", predicted=-1.0)
    assert straddling.status == "inconclusive"
    one = power_law_verdict(rows[rows.seed == 3], x="n", y="error", predicted=-1.0)
    assert one.status == "inconclusive"
    assert "needs at least 2" in one.reason
    lost = power_law_verdict(
        rows.assign(error=rows.error.where(rows.index != 20)), x="n", y="error", predicted=-1.0
    )
    assert "1 of 208 values are missing or not finite (seeds 1)" in lost.reason
    stopped = rows.assign(status=np.where(rows.index == 20, "diverged", "ok"))
    verdict = power_law_verdict(stopped, x="n", y="error", predicted=-1.0)
    assert "1 of 208 rows have status 'diverged' (seeds 1)" in verdict.reason


def test_growing_costs_need_their_limit() -> None:
    """Samples eps^-3 as eps falls: more than that, eps^-3.3, breaks the bound, and less is faster."""
    for exponent, status in ((-3.0, "tight"), (-3.3, "violated"), (-2.7, "faster")):
        rows = planted(-exponent).rename(columns={"error": "samples"})
        rows["epsilon"] = 1 / rows.n
        verdict = power_law_verdict(
            rows, x="epsilon", y="samples", predicted=-3.0, limit="zero", resolution=0.1
        )
        assert verdict.status == status
        assert verdict.evidence["limit"] == "zero"
    # Where y vanishes, which is the default, is read off the sign.
    sigma = planted(-1.0).assign(sigma=lambda rows: 1 / rows.n)
    assert power_law_verdict(sigma, x="sigma", y="error", predicted=1.0).status == "tight"


@pytest.mark.parametrize("exponent", [-1.0, -0.9, -0.7])
@pytest.mark.parametrize(("of_x", "of_y"), [(1e6, 1.0), (1e-6, 1e6), (1.0, 1e-6), (1e6, 1e-6)])
def test_units_do_not_matter(exponent: float, of_x: float, of_y: float) -> None:
    rows = planted(exponent)
    scaled = rows.assign(n=of_x * rows.n, error=of_y * rows.error)
    first, second = (
        power_law_verdict(each, x="n", y="error", predicted=-1.0) for each in (rows, scaled)
    )
    assert second.status == first.status
    for name, value in first.measured.items():
        # Rounding of the logarithms, 1e-14 of numbers around 14, over deviations around 2.
        assert second.measured[name] == pytest.approx(value, abs=1e-12)


def test_false_alarms_of_a_true_statement() -> None:
    """Of 60 noisier tables, 0.2 per point, with a resolution of 0.05: with a true rate of 1 % of
    *violated* the count exceeds the bound with probability below 1e-4, and likewise *faster*."""
    generator, statuses = np.random.default_rng(7), []
    for _ in range(60):
        x, y = plant(CASES["clean"], 16, generator)
        rows = pd.DataFrame(
            {"seed": np.repeat(np.arange(16), x.size), "x": np.tile(x, 16), "y": y.ravel()}
        )
        verdict = power_law_verdict(rows, x="x", y="y", predicted=-1.0, resolution=0.05)
        statuses.append(verdict.status)
    allowed = stats.binom(60, 0.01).isf(1e-4)
    assert statuses.count("violated") <= allowed
    assert statuses.count("faster") <= allowed
    assert statuses.count("tight") >= stats.binom(60, 0.9).ppf(1e-4)


def test_it_is_the_judge_of_claims() -> None:
    rows = planted(-1.0)
    own = power_law_verdict(
        rows, x="n", y="error", predicted=-1.0, resolution=0.05, rivals=(-0.5, -2.0)
    )
    from theory_check.claims.rates import PowerRate

    rate = PowerRate(
        "rate",
        "n",
        "error",
        -1.0,
        False,
        "infinity",
        "smaller",
        0.05,
        (-0.5, -2.0),
        "value",
        "n",
        "e",
    )
    claimed = analysis.judge_power_rate(rate, rows.assign(problem="mine"), "mine")
    assert own.measured == claimed.measured
    assert own.status == claimed.status
    assert own.reason == f"{claimed.reason} Judged for n towards infinity."


def test_what_replicates_are() -> None:
    rows = planted(-1.0)
    named = rows.rename(columns={"seed": "run"}).assign(
        run=lambda each: "run " + each.run.astype(str)
    )
    expected = power_law_verdict(rows, x="n", y="error", predicted=-1.0)
    assert expected.evidence["population"] == "16 replicates, one per value of 'seed'"
    by_name = power_law_verdict(named, x="n", y="error", predicted=-1.0, seed="run")
    assert by_name.measured == expected.measured
    assert by_name.evidence["population"] == "16 replicates, one per value of 'run'"
    counted = power_law_verdict(named[["n", "error"]], x="n", y="error", predicted=-1.0)
    assert counted.measured == expected.measured
    assert counted.evidence["population"] == (
        "16 replicates: without a column 'seed', the k-th rows of all values of n are replicate k"
    )
    # A value of n with a row too few leaves a replicate incomplete, and nothing is left out for it.
    short = power_law_verdict(named[["n", "error"]].iloc[:-1], x="n", y="error", predicted=-1.0)
    assert short.status == "inconclusive"
    assert "1 of 208 values are missing" in short.reason


def test_groups_are_judged_apart() -> None:
    rows = pd.concat(
        [
            planted(-1.0).assign(problem="one", method="a"),
            planted(-0.7, start=1).assign(problem="two", method="a"),
            planted(-1.3, start=2).assign(problem="two", method="b"),
        ]
    )
    found = power_law_verdicts(rows, ["problem", "method"], x="n", y="error", predicted=-1.0)
    assert {group: verdict.status for group, verdict in found.items()} == {
        ("one", "a"): "tight",
        ("two", "a"): "violated",
        ("two", "b"): "faster",
    }
    assert found["two", "b"].problem == "two, b"
    of_a = power_law_verdicts(
        rows, "problem", x="n", y="error", predicted=-1.0, where={"method": "a"}
    )
    assert {group: verdict.status for group, verdict in of_a.items()} == {
        "one": "tight",
        "two": "violated",
    }
    selected = power_law_verdict(rows, x="n", y="error", predicted=-1.0, where={"method": "b"})
    assert selected.measured == found["two", "b"].measured
    with pytest.raises(InvalidArgumentError, match="they differ in problem, method; select rows"):
        power_law_verdict(rows, x="n", y="error", predicted=-1.0)


def test_exponents_of_norms_are_reported_in_both_units() -> None:
    verdict = power_law_verdict(
        planted(-1.0), x="n", y="error", predicted=-1.0, units="squared norm"
    )
    assert verdict.predicted["norm"] == {"exponent": -0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"y": "eror"},
            "y: received 'eror', which is no column of the table; did you mean 'error'?",
        ),
        (
            {"x": "17"},
            "x: received '17', which is no column of the table; known: error, n, name, seed",
        ),
        ({"seed": "sed"}, "seed: received 'sed', which is no column .*did you mean 'seed'?"),
        ({"where": {"nam": 1}}, "where: received 'nam', .*did you mean 'name'?"),
        ({"where": {"name": "b"}}, "table: received no rows with name = 'b'"),
        ({"y": "name"}, "y: received 'name', a column of .*; name a column of numbers"),
        ({"y": "n"}, "y: received 'n'; name another column than that of x"),
        ({"x": "seed"}, "x: received 'seed'; name a column that is measured"),
        ({"seed": "n"}, "x: received 'n', the column of replicates"),
        ({"predicted": float("nan")}, "predicted: received nan"),
        ({"resolution": 0.3, "rivals": [-0.5]}, "resolution: received 0.3; pass at most 0.125"),
        ({"rivals": [-1.0]}, "rivals: received (-1.0,); name the exponents other than -1"),
        ({"resolution": -0.1}, "resolution: received -0.1"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    rows = planted(-1.0, seeds=2).assign(name="a")
    arguments = {"table": rows, "x": "n", "y": "error", "predicted": -1.0} | changes
    pattern = message.replace("?", r"\?") if ".*" in message else re.escape(message)
    with pytest.raises(InvalidArgumentError, match=f"^{pattern}"):
        power_law_verdict(**arguments)  # type: ignore[arg-type]


def test_rows_without_x_or_replicate_are_refused() -> None:
    rows = planted(-1.0, seeds=2)
    for column in ("n", "seed"):
        holed = rows.assign(**{column: rows[column].where(rows.index != 3)})
        with pytest.raises(
            InvalidArgumentError, match=f"table: received 1 rows without a.* '{column}'"
        ):
            power_law_verdict(holed, x="n", y="error", predicted=-1.0)
    with pytest.raises(InvalidArgumentError, match="by: received 'problm', which is no column"):
        power_law_verdicts(rows.assign(problem="p"), "problm", x="n", y="error", predicted=-1.0)
    with pytest.raises(InvalidArgumentError, match="by: received no column"):
        power_law_verdicts(rows, [], x="n", y="error", predicted=-1.0)
