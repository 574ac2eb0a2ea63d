"""How many times more samples one schedule needs than another for the same accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import stats

from theory_check.errors import InvalidArgumentError

ACCURACY, SAMPLES = "ergodic_stationarity", "samples"


@dataclass(frozen=True)
class Saving:
    """Samples of the dearer schedule over those of the cheaper one, at one accuracy.

    Attributes
    ----------
    accuracy
        Where both are compared: the best mean accuracy that both reach, squared norm.
    ratio, low, high
        The ratio and its 95 % interval over seeds.
    """

    accuracy: float
    ratio: float
    low: float
    high: float


def saving(cheap: pd.DataFrame, dear: pd.DataFrame) -> Saving:
    """Compare two schedules on one problem.

    Samples against the accuracy averaged over seeds are interpolated linearly in the logarithms.
    The interval is Student's t on the jackknife over seeds of the log ratio at a fixed accuracy.
    Equal seeds start from the same point and are left out of both tables together; with
    different seeds the variances of the two add.

    Parameters
    ----------
    cheap, dear
        Tables of the measurement ``sample-complexity``, one problem and one schedule each.

    Raises
    ------
    InvalidArgumentError
        When runs stopped early, or no accuracy is within the reach of both.
    """
    tables = [_curves(name, table) for name, table in (("cheap", cheap), ("dear", dear))]
    reached = [accuracy.mean(0) for _, accuracy in tables]
    target = max(float(mean.min()) for mean in reached)
    if target > min(float(mean.max()) for mean in reached):
        raise InvalidArgumentError(
            "dear", "accuracies that do not overlap with the others", "extend one of the grids"
        )
    logs = [_log_samples(samples, accuracy.mean(0), target) for samples, accuracy in tables]
    left_out = [
        np.array(
            [
                _log_samples(samples, np.delete(accuracy, row, 0).mean(0), target)
                for row in range(accuracy.shape[0])
            ]
        )
        for samples, accuracy in tables
    ]
    if set(cheap["seed"]) == set(dear["seed"]):
        left_out = [left_out[1] - left_out[0]]
    variance = sum((logs_without.size - 1) * float(logs_without.var()) for logs_without in left_out)
    fewest = min(logs_without.size for logs_without in left_out)
    difference = logs[1] - logs[0]
    reach = float(stats.t.ppf(0.975, fewest - 1)) * variance**0.5
    low, ratio, high = np.exp([difference - reach, difference, difference + reach])
    return Saving(target, float(ratio), float(low), float(high))


def savings_by_problem(cheap: pd.DataFrame, dear: pd.DataFrame) -> dict[str, Saving]:
    """Return :func:`saving` for every problem that both tables have, in the order of ``cheap``."""
    shared = set(dear["problem"])
    return {
        problem: saving(cheap[cheap["problem"] == problem], dear[dear["problem"] == problem])
        for problem in cheap["problem"].unique()
        if problem in shared
    }


def _curves(
    name: str, table: pd.DataFrame
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "replicate m"]]:
    """Return samples in ascending order, and the accuracy of every seed."""
    wide = table.pivot(index="seed", columns=SAMPLES, values=ACCURACY).sort_index(axis=1)
    accuracy = wide.to_numpy(dtype=np.float64)
    if accuracy.shape[0] < 2 or accuracy.shape[1] < 2 or not np.isfinite(accuracy).all():
        raise InvalidArgumentError(
            name, "runs that are missing or stopped early", "compare complete tables only"
        )
    return wide.columns.to_numpy(dtype=np.float64), accuracy


def _log_samples(
    samples: NDArray[np.float64], accuracy: NDArray[np.float64], target: float
) -> float:
    """Return the logarithm of the samples at which the curve first comes down to ``target``.

    A curve that ends above it, as one without its best seed may, is continued along its last piece.
    """
    log_samples, log_accuracy = np.log(samples), np.log(accuracy)
    below = np.flatnonzero(log_accuracy <= np.log(target))
    right = int(below[0]) if below.size else samples.size - 1
    right = max(right, 1)
    fallen = log_accuracy[right - 1] - log_accuracy[right]
    if fallen <= 0:
        raise InvalidArgumentError(
            "accuracy", "a curve that does not improve at its end", "extend the grid of targets"
        )
    share = (log_accuracy[right - 1] - np.log(target)) / fallen
    return float(log_samples[right - 1] + share * (log_samples[right] - log_samples[right - 1]))
