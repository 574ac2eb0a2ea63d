"""Instances of a family as the unit: what is averaged, what is resampled, what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis import judge
from theory_check.analysis.population import judge_on_units, unit_table
from theory_check.analysis.verdict import JUDGES
from theory_check.claims.base import Claim
from theory_check.claims.rates import GeometricRate, InequalityRate, PowerRate, Rate, ScheduleRate
from theory_check.claims.sample_complexity import INDEPENDENT_RATE as NEEDED
from theory_check.claims.schedules import SCHEDULE_3_RATE as SUFFICIENT
from theory_check.errors import InvalidArgumentError

X = np.geomspace(0.001, 0.1, 9)
RATE = PowerRate(
    "bias", "x", "y", 1.0, False, "zero", "larger", 0.05, (0.5, 2.0), "value", "$x$", "$y$"
)
GEOMETRIC = GeometricRate("decay", "x", "y", 4.0, "$x$", "$y$")
INEQUALITY = InequalityRate("below", "x", "y", None, 1.0, 0.0, "$x$", "$y$")


def claim(*rates: Rate) -> Claim:
    return Claim("planted", "It is.", "here", "D", "measured", "Yes.", ("none",), "planted", rates)


def family(
    exponents: Mapping[tuple[int, int], float], x: np.ndarray = X, instances: bool = True
) -> pd.DataFrame:
    """``x ** exponent`` for every instance and start; with seeds that no two starts share."""
    frames = [
        pd.DataFrame(
            {"x": x, "y": x**exponent, "instance": instance, "seed": 100 * instance + start}
        )
        for (instance, start), exponent in exponents.items()
    ]
    table = pd.concat(frames, ignore_index=True).assign(problem="p", status="ok")
    return table if instances else table.drop(columns="instance")


def drawn(
    between: float, within: float, instances: int, starts: int, seed: int
) -> dict[tuple[int, int], float]:
    generator = np.random.default_rng(seed)
    centres = 1 + between * generator.standard_normal(instances)
    return {
        (instance, start): centres[instance] + within * generator.standard_normal()
        for instance in range(instances)
        for start in range(starts)
    }


def test_starts_are_averaged_within_an_instance() -> None:
    table = family({(0, 0): 1.0, (0, 1): 2.0, (1, 0): 1.0, (1, 1): 1.0})
    units = unit_table(RATE, table)
    assert sorted(set(units["seed"])) == [0, 1]
    first = units[units["seed"] == 0].sort_values("x")
    np.testing.assert_allclose(first["y"], (X + X**2) / 2, rtol=1e-14)
    assert len(units) == 2 * len(X)


def test_the_interval_is_over_instances_and_not_over_starts() -> None:
    """20 instances that differ, 8 starts on each that hardly do: 160 starts are not 160 witnesses.

    The standard error of the mean exponent is 0.05/sqrt(20) = 0.011 over instances, half-width 0.023;
    over 160 starts taken for independent it would be 0.0079. The planted instances are fixed.
    """
    exponents = drawn(between=0.05, within=0.001, instances=20, starts=8, seed=1)
    judged = judge(claim(RATE), family(exponents), families={"p": "garnet instances (states 3)"})
    (rate,) = judged.rates
    naive = judge(claim(RATE), family(exponents, instances=False)).rates[0]
    width, narrow = (found.measured["high"] - found.measured["low"] for found in (rate, naive))
    assert narrow < 0.5 * width  # sqrt(8) = 2.8 in expectation
    assert rate.y.shape == (20, len(X))
    assert rate.population == ("20 random garnet instances (states 3), 8 random starts each")
    assert naive.population == "160 random starts on one instance"


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.01), (0.01, 0.05)])
def test_both_spreads_are_given(between: float, within: float) -> None:
    """Within a third of the truth for 40 instances of 10 starts; the between one contains
    within²/10 of starts. The relative errors, 1/sqrt(78) and 1/sqrt(720), make that 2.9 sd or more:
    false alarm below 0.5 %, and the draws are fixed."""
    table = family(drawn(between, within, instances=40, starts=10, seed=2))
    spread = judge(claim(RATE), table).rates[0].spread
    assert list(spread) == ["between instances", "between starts"]
    of_means = np.sqrt(between**2 + within**2 / 10)
    assert spread["between instances"] == pytest.approx(of_means, rel=1 / 3)
    assert spread["between starts"] == pytest.approx(within, rel=1 / 3)


def test_on_one_instance_the_spread_is_that_of_starts() -> None:
    exponents = {(0, start): 1 + 0.01 * start for start in range(10)}
    rate = judge(claim(RATE), family(exponents, instances=False)).rates[0]
    expected = np.std(0.01 * np.arange(10), ddof=1)
    assert rate.spread == {"between starts": pytest.approx(expected, rel=1e-9)}


def test_of_a_geometric_rate_it_is_the_spread_of_rho() -> None:
    x = np.arange(1.0, 101.0)
    frames = []
    rhos = np.linspace(0.7, 0.8, 10)
    for instance, rho in enumerate(rhos):
        for start in range(2):
            decay = pd.DataFrame({"x": x, "y": (1 + start) * rho**x})
            frames.append(decay.assign(instance=instance, seed=10 * instance + start))
    table = pd.concat(frames, ignore_index=True).assign(problem="p", status="ok")
    rate = judge(claim(GEOMETRIC), table).rates[0]
    assert rate.status == "holds"
    spread = rate.spread
    assert spread["between instances"] == pytest.approx(rhos.std(ddof=1), rel=1e-6)
    assert spread["between starts"] == pytest.approx(0.0, abs=1e-9)


def test_an_inequality_is_kept_by_an_instance_if_all_of_its_starts_keep_it() -> None:
    table = family({(i, start): 1.0 for i in range(10) for start in range(3)})
    table.loc[(table["instance"] == 4) & (table["seed"] == 401), "y"] = 2.0
    rate = judge(claim(INEQUALITY), table).rates[0]
    assert rate.measured["share"] == 0.9
    assert rate.evidence["exceptions"] == [4]
    assert rate.spread == {}


def test_a_fixed_problem_beside_a_family_keeps_its_starts() -> None:
    fixed = family({(0, start): 1.0 + 0.01 * start for start in range(9)})
    fixed = fixed.assign(problem="fixed", instance=pd.NA)
    table = pd.concat([family(drawn(0.01, 0.01, 8, 2, 3)), fixed], ignore_index=True)
    table["instance"] = table["instance"].astype("Int64")
    rates = {rate.problem: rate for rate in judge(claim(RATE), table).rates}
    assert rates["fixed"].population == "9 random starts on one instance"
    assert rates["p"].population == "8 random instances, 2 random starts each"
    assert rates["fixed"].y.shape[0] == 9
    assert rates["p"].y.shape[0] == 8


@pytest.mark.parametrize("rate", [RATE, GEOMETRIC, INEQUALITY])
def test_a_start_that_failed_spoils_the_family(rate: Rate) -> None:
    table = family({(i, start): 1.0 for i in range(8) for start in range(2)})
    table.loc[table["seed"] == 301, "status"] = "diverged"
    found = judge(claim(rate), table).rates[0]
    assert found.status == "inconclusive"
    assert "'diverged'" in found.reason


def _without_a_row(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[1:]


def _with_a_row_twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[:1]])


@pytest.mark.parametrize("spoil", [_without_a_row, _with_a_row_twice])
def test_starts_that_lack_rows_are_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    """An average over fewer starts at one x would bend the curve unnoticed."""
    table = spoil(family({(i, start): 1.0 for i in range(8) for start in range(2)}))
    with pytest.raises(InvalidArgumentError, match="starts with missing or repeated x"):
        judge(claim(RATE), table)


def test_rates_of_several_columns_are_refused() -> None:
    for rate in (SUFFICIENT, NEEDED):
        with pytest.raises(InvalidArgumentError, match="judge bounds, schedules and costs on"):
            unit_table(rate, family({(0, 0): 1.0}))


@pytest.mark.parametrize(
    ("rate", "population"),
    [(NEEDED, "8 replicates tuned apart, on one problem"), (SUFFICIENT, "8 runs on one problem")],
)
def test_replicates_of_costs_and_schedules_are_called_what_they_are(
    rate: Rate, population: str
) -> None:
    rows = pd.DataFrame(
        {"problem": "fixed", "seed": range(8), rate.x: 0.1, rate.y: 1.0, **rate.where}
    )
    if isinstance(rate, ScheduleRate):
        rows[rate.noise] = 1.0
    found = judge_on_units(rate, rows, "fixed", JUDGES[type(rate)].judge)
    assert found.population == population


def test_the_status_of_a_fixed_problem_does_not_change() -> None:
    """Planted verdicts with and without the layer that chooses the unit."""
    from theory_check.analysis.power_verdict import judge_power_rate

    exponents: Sequence[float] = [0.8, 1.0, 1.3]
    for exponent in exponents:
        table = family(
            {(0, start): exponent + 0.001 * start for start in range(9)}, instances=False
        )
        plain = judge_power_rate(RATE, table, "p")
        found = judge(claim(RATE), table).rates[0]
        assert replace(found, population="", spread={}) == plain
