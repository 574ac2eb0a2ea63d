import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis import PowerLawFit, judge, judge_geometric_rate, judge_power_rate
from theory_check.analysis.power_verdict import power_status
from theory_check.claims.base import Claim
from theory_check.claims.rates import GeometricRate, PowerRate
from theory_check.errors import InvalidArgumentError

RATE = PowerRate(
    name="1/n",
    x="n",
    y="error",
    exponent=1.0,
    reciprocal=True,
    limit="infinity",
    better="larger",
    resolution=0.05,
    rivals=(0.5, 2.0),
    y_units="squared norm",
    x_symbol="$1/n$",
    y_symbol="$e$",
    where={"sweep": "n"},
)
GEOMETRIC = GeometricRate(
    name="k", x="k", y="gap", minimum_decades=4.0, x_symbol="$k$", y_symbol="$g$"
)
CLAIM = Claim(
    id="planted",
    statement="error = O(1/n)",
    source="here",
    provenance="D",
    kind="measured",
    otherwise="Yes.",
    assumptions=("none",),
    experiment="planted",
    rates=(RATE,),
)
N = np.geomspace(10, 10_000, 12)
K = np.arange(0.0, 101.0)


def table(
    x: np.ndarray,
    curve: np.ndarray,
    noise: float = 0.05,
    problem: str = "bandit",
    names: tuple[str, str] = ("n", "error"),
    seeds: int = 16,
) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "problem": problem,
                "seed": seed,
                "sweep": "n",
                names[0]: x,
                names[1]: curve * np.exp(noise * rng.standard_normal(x.size)),
                "status": "ok",
            }
        )
        for seed in range(seeds)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(
    ("exponent", "status"), [(1.0, "tight"), (0.98, "tight"), (0.8, "violated"), (1.3, "faster")]
)
def test_status_follows_the_planted_exponent(exponent: float, status: str) -> None:
    verdict = judge_power_rate(RATE, table(N, N**-exponent), "bandit")
    assert verdict.status == status
    low, high = verdict.measured["low"], verdict.measured["high"]
    # Noise 0.05/4 per point over 12 points and 3 decades: a standard error of about 2e-3.
    assert exponent - 0.02 < low < verdict.measured["exponent"] < high < exponent + 0.02


@pytest.mark.parametrize(
    ("low", "high", "status", "why"),
    [
        (0.96, 1.04, "tight", "contains the prediction"),
        (0.955, 0.97, "tight", "misses the prediction but lies inside the band"),
        (0.94, 0.96, "inconclusive", "overlaps the band without lying inside it"),
        (1.04, 1.06, "inconclusive", "overlaps the band without lying inside it"),
        (0.94, 1.06, "inconclusive", "wider than the band of 0.1"),
        (0.40, 1.02, "inconclusive", "wider than the band of 0.1, and contains the rival 0.5"),
        (0.40, 2.10, "inconclusive", "and contains the rival 0.5 and 2"),
        (0.90, 0.94, "violated", "worse than predicted"),
        (1.06, 1.90, "faster", "better than predicted"),
    ],
)
def test_tight_is_an_equivalence_test(low: float, high: float, status: str, why: str) -> None:
    """1 ± 0.05 is predicted; the old rule, an interval that reaches the band, met six of these."""
    fit = judge_power_rate(RATE, table(N, 1 / N), "bandit").fit
    assert isinstance(fit, PowerLawFit)
    # The fit is in x and the rate in 1/x.
    found = power_status(RATE, replace(fit, exponent=-(low + high) / 2, low=-high, high=-low), 0.1)
    assert found[0] == status
    assert why in found[1]


def test_smaller_is_better_mirrors_the_statuses() -> None:
    growth = replace(
        RATE, better="smaller", limit="zero", exponent=2.0, rivals=(1.0, 3.0), x="sigma"
    )
    sigma = 1 / N
    for exponent, status in ((2.0, "tight"), (2.3, "violated"), (1.5, "faster")):
        rows = table(sigma, sigma**-exponent, names=("sigma", "error"))
        assert judge_power_rate(growth, rows, "bandit").status == status


def test_both_unit_conventions_are_reported() -> None:
    verdict = judge_power_rate(RATE, table(N, N**-1.0), "bandit")
    measured = verdict.measured
    assert verdict.predicted["norm"] == {"exponent": 0.5}
    assert verdict.predicted["squared norm"] == {"exponent": 1.0}
    assert measured["norm"]["low"] == pytest.approx(measured["low"] / 2)  # type: ignore[index,operator]
    norm = judge_power_rate(replace(RATE, y_units="norm"), table(N, N**-1.0), "bandit")
    assert norm.predicted["squared norm"] == {"exponent": 2.0}
    value = judge_power_rate(replace(RATE, y_units="value"), table(N, N**-1.0), "bandit")
    assert set(value.predicted) == {"exponent"}


