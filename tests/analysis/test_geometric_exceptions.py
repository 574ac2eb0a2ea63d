"""A statement about every replicate is not saved by the average over replicates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from theory_check.analysis import judge_geometric_rate
from theory_check.catalogue import Catalogue

RATE = Catalogue.shipped().claim("inner-linear").rates[0]
STEPS = np.unique(np.geomspace(1, 6000, 150).round())
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def judged(usual: Curve, exceptions: dict[int, Curve]) -> tuple[str, str]:
    frames = [
        pd.DataFrame(
            {
                "problem": "planted",
                "seed": seed,
                "inner_iteration": STEPS,
                "lower_gap": (1 + seed) * exceptions.get(seed, usual)(STEPS),
            }
        )
        for seed in range(16)
    ]
    verdict = judge_geometric_rate(RATE, pd.concat(frames), "planted")  # type: ignore[arg-type]
    return verdict.status, verdict.reason


def geometric(k: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.9**k + 1e-30)  # 1e-30: where rounding ends the real gaps


def test_all_replicates_geometric_holds() -> None:
    assert judged(geometric, {})[0] == "holds"


@pytest.mark.parametrize("count", [1, 4])
def test_replicates_with_a_power_law_refute_it(count: int) -> None:
    status, reason = judged(geometric, dict.fromkeys(range(count), lambda k: 1 / (1 + k)))
    assert status == "violated"
    assert f"{count} of 16 replicates" in reason


def test_a_growing_replicate_refutes_it() -> None:
    assert judged(geometric, {3: lambda k: 1e-3 * 1.001**k})[0] == "violated"


@pytest.mark.parametrize("level", [1e-6, 1e-10])
def test_a_floor_above_rounding_does_not_hold(level: float) -> None:
    status, reason = judged(lambda k: 0.9**k + level, {})
    assert status == "inconclusive"
    assert "floor" in reason


# log10 of measured inner errors of single replicates: sums of geometric modes, which one mode predicts
# worse than a power law does, over the same steps.
SEEN = """
1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 18 19 21 23 24 26 28 31 33 36 38 41 45 48 52 56 61 65 71 76
82 89 96 103 111 120 130 140 151 163 176 190 205 221 238 257 277 299 323 348 376 405 437 472 509 549
593 640 690 745 803 867 935 1009 1089 1175 1268 1368 1476 1592 1718 1854 2000
"""
MODES = {
    "slow": """
0.5 -0.09 -0.46 -0.75 -1.0 -1.22 -1.42 -1.6 -1.76 -1.9 -2.02 -2.14 -2.24 -2.33 -2.41 -2.55 -2.61
-2.67 -2.76 -2.85 -2.89 -2.96 -3.02 -3.11 -3.16 -3.23 -3.28 -3.34 -3.41 -3.46 -3.52 -3.58 -3.65
-3.69 -3.76 -3.81 -3.86 -3.92 -3.97 -4.02 -4.08 -4.14 -4.2 -4.26 -4.32 -4.38 -4.45 -4.52 -4.6 -4.67
-4.75 -4.83 -4.91 -4.99 -5.07 -5.14 -5.22 -5.29 -5.37 -5.44 -5.51 -5.58 -5.65 -5.73 -5.82 -5.91 -6.0
-6.11 -6.23 -6.36 -6.5 -6.66 -6.84 -7.03 -7.24 -7.47 -7.72 -8.0 -8.3
""",
    "of either sign": """
1.12 0.75 -0.02 -0.63 -1.04 -1.34 -1.58 -1.78 -1.97 -2.15 -2.32 -2.49 -2.66 -2.82 -2.98 -3.3 -3.45
-3.61 -3.9 -4.18 -4.32 -4.57 -4.79 -5.07 -5.22 -5.4 -5.5 -5.63 -5.77 -5.86 -5.97 -6.08 -6.19 -6.27
-6.39 -6.48 -6.57 -6.67 -6.75 -6.82 -6.89 -6.94 -6.97 -6.99 -7.0 -7.0 -6.99 -6.98 -6.97 -6.96 -6.96
-6.95 -6.95 -6.96 -6.97 -6.98 -7.0 -7.03 -7.06 -7.09 -7.14 -7.19 -7.25 -7.32 -7.4 -7.49 -7.59 -7.7
-7.82 -7.96 -8.12 -8.29 -8.49 -8.7 -8.93 -9.19 -9.48 -9.79 -10.14
""",
}


@pytest.mark.parametrize("name", MODES)
def test_one_replicate_with_several_modes_refutes_nothing(name: str) -> None:
    steps = np.array(SEEN.split(), dtype=float)
    seen = 10 ** np.array(MODES[name].split(), dtype=float)
    frames = [
        pd.DataFrame(
            {
                "problem": "planted",
                "seed": seed,
                "inner_iteration": steps,
                "lower_gap": seen if seed == 5 else (1 + seed) * geometric(steps),
            }
        )
        for seed in range(16)
    ]
    verdict = judge_geometric_rate(RATE, pd.concat(frames), "planted")  # type: ignore[arg-type]
    assert verdict.status != "violated"
