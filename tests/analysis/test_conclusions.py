"""Sentences across claims, from planted tables whose numbers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis.conclusions import saving
from theory_check.analysis.verdict import Verdict, judge
from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError


def ratio_table(schedule: str, ratio: float) -> pd.DataFrame:
    """Accuracies of ``ratio`` times the target on two problems, without noise."""
    return pd.DataFrame(
        [
            {
                "problem": problem,
                "seed": seed,
                "schedule": schedule,
                "epsilon": epsilon,
                "half_stationarity": ratio * epsilon,
                "sampling_error": 0.1,
                "status": "ok",
            }
            for problem in ("one", "two")
            for seed in range(8)
            for epsilon in np.geomspace(1e-1, 1e-3, 5)
        ]
    )


def cost_table(independent: float, shared: float) -> pd.DataFrame:
    """``4 epsilon**-independent`` and ``2 epsilon**-shared`` samples, tuned, on one problem."""
    return pd.DataFrame(
        [
            {
                "problem": "one",
                "seed": seed,
                "method": method,
                "accuracy": "half",
                "epsilon": epsilon,
                "samples": constant * epsilon**-exponent,
                "iterations": 1 / epsilon,
                "trajectories": 9 / epsilon,
                "interior": True,
                "status": "ok",
            }
            for method, constant, exponent in (
                ("penalty", 4.0, independent),
                ("penalty-shared", 2.0, shared),
            )
            for seed in range(8)
            for epsilon in np.geomspace(1e-1, 1e-3, 5)
        ]
    )


def composed(name: str, tables: dict[str, pd.DataFrame]) -> list[str]:
    conclusion = Catalogue.shipped().conclusions[name]
    verdicts: dict[str, Verdict] = {
        claim: judge(Catalogue.shipped().claim(claim), tables[claim]) for claim in conclusion.claims
    }
    return conclusion.compose(verdicts, tables)


def test_every_conclusion_reads_known_claims() -> None:
    assert {"coupling-saving", "needed"} <= set(Catalogue.shipped().conclusions)
    for conclusion in Catalogue.shipped().conclusions.values():
        assert set(conclusion.claims) <= set(Catalogue.shipped().claims)


def test_saving_is_that_of_the_planted_costs() -> None:
    # 4 e^-3 over 2 e^-2 at e = 1e-3 is 2000, and there is no noise.
    table = cost_table(3.0, 2.0)
    sentences = composed("coupling-saving", {"attained-3": table, "attained-hard": table})
    assert len(sentences) == 2
    assert sentences[0].startswith("one: tuned to reach a mean ‖∇Phi‖² of 0.001")
    assert "draws 2e+03 [2e+03, 2e+03] times as many" in sentences[0]
    # Without one of the methods there is nothing to compare.
    alone = table[table["method"] == "penalty"]
    assert len(composed("coupling-saving", {"attained-3": table, "attained-hard": alone})) == 1


def test_the_saving_pairs_replicates() -> None:
    """A factor common to both methods of a replicate cancels; 1 to 8 on one of them does not."""
    rows = cost_table(3.0, 2.0)
    rows = rows[rows["epsilon"] == rows["epsilon"].min()]
    common = rows.assign(samples=rows["samples"] * (1 + rows["seed"]))
    paired = saving(common, "penalty", "penalty-shared")
    assert (paired.low, paired.high) == pytest.approx((2000.0, 2000.0))
    tilted = rows.assign(
        samples=rows["samples"] * np.where(rows["method"] == "penalty", 1 + rows["seed"], 1.0)
    )
    logs = np.log(np.arange(1, 9))
    reach = 2.364624 * logs.std(ddof=1) / np.sqrt(8)
    found = saving(tilted, "penalty", "penalty-shared")
    assert found.value == pytest.approx(2000 * np.exp(logs.mean()))
    assert found.low == pytest.approx(2000 * np.exp(logs.mean() - reach), rel=1e-5)


def test_a_replicate_that_missed_its_target_counts_as_infinite() -> None:
    """Ratios 2000 times 1 to 8, the last of which is infinite: median 9000, order statistics 1 and 8."""
    rows = cost_table(3.0, 2.0)
    rows = rows[rows["epsilon"] == rows["epsilon"].min()]
    dear = rows["method"] == "penalty"
    factors = np.where(dear, 1.0 + rows["seed"], 1.0)
    costs = np.where(dear & (rows["seed"] == 7), np.inf, rows["samples"] * factors)
    found = saving(rows.assign(samples=costs), "penalty", "penalty-shared")
    assert (found.value, found.low, found.high) == pytest.approx((9000.0, 2000.0, np.inf))
    # Missed with both it says nothing; missed with the other one the ratio is 0.
    both = np.where(rows["seed"] == 7, np.inf, costs)
    assert saving(rows.assign(samples=both), "penalty", "penalty-shared").high < np.inf
    none = np.where(rows["seed"] > 0, np.inf, costs)
    with pytest.raises(InvalidArgumentError, match="missing"):
        saving(rows.assign(samples=none), "penalty", "penalty-shared")


def test_the_saving_of_central_differences_is_that_of_the_planted_costs() -> None:
    # 4 e^-3 over 4 e^-(5/2) at e = 1e-3 is 31.6, and 2 e^-2 over 2 e^-2 is 1.
    forward = cost_table(3.0, 2.0)
    central = cost_table(2.5, 2.0)
    central = central.assign(
        method=central["method"].map(
            {"penalty": "penalty-central", "penalty-shared": "penalty-central-shared"}
        )
    )
    tables = {"attained-3": forward, "attained-central": central}
    tables |= {"attained-hard": forward, "attained-central-hard": central}
    sentences = composed("central-saving", tables)
    assert len(sentences) == 2
    assert "31.6 [31.6, 31.6] times with independent batches" in sentences[0]
    assert "1 [1, 1] times with a shared batch" in sentences[0]


def test_each_schedule_is_sufficient_and_needed_or_not() -> None:
    conclusion = Catalogue.shipped().conclusions["needed"]
    natural, hard = cost_table(1.5, 1.0), cost_table(3.0, 2.0)
    tables = {
        "schedule-7/2": ratio_table("total-7/2", 0.1),
        "schedule-7/2-hard": ratio_table("total-7/2", 0.9),
        "schedule-3": ratio_table("total-3", 0.1),
        "schedules-hard": ratio_table("total-3", 1.0),
        "schedule-2": ratio_table("total-2", 0.1),
        "schedule-2-hard": ratio_table("total-2", 5.0),
        "attained-3": natural,
        "attained-2": natural,
        "attained-hard": hard,
    }
    assert set(tables) == set(conclusion.claims)
    first, second, third = composed("needed", tables)
    assert first.startswith("epsilon^-7/2: sufficient on 4 of 4 problems")
    assert first.endswith("not needed, since the schedule of epsilon^-3 suffices with less.")
    assert "sufficient on 4 of 4 problems" in second
    assert "needed on natural problems? one 1.50 [1.50, 1.50], faster" in second
    assert "needed in the class? one 3.00 [3.00, 3.00], tight" in second
    # Five times the target is more than the declared multiple.
    assert "sufficient on 2 of 4 problems" in third
    assert "two 5 to 5" in third


def test_constants_are_stated_beside_what_was_measured() -> None:
    """Every quantity planted with half of its bound's exponent."""
    tables = {}
    for name in Catalogue.shipped().conclusions["constants"].claims:
        claim = Catalogue.shipped().claim(name)
        small = claim.rates[0].limit == "zero"
        x = np.geomspace(1, 64, 7) ** (-1 if small else 1)
        rows = pd.DataFrame({claim.rates[0].x: np.tile(x, 8), "seed": np.repeat(np.arange(8), 7)})
        for rate in claim.rates:
            growth = getattr(rate, "exponent", 0.0) / 2
            grown = (1 / rows[rate.x] if small else rows[rate.x]) ** growth
            rows[rate.y] = grown * (1 + rows["seed"] / 10)
        tables[name] = rows.assign(problem="one", status="ok")
    sentences = composed("constants", tables)
    assert "1/beta, one, gradient bias: stated at most 3, derived at most 2, measured 1.00" in (
        sentence.partition(" [")[0] for sentence in sentences
    )
    assert len(sentences) == len({sentence.partition(": ")[0] for sentence in sentences}) == 41
