"""How often verdicts are wrong on curves with the residuals of real runs.

Planted power laws (:mod:`calibration.planted`) have residuals of our choice. Here a table of a real
experiment is tilted until the exponent fitted to it is a chosen one, and studies are drawn from its
replicates: whole replicates with replacement, so that curvature, burn-in, floor, correlation along x and
the tails of the noise are those of the runs (``docs/theory.md`` section 6.7).

``make calibrate`` reads what ``make reproduce`` left in the store and runs no experiment: claims whose
experiment has no complete table there are named and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from theory_check.analysis.power_verdict import fit_rate, power_status
from theory_check.analysis.rate_verdict import curves_of
from theory_check.catalogue import Catalogue, installed
from theory_check.claims.rates import PowerRate
from theory_check.errors import StoreError, visible
from theory_check.runs import load_table

HALF_A_UNIT = 0.5
STATUSES = ("tight", "faster", "violated", "inconclusive")


@dataclass(frozen=True)
class RealCurves:
    """What the studies of one rate on one problem are drawn from.

    Attributes
    ----------
    problem
        Label.
    x, y
        Abscissae (m,) ascending and observations (replicates, m), all positive.
    """

    problem: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def real_curves(rate: PowerRate, table: pd.DataFrame) -> tuple[RealCurves, ...]:
    """Return the curves of every problem of a table on which ``rate`` can be fitted."""
    found = []
    for problem in table["problem"].unique():
        curves = curves_of(rate, table, str(problem))
        if not isinstance(curves, str) and (curves[0] > 0).all() and (curves[1] > 0).all():
            found.append(RealCurves(str(problem), *curves))
    return tuple(found)


def tilted(rate: PowerRate, curves: RealCurves, exponent: float) -> NDArray[np.float64]:
    """Return the curves multiplied by the power of x that makes their fitted exponent ``exponent``.

    A fitted floor is left where it is: the power law above it is tilted about the end of its window
    towards the limit, and the ratios of the observations to the fitted curve are kept.

    Parameters
    ----------
    rate
        Whose fit is meant.
    curves
        m points.
    exponent
        In the rate's own variable.

    Returns
    -------
    NDArray
        Shape (replicates, m).
    """
    fit = fit_rate(rate, curves.x, curves.y)
    first, stop = fit.window
    pivot = curves.x[first if rate.limit == "zero" else stop - 1]
    in_x = -exponent if rate.reciprocal else exponent
    power, floor = fit.predict(curves.x), fit.floor_level or 0.0
    planted = power * (curves.x / pivot) ** (in_x - fit.exponent) + floor
    return np.asarray(curves.y * (planted / (power + floor)), dtype=np.float64)


def planted_exponents(rate: PowerRate) -> dict[str, float]:
    """Return what is planted: the prediction, the edge of the band, and rivals.

    Half a unit on either side of the prediction counts as a rival whether or not it is declared; the
    nearest declared one is planted too, where it is another.
    """
    worse = -1.0 if rate.better == "larger" else 1.0
    planted = {
        "prediction": float(rate.exponent),
        "worse edge of the band": rate.exponent + worse * rate.resolution,
        "half a unit worse": rate.exponent + worse * HALF_A_UNIT,
        "half a unit better": rate.exponent - worse * HALF_A_UNIT,
    }
    nearest = min(rate.rivals, key=lambda rival: abs(rival - rate.exponent))
    return planted if nearest in planted.values() else {**planted, "nearest rival": float(nearest)}


def study_statuses(
    rate: PowerRate,
    problems: Sequence[RealCurves],
    exponent: float,
    studies: int,
    generator: np.random.Generator,
) -> list[str]:
    """Return the statuses of studies with a planted exponent, an equal share from each problem.

    Parameters
    ----------
    rate
        Judged as it is declared.
    problems
        From :func:`real_curves`, at least one.
    exponent
        Planted, in the rate's own variable.
    studies
        How many, each with as many replicates as the table it is drawn from.
    generator
        Draws replicates.
    """
    planted = [tilted(rate, curves, exponent) for curves in problems]
    statuses: list[str] = []
    for study in range(studies):
        rows = planted[study % len(planted)]
        drawn = rows[generator.integers(rows.shape[0], size=rows.shape[0])]
        fit = fit_rate(rate, problems[study % len(planted)].x, drawn)
        statuses.append(power_status(rate, fit, float(drawn.max()))[0])
    return statuses


def residual_shares(
    rates: Mapping[str, tuple[PowerRate, Sequence[RealCurves]]],
    *,
    studies: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge studies with the residuals of real runs and planted exponents.

    Parameters
    ----------
    rates
        Name to a rate and the curves of its problems; those without curves are left out.
    studies
        Of each rate and planted exponent.
    seed
        Of the drawing; each row has its own stream, whatever other rates there are.

    Returns
    -------
    pandas.DataFrame
        One row per rate and entry of :func:`planted_exponents`: ``rate``, ``problems`` (count),
        ``planted``, ``exponent``, the share of each status, ``wrong`` (the share of ``violated`` at the
        prediction, of ``tight`` elsewhere), and its exact binomial 95 % interval ``wrong_low``,
        ``wrong_high``. The interval is that over studies, given the tables.
    """
    rows = []
    for name, (rate, problems) in rates.items():
        if not problems:
            continue
        for place, (planted, exponent) in enumerate(planted_exponents(rate).items()):
            generator = np.random.default_rng([seed, crc32(name.encode()), place])
            statuses = study_statuses(rate, problems, exponent, studies, generator)
            wrong = statuses.count("violated" if planted == "prediction" else "tight")
            exact = stats.binomtest(wrong, studies).proportion_ci(0.95, method="exact")
            rows.append(
                {
                    "rate": name,
                    "problems": len(problems),
                    "planted": planted,
                    "exponent": exponent,
                    **{status: statuses.count(status) / studies for status in STATUSES},
                    "wrong": wrong / studies,
                    "wrong_low": exact.low,
                    "wrong_high": exact.high,
                }
            )
    return pd.DataFrame(rows)


