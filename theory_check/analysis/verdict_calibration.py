"""How often verdicts are wrong: planted tables at, and worse than, the predicted rate.

Run ``make calibrate`` for the tables of 500 traces per case: coverage of the intervals, false
``violated`` at the true rate, and power against slower decays.
The printed traces are those of seed 1, on which nothing was developed or tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from theory_check.analysis.calibration import CASES, PlantedTrace, coverage, plant
from theory_check.analysis.rate_verdict import judge_power_rate
from theory_check.claims.rates import PowerRate

RATE = PowerRate(
    name="decay",
    x="x",
    y="y",
    exponent=-1,
    reciprocal=False,
    limit="infinity",
    better="smaller",
    resolution=0.05,
    rivals=(-0.5, -2.0),
    y_units="value",
    x_symbol="$x$",
    y_symbol="$y$",
)
JUDGED = ("clean", "heavy tails", "correlated", "burn-in", "floor", "slow transient")


def verdict_shares(
    cases: Sequence[str] = JUDGED,
    *,
    slower_by: Sequence[float] = (0.0, 0.1, 0.2),
    replicates: int = 16,
    trials: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge the claim ``y = O(1/x)`` (resolution 0.05) on traces that decay slower by a known amount.

    Parameters
    ----------
    cases
        Names in :data:`theory_check.analysis.calibration.CASES`, of traces with exponent -1.
    slower_by
        Amounts by which the planted exponent is worse than predicted; 0 is the truth of the
        claim.
    replicates
        Seeds of each planted table.
    trials
        Independent planted tables per row.
    seed
        Of the planted noise; each row has its own stream.

    Returns
    -------
    pandas.DataFrame
        One row per case and amount: ``case``, ``slower_by``, shares of each status, and the exact
        binomial 95 % interval ``violated_low``, ``violated_high`` of the share of ``violated``.
        At ``slower_by`` 0 that share is the false alarm rate, elsewhere the power.
    """
    rows = []
    for case in cases:
        for amount in slower_by:
            trace = replace(CASES[case], exponent=CASES[case].exponent + amount)
            stream = [seed, list(CASES).index(case), round(1000 * amount)]
            statuses = _statuses(trace, replicates, trials, np.random.default_rng(stream))
            violated = statuses.count("violated")
            exact = stats.binomtest(violated, trials).proportion_ci(0.95, method="exact")
            shares = {
                status: statuses.count(status) / trials
                for status in ("tight", "faster", "violated", "inconclusive")
            }
            interval = {"violated_low": exact.low, "violated_high": exact.high}
            rows.append({"case": case, "slower_by": amount, **shares, **interval})
    return pd.DataFrame(rows)


def _statuses(
    trace: PlantedTrace, replicates: int, trials: int, generator: np.random.Generator
) -> list[str]:
    statuses: list[str] = []
    for _ in range(trials):
        x, y = plant(trace, replicates, generator)
        seeds = np.repeat(np.arange(replicates), x.size)
        table = pd.DataFrame(
            {"problem": "planted", "seed": seeds, "x": np.tile(x, replicates), "y": y.ravel()}
        )
        statuses.append(judge_power_rate(RATE, table, "planted").status)
    return statuses


def main() -> None:
    """Print coverage and verdict shares of 500 planted traces per case."""
    with pd.option_context("display.width", 160, "display.max_columns", 20):
        for table in (coverage(trials=500, seed=1), verdict_shares(seed=1)):
            print(table.round(3).to_string(index=False), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
