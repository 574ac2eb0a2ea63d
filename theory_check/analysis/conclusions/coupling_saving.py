"""What the shared batch saves a tuned method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.verdict import Verdict
from theory_check.errors import InvalidArgumentError

DEAR, CHEAP = "penalty", "penalty-shared"


def saving(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Return the geometric mean over replicates of the ratio of costs, with its 95 % interval.

    Parameters
    ----------
    rows
        Of one problem and one target, one for each replicate and method.
    """
    wide = rows.pivot(index="seed", columns="method", values="samples")
    logs = np.log((wide[DEAR] / wide[CHEAP]).to_numpy(dtype=np.float64))
    if logs.size < 2 or not np.isfinite(logs).all():
        raise InvalidArgumentError("rows", "costs that are missing", "compare complete tables only")
    centre, error = float(logs.mean()), float(logs.std(ddof=1) / np.sqrt(logs.size))
    reach = float(stats.t.ppf(0.975, logs.size - 1)) * error
    low, middle, high = np.exp([centre - reach, centre, centre + reach])
    return float(middle), float(low), float(high)


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem, at its smallest target."""
    sentences = []
    for claim in CONCLUSION.claims:
        table = tables[claim]
        for problem, rows in table.groupby("problem", sort=False):
            if not {DEAR, CHEAP} <= set(rows["method"]):
                continue
            target = rows["epsilon"].min()
            ratio, low, high = saving(rows[rows["epsilon"] == target])
            sentences.append(
                f"{problem}: tuned to reach a mean ‖∇Phi‖² of {target:.2g} over the second half, the "
                f"penalty method draws {ratio:.3g} [{low:.3g}, {high:.3g}] times as many samples "
                "with independent batches as with a shared one."
            )
    return sentences


CONCLUSION = Conclusion("coupling-saving", ("attained-3", "attained-hard"), compose)