def stored_rates(
    store: Path, *, quick: bool = False, catalogue: Catalogue | None = None
) -> tuple[dict[str, tuple[PowerRate, Sequence[RealCurves]]], list[str]]:
    """Return the power rates whose tables are stored, and why others are not among them.

    Negative controls are left out: the exponent that they state is not that of their curves.
    """
    rates: dict[str, tuple[PowerRate, Sequence[RealCurves]]] = {}
    missing: list[str] = []
    catalogue = installed() if catalogue is None else catalogue
    files = catalogue.experiments
    for claim in catalogue.claims.values():
        # A bound states no exponent that a curve has.
        judged = [rate for rate in claim.rates if type(rate) is PowerRate]
        if claim.expected == "violated" or not judged:
            continue
        if claim.experiment not in files:
            missing.append(f"{claim.id}: there is no experiment {claim.experiment} here")
            continue
        try:
            table = load_table(claim.experiment, store, quick=quick, catalogue=catalogue)
        except StoreError as error:
            missing.append(f"{claim.id}: {error}")
            continue
        for rate in judged:
            rates[f"{claim.id}, {rate.name}"] = (rate, real_curves(rate, table))
    return rates, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the shares of every status for each power rate and planted exponent."""
    parser = argparse.ArgumentParser(prog="python -m calibration.residuals")
    parser.add_argument("--store", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true", help="tables of the small experiments")
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rates, missing = stored_rates(options.store, quick=options.quick)
    for reason in missing:
        print(visible(f"left out, {reason}"), file=sys.stderr)
    found = residual_shares(rates, studies=options.studies, seed=options.seed)
    with pd.option_context("display.width", 180, "display.max_columns", 20):
        print(found.round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