def test_constant_curves_can_be_tight() -> None:
    flat = replace(RATE, exponent=0.0, rivals=(1.0,), better="smaller", limit="zero")
    assert judge_power_rate(flat, table(N, N**0), "bandit").status == "tight"
    assert judge_power_rate(flat, table(N, N**-0.5), "bandit").status == "violated"


def test_floor_blocks_agreement_unless_the_statement_has_one() -> None:
    rows = table(N, 1 / N + 3e-4)
    verdict = judge_power_rate(RATE, rows, "bandit")
    assert verdict.status == "inconclusive"
    assert "floor" in verdict.reason
    assert judge_power_rate(replace(RATE, floor="allowed"), rows, "bandit").status == "tight"


def test_a_floor_refutes_unless_a_burn_in_explains_the_curve_as_well() -> None:
    refuting = replace(RATE, floor="refutes")
    fit = judge_power_rate(refuting, table(N, 1 / N + 3e-4), "bandit").fit
    assert isinstance(fit, PowerLawFit)
    assert fit.without_floor is None
    # Exponents in x: under a burn-in 1/n decays like n^-0.4 at best, and then like n^-0.96.
    worse, as_predicted = (
        replace(fit, without_floor=(low, -0.2), low=low, high=-0.2) for low in (-0.4, -0.96)
    )
    assert power_status(refuting, fit, 0.1)[0] == "violated"
    assert power_status(refuting, worse, 0.1)[0] == "violated"
    assert power_status(refuting, as_predicted, 0.1)[0] == "inconclusive"
    # Mirrored: y is bounded by x^-1 from above, and smaller exponents are better.
    mirrored = replace(refuting, reciprocal=False, exponent=-1.0, rivals=(-0.5,), better="smaller")
    assert power_status(mirrored, worse, 0.1)[0] == "violated"
    assert power_status(mirrored, as_predicted, 0.1)[0] == "inconclusive"


def test_rounding_floor_does_not_block() -> None:
    wide = np.geomspace(1, 1e6, 25)
    rows = table(wide, wide**-2.0 + 1e-11)
    assert (
        judge_power_rate(replace(RATE, exponent=2.0, rivals=(1.0,)), rows, "bandit").status
        == "tight"
    )


def test_early_floor_is_too_few_decades() -> None:
    verdict = judge_power_rate(RATE, table(N, 1 / N + 0.03), "bandit")
    assert verdict.status == "inconclusive"
    assert "floor" in verdict.reason
    assert "decades" in verdict.reason


def test_short_range_wide_interval_and_lack_of_fit_are_inconclusive() -> None:
    short = np.geomspace(10, 80, 8)
    verdict = judge_power_rate(RATE, table(short, 1 / short), "bandit")
    assert (verdict.status, "too few decades" in verdict.reason) == ("inconclusive", True)
    wide = judge_power_rate(RATE, table(N, 1 / N, noise=2.0, seeds=4), "bandit")
    assert (wide.status, "wider" in wide.reason) == ("inconclusive", True)
    bent = judge_power_rate(RATE, table(N, np.exp(-(np.log(N) ** 2) / 4)), "bandit")
    assert (bent.status, "lack of fit" in bent.reason) == ("inconclusive", True)


def test_burn_in_needs_replicates_unless_the_curve_is_nearly_exact() -> None:
    # A growing curve, so that no floor can be fitted in the place of the burn-in.
    growth = replace(RATE, reciprocal=False)
    # The burn-in is seen up to n = 700 or so, and the guard drops a further factor of 2: on the usual
    # grid, up to 10^4, that leaves 0.8 decades, and one is needed before replicates matter.
    wide = np.geomspace(10, 100_000, 16)
    curve = wide * (1 + 3 * np.exp(-wide / 100))
    few = judge_power_rate(growth, table(wide, curve, noise=0.1, seeds=4), "bandit")
    assert few.status == "inconclusive"
    assert "4 replicates" in few.reason
    exact = judge_power_rate(growth, table(wide, curve, noise=1e-6, seeds=4), "bandit")
    assert exact.status == "tight"
    assert judge_power_rate(growth, table(wide, curve, seeds=16), "bandit").status == "tight"


