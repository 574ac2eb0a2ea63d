"""How often verdicts on sample complexities are wrong: planted tables of 5 to 7 targets.

The counterpart of :mod:`theory_check.analysis.verdict_calibration` for the short curves of
sample-complexity experiments; ``make calibrate`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from theory_check.analysis.complexity_verdict import judge_complexity_rate
from theory_check.claims import get_claim
from theory_check.claims.base import ComplexityRate
from theory_check.errors import InvalidArgumentError

CLAIMS = ("total-2", "total-3", "total-7/2")


@dataclass(frozen=True)
class PlantedComplexity:
    """Accuracies that ``target**-p log(1/target)`` samples buy, noisy as those of real runs.

    The expected accuracy is ``target (1 + start target / largest target) + floor`` times a
    constant; replicates differ by lognormal factors, of standard deviation ``scatter`` on the
    logarithm between replicates and ``noise`` between the points of one.

    Attributes
    ----------
    points
        Number of targets.
    decades
        Factors of ten between the largest target, 0.15, and the smallest.
    start
        Relative excess of the accuracy at the largest target, which falls with the cube of the
        target; negative where the start of the runs caps the error.
    floor
        Additive constant, as a multiple of the smallest target.
    scatter, noise
        Standard deviations; a factor of 1.5 and 5 %.
    """

    points: int = 6
    decades: float = 2.3
    start: float = 0.0
    floor: float = 0.0
    scatter: float = float(np.log(1.5))
    noise: float = 0.05


CASES: Mapping[str, PlantedComplexity] = {
    "5 targets": PlantedComplexity(points=5),
    "6 targets": PlantedComplexity(),
    "7 targets": PlantedComplexity(points=7),
    "burn-in": PlantedComplexity(points=7, decades=2.5, start=0.5),
    "capped start": PlantedComplexity(points=7, decades=2.5, start=-0.3),
    "floor": PlantedComplexity(points=7, decades=2.5, floor=2.0),
    "floor, 5 targets": PlantedComplexity(points=5, decades=2.5, floor=2.0),
}


def claimed_rate(claim: str) -> ComplexityRate:
    """Return the rate of a claim on sample complexity, by the claim's id."""
    rate = get_claim(claim).rates[0]
    if not isinstance(rate, ComplexityRate):
        raise InvalidArgumentError("claim", claim, f"pass one of {', '.join(CLAIMS)}")
    return rate


def plant_complexity(
    planted: PlantedComplexity,
    rate: ComplexityRate,
    exponent: float,
    replicates: int,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Return the table of one planted experiment, with the columns that ``rate`` reads."""
    targets = 0.15 * np.geomspace(1, 10**-planted.decades, planted.points)
    expected = targets * (1 + planted.start * (targets / targets[0]) ** 3)
    expected = expected + planted.floor * targets[-1]
    logs = planted.scatter * generator.standard_normal((replicates, 1))
    logs = logs + planted.noise * generator.standard_normal((replicates, planted.points))
    per_log = np.tile(targets**-exponent, replicates)
    return pd.DataFrame(
        {
            "problem": "planted",
            "seed": np.repeat(np.arange(replicates), planted.points),
            rate.x: per_log,
            rate.plain_x: per_log * np.tile(np.log(1 / targets), replicates),
            rate.y: (expected * np.exp(logs)).ravel(),
            **rate.where,
        }
    )


def complexity_shares(
    cases: Sequence[str] = tuple(CASES),
    *,
    claims: Sequence[str] = CLAIMS,
    worse_by: Sequence[float] = (0.0, 2.0),
    replicates: int = 16,
    trials: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge claims on planted tables whose exponent is worse by known amounts.

    A floor refutes the claims: in the cases with a floor the share of ``violated`` is the power
    against it, in the others it counts floors seen where there is none.

    Parameters
    ----------
    cases
        Names in :data:`CASES`.
    claims
        Ids of the claims whose rates are judged, taken in turn.
    worse_by
        Amounts by which the planted exponent exceeds the predicted one, in resolutions.
    replicates
        Seeds of each planted table.
    trials
        Independent planted tables per row.
    seed
        Of the planted noise; each row has its own stream.

    Returns
    -------
    pandas.DataFrame
        One row per case and amount: ``coverage`` of the planted exponent by the 95 % interval, with
        its exact binomial 95 % interval ``coverage_low``, ``coverage_high``; median ``width``;
        shares of each status, and the exact interval ``violated_low``, ``violated_high``; shares
        of fits with a ``floor`` and with a ``burn_in``.
    """
    rates = [claimed_rate(claim) for claim in claims]
    return pd.DataFrame(
        [
            _row(case, rates, amount, replicates, trials, seed)
            for case in cases
            for amount in worse_by
        ]
    )


def _row(
    case: str,
    rates: Sequence[ComplexityRate],
    amount: float,
    replicates: int,
    trials: int,
    seed: int,
) -> dict[str, object]:
    generator = np.random.default_rng([seed, list(CASES).index(case), round(10 * amount)])
    statuses, covered, widths, floors, burn_ins = [], 0, [], 0, 0
    for trial in range(trials):
        judged = rates[trial % len(rates)]
        truth = judged.exponent + amount * judged.resolution
        table = plant_complexity(CASES[case], judged, truth, replicates, generator)
        verdict = judge_complexity_rate(judged, table, "planted")
        low, high = (float(str(verdict.measured[end])) for end in ("low", "high"))
        statuses.append(verdict.status)
        covered += low <= truth <= high
        widths.append(high - low)
        floors += verdict.evidence["floor"] is True
        burn_ins += verdict.evidence["burn_in"] != 0
    coverage = stats.binomtest(covered, trials).proportion_ci(0.95, method="exact")
    violated = stats.binomtest(statuses.count("violated"), trials)
    exact = violated.proportion_ci(0.95, method="exact")
    return {
        "case": case,
        "worse_by": amount,
        "coverage": covered / trials,
        "coverage_low": coverage.low,
        "coverage_high": coverage.high,
        "width": float(np.median(widths)),
        **{
            status: statuses.count(status) / trials
            for status in ("tight", "faster", "violated", "inconclusive")
        },
        "violated_low": exact.low,
        "violated_high": exact.high,
        "floor": floors / trials,
        "burn_in": burn_ins / trials,
    }
