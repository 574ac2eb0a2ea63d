"""A statement about every replicate is not saved by the average over replicates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from theory_check.analysis import judge_geometric_rate
from theory_check.claims import get_claim

RATE = get_claim("inner-linear").rates[0]
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
