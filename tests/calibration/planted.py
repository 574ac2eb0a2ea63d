"""Whether intervals cover, and how often verdicts are wrong: planted traces of known exponents.

The positive control of ``docs/theory.md`` section 6. Every trace is an expected curve times positive
noise of mean constant along x, so that the mean curve has the planted form. ``make calibrate`` prints the
tables of 500 traces per case: coverage, false ``violated`` at the true rate, power against slower decays.
The printed traces are those of seed 1, on which nothing was developed or tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from theory_check.analysis.power_law import fit_power_law
from theory_check.analysis.power_verdict import judge_power_rate
from theory_check.analysis.replicates import Average
from theory_check.claims.rates import PowerRate


@dataclass(frozen=True)
class PlantedTrace:
    """A decay towards large x whose exponent is known.

    The expected curve is ``x**exponent * log(x)**log_power * (1 + transient exp(-x/10)) + floor``
    on a logarithmic grid; the noise is lognormal. With an ``onset`` every replicate is flat before a
    time of its own, as the mean over a run is before its start is forgotten.

    Attributes
    ----------
    exponent
        Negative: y decays.
    noise
        Standard deviation of the noise's logarithm.
    correlation
        Of that logarithm between neighbouring points of one replicate (first-order
        autoregressive).
    scatter
        Standard deviation of the logarithm of the replicates' prefactors.
    transient
        Relative size of the burn-in at x = 0.
    onset
        Median over replicates of the x at which the decay begins; 0 for a decay from the start.
    onset_scatter
        Standard deviation of its logarithm.
    floor
        Additive constant, in units of y.
    log_power
        Power of the log factor; fitted with that power known.
    average
        Average that the fit is asked for.
    smallest, largest, points
        The grid.
    """

    exponent: float = -1.0
    noise: float = 0.2
    correlation: float = 0.0
    scatter: float = 0.0
    transient: float = 0.0
    onset: float = 0.0
    onset_scatter: float = 0.0
    floor: float = 0.0
    log_power: float = 0.0
    average: Average = "mean"
    smallest: float = 2.0
    largest: float = 2000.0
    points: int = 16


CASES: Mapping[str, PlantedTrace] = {
    "clean": PlantedTrace(),
    "slope 2, noisy": PlantedTrace(exponent=-2.0, noise=0.5),
    "flat": PlantedTrace(exponent=0.0),
    "heavy tails": PlantedTrace(noise=1.0),
    "correlated": PlantedTrace(noise=0.5, correlation=0.9),
    "burn-in": PlantedTrace(transient=3.0),
    "floor": PlantedTrace(floor=5e-3),
    "log factor": PlantedTrace(log_power=1.0),
    "scattered prefactors": PlantedTrace(scatter=2.0, average="geometric"),
    "scattered prefactors, mean": PlantedTrace(scatter=2.0),
    "weak burn-in": PlantedTrace(transient=0.5),
    "weak floor": PlantedTrace(floor=1e-3),
    "burn-in and floor": PlantedTrace(transient=3.0, floor=5e-3),
    "slow transient": PlantedTrace(noise=0.01, onset=30.0, onset_scatter=1.5),
}


def plant(
    trace: PlantedTrace, replicates: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x (points,) and y (replicates, points) of one planted trace."""
    x = np.geomspace(trace.smallest, trace.largest, trace.points)
    expected = x**trace.exponent * np.log(x) ** trace.log_power
    expected = expected * (1 + trace.transient * np.exp(-x / 10)) + trace.floor
    if trace.onset:
        begins = np.exp(trace.onset_scatter * generator.standard_normal((replicates, 1)))
        expected = expected * (1 - np.exp(-x / (trace.onset * begins))) ** -trace.exponent
    noise = generator.standard_normal((replicates, trace.points))
    fresh = np.sqrt(1 - trace.correlation**2)
    for point in range(1, trace.points):
        noise[:, point] = trace.correlation * noise[:, point - 1] + fresh * noise[:, point]
    prefactors = trace.scatter * generator.standard_normal((replicates, 1))
    return x, expected * np.exp(trace.noise * noise + prefactors)


def coverage(
    cases: Sequence[str] = tuple(CASES),
    *,
    replicates: int = 16,
    trials: int = 1000,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how often 95 % intervals contain the planted exponent.

    Parameters
    ----------
    cases
        Names in :data:`CASES`.
    replicates
        Rows of y in each trial.
    trials
        Independent planted traces per case.
    resamples
        Bootstrap resamples per fit.
    seed
        Of the planted noise; each case has its own stream, independent of which others run.

    Returns
    -------
    pandas.DataFrame
        One row per case: ``case``, ``trials``, ``covered`` (count), ``coverage`` with its exact
        binomial 95 % interval ``coverage_low``, ``coverage_high``; ``coverage_within_0.05``
        (counting intervals within 0.05 of the exponent); ``bias``; mean ``width``; shares of
        trials with points ``trimmed``, a ``floor`` found, floor and burn-in ``undecided``, and the
        fit ``refused``.
    """
    return pd.DataFrame(
        [
            _case(name, replicates, trials, resamples, np.random.default_rng([seed, index]))
            for index, name in enumerate(CASES)
            if name in cases
        ]
    )


def _case(
    name: str, replicates: int, trials: int, resamples: int, generator: np.random.Generator
) -> dict[str, object]:
    trace = CASES[name]
    fits = []
    for trial in range(trials):
        x, y = plant(trace, replicates, generator)
        fits.append(
            fit_power_law(
                x,
                y,
                resamples=resamples,
                seed=trial,
                average=trace.average,
                log_factor=trace.log_power != 0,
                log_power=trace.log_power if trace.log_power != 0 else None,
            )
        )
    exponent = np.array([fit.exponent for fit in fits])
    low = np.array([fit.low for fit in fits])
    high = np.array([fit.high for fit in fits])
    covered = int(((low <= trace.exponent) & (trace.exponent <= high)).sum())
    exact = stats.binomtest(covered, trials).proportion_ci(0.95, method="exact")
    near = (low - 0.05 <= trace.exponent) & (trace.exponent <= high + 0.05)
    return {
        "case": name,
        "trials": trials,
        "covered": covered,
        "coverage": covered / trials,
        "coverage_low": exact.low,
        "coverage_high": exact.high,
        "coverage_within_0.05": float(near.mean()),
        "bias": float(exponent.mean() - trace.exponent),
        "width": float((high - low).mean()),
        "trimmed": float(np.mean([fit.points < trace.points for fit in fits])),
        "floor": float(np.mean([fit.floor for fit in fits])),
        "undecided": float(np.mean([fit.without_floor is not None for fit in fits])),
        "refused": float(np.mean([fit.lack_of_fit.rejected for fit in fits])),
    }


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
        Names in :data:`CASES`, of traces with exponent -1.
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