def test_a_correction_speaks_about_the_limit() -> None:
    """``sigma (1 + 8 sigma)`` on 1e-4 to 0.03: the mean slope is about 1.02, and its limit is 1.

    Its logarithm is 8 sigma - 32 sigma² + ..., the next term at most 4.6e-3 at the largest sigma.
    """
    rising = replace(RATE, x="sigma", reciprocal=False, limit="zero", resolution=0.01)
    sigma = np.geomspace(1e-4, 0.03, 12)
    rows = table(sigma, sigma * (1 + 8 * sigma), noise=1e-3, names=("sigma", "error"))
    plain = judge_power_rate(rising, rows, "bandit")
    assert plain.status != "tight"
    assert plain.measured["low"] > 1  # type: ignore[operator]
    verdict = judge_power_rate(replace(rising, correction="quadratic"), rows, "bandit")
    assert verdict.status == "tight"
    assert "at the limit (quadratic correction)" in verdict.reason
    assert verdict.evidence["corrections"][0] == pytest.approx(8, rel=0.2)  # type: ignore[index]
    few = table(sigma[:5], sigma[:5], names=("sigma", "error"))
    verdict = judge_power_rate(replace(rising, correction="quadratic"), few, "bandit")
    assert "5 points, 6 are needed" in verdict.reason


def test_bad_rows_are_named_and_never_dropped() -> None:
    diverged = table(N, 1 / N)
    diverged.loc[diverged["seed"] == 3, "status"] = "diverged"
    verdict = judge_power_rate(RATE, diverged, "bandit")
    assert verdict.status == "inconclusive"
    assert "12 of 192 rows have status 'diverged' (seeds 3)" in verdict.reason
    missing = table(N, 1 / N)
    missing.loc[[5, 30], "error"] = np.nan
    verdict = judge_power_rate(RATE, missing.drop(index=100), "bandit")
    assert "3 of 192 values are missing or not finite (seeds 0, 2, 8)" in verdict.reason
    zero = table(N, 1 / N)
    zero.loc[5, "error"] = 0.0
    assert "1 values are not positive" in judge_power_rate(RATE, zero, "bandit").reason
    assert "one seed" in judge_power_rate(RATE, table(N, 1 / N, seeds=1), "bandit").reason
    assert "3 points" in judge_power_rate(RATE, table(N[:3], 1 / N[:3]), "bandit").reason
    elsewhere = replace(RATE, where={"sweep": "sigma"})
    assert "no rows" in judge_power_rate(elsewhere, table(N, 1 / N), "bandit").reason


def test_ambiguous_or_incomplete_tables_are_refused() -> None:
    rows = table(N, 1 / N)
    with pytest.raises(InvalidArgumentError, match="several rows"):
        judge_power_rate(RATE, pd.concat([rows, rows]), "bandit")
    with pytest.raises(InvalidArgumentError, match="no column 'error'"):
        judge(CLAIM, rows.drop(columns="error"))
    with pytest.raises(InvalidArgumentError, match="no rows"):
        judge(CLAIM, rows.iloc[:0])


@pytest.mark.parametrize(
    ("curve", "status", "why"),
    [
        (0.8**K, "holds", "geometric"),
        (0.97**K, "inconclusive", "decades"),
        (1 / (K + 1), "violated", "power law"),
        (np.exp(-(K**2) / 100), "faster", "later slope"),
        (0.5**K + 1e-3, "inconclusive", ""),
        (np.ones_like(K), "inconclusive", "usable points"),
    ],
)
def test_geometric_statuses(curve: np.ndarray, status: str, why: str) -> None:
    rows = table(K, curve, noise=0.01, names=("k", "gap"))
    verdict = judge_geometric_rate(GEOMETRIC, rows, "bandit")
    assert verdict.status == status
    assert why in verdict.reason


def test_worst_status_decides_and_faster_means_everywhere() -> None:
    def status(*exponents: float) -> str:
        rows = [table(N, N**-p, problem=f"p{i}") for i, p in enumerate(exponents)]
        return judge(CLAIM, pd.concat(rows, ignore_index=True)).status

    assert status(1.0, 1.0) == "tight"
    assert status(1.3, 1.0) == "tight"
    assert status(1.3, 1.4) == "faster"
    assert status(1.3, 0.5) == "violated"
    short = table(N[:4], 1 / N[:4], problem="short")
    good, bad = table(N, 1 / N, problem="good"), table(N, N**-0.5, problem="bad")
    assert judge(CLAIM, pd.concat([short, good])).status == "inconclusive"
    verdict = judge(CLAIM, pd.concat([short, good, bad]))
    assert verdict.status == "violated"
    assert "bad, 1/n" in verdict.reason
    assert len(verdict.rates) == 3


def test_a_kept_inequality_is_below_faster_and_above_tight() -> None:
    """``"tight"`` of a claim says that an exponent was met; ``"faster"`` that every rate was beaten."""
    both = replace(CLAIM, rates=(RATE, replace(GEOMETRIC, x="n", y="gap")))

    def status(exponent: float) -> tuple[str, list[str]]:
        wide = np.arange(1.0, 101.0)
        rows = table(wide, wide**-exponent)
        rows["gap"] = 0.8 ** rows["n"]
        verdict = judge(both, rows)
        return verdict.status, [rate.status for rate in verdict.rates]

    assert status(1.0) == ("tight", ["tight", "holds"])
    assert status(1.3) == ("holds", ["faster", "holds"])


def test_passed_respects_negative_controls() -> None:
    control = replace(CLAIM, expected="violated")
    good, bad = table(N, 1 / N), table(N, N**-0.5)
    assert judge(CLAIM, good).passed
    assert not judge(CLAIM, bad).passed
    assert not judge(control, good).passed
    assert judge(control, bad).passed


def test_an_open_statement_fails_nothing_and_keeps_its_status() -> None:
    statement = replace(CLAIM, expected="open", kind="open")
    curves = {"tight": N**-1.0, "violated": N**-0.5, "inconclusive": np.ones_like(N) * np.nan}
    for status, curve in curves.items():
        verdict = judge(statement, table(N, curve))
        assert verdict.status == status
        assert verdict.passed
        assert verdict.to_dict()["expected"] == "open"


def test_a_control_is_caught_only_when_every_rate_is_violated_on_every_problem() -> None:
    control = replace(CLAIM, expected="violated")
    good, bad = table(N, 1 / N, problem="good"), table(N, N**-0.5, problem="bad")
    verdict = judge(control, pd.concat([bad, good]))
    assert verdict.status == "violated"
    assert not verdict.passed
    assert "not caught everywhere (good, 1/n: tight)" in verdict.reason
    also_bad = table(N, N**-0.4, problem="also bad")
    assert judge(control, pd.concat([bad, also_bad])).passed
    # The same y, of which a second rate predicts what it does: caught by one rate only.
    slow = replace(RATE, name="slow", exponent=0.5, rivals=(1.0,))
    assert not judge(replace(control, rates=(RATE, slow)), bad).passed
    # A control that was not judged was not caught.
    assert not judge(control, bad, {"bad": {"support": "missing"}}).passed


def test_failed_audit_leaves_the_rate_unjudged() -> None:
    failed = {"bandit": {"support": "a start law with a zero"}}
    verdict = judge(CLAIM, table(N, N**-0.5), failed)
    assert verdict.status == "assumption not met"
    assert "support: a start law with a zero" in verdict.reason
    assert verdict.rates[0].fit is None
    assert judge(CLAIM, table(N, N**-0.5), {}).status == "violated"


def test_failed_audit_spares_the_other_problems() -> None:
    rows = pd.concat([table(N, 1 / N, problem="good"), table(N, N**-0.5, problem="bad")])
    verdict = judge(CLAIM, rows, {"bad": {"support": "missing"}, "elsewhere": {"x": "y"}})
    assert [rate.status for rate in verdict.rates] == ["tight", "assumption not met"]
    assert verdict.status == "assumption not met"
    assert judge(CLAIM, rows, {"good": {"support": "missing"}}).status == "violated"


@pytest.mark.parametrize("audits", [None, {"bandit": {"support": "missing"}}])
def test_record_is_json(audits: dict[str, dict[str, str]] | None) -> None:
    claim = replace(CLAIM, rates=(RATE, GEOMETRIC))
    rows = table(N, 1 / N)
    rows[["k", "gap"]] = rows[["n", "error"]]
    record = json.loads(json.dumps(judge(claim, rows, audits).to_dict(), allow_nan=False))
    assert record["claim"] == "planted"
    assert [entry["rate"] for entry in record["evidence"]] == ["1/n", "k"]
    assert record["evidence"][0]["problem"] == "bandit"


def test_figures_find_the_data_and_the_fit() -> None:
    rate = judge(CLAIM, table(N, 1 / N)).rates[0]
    np.testing.assert_allclose(rate.x, N)
    assert rate.y.shape == (16, 12)
    assert rate.fit is not None
    assert rate.fit.replicates == 16
