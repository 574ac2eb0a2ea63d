"""Which replicates the loop takes for finite: sums decide quickly, and never wrongly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from theory_check.bilevel import SolverState
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.run import Observer, iterate
from theory_check.solvers.states import PenaltyState

LARGEST = 1.7e308
PARTS = ("next_upper", "estimate", "lower", "lower_penalised")


class Watch(Observer):
    """Keeps who went on and who stopped."""

    def __init__(self) -> None:
        self.active: list[list[int]] = []
        self.stopped: list[int] = []

    def observe(
        self, iteration: int, state: SolverState, counts: SampleCounts, active: Tensor
    ) -> None:
        self.active.append(active.tolist())

    def mark(self, iteration: int, counts: SampleCounts, stopped: Tensor, status: str) -> None:
        self.stopped += stopped.tolist()


class Spoiling:
    """Puts values into one part of the state."""

    def __init__(self, part: str, values: list[float]) -> None:
        self._part, self._values = part, values

    def step(self, oracle: Any, state: PenaltyState) -> PenaltyState:
        parts = {name: torch.zeros(3, 1, dtype=torch.float64) for name in ("upper", *PARTS)}
        parts[self._part] = torch.tensor(self._values, dtype=torch.float64)[:, None]
        return PenaltyState(**parts)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("values", "going"),
    [
        ([1.0, -2.0, 3.0], [0, 1, 2]),
        ([LARGEST, LARGEST, LARGEST], [0, 1, 2]),  # their sum is infinite
        ([LARGEST, math.inf, 0.0], [0, 2]),
        ([math.inf, 0.0, -math.inf], [1]),
        ([0.0, math.nan, 0.0], [0, 2]),
    ],
)
def test_finite_replicates_go_on_and_all_others_stop(
    part: str, values: list[float], going: list[int]
) -> None:
    watch, start = Watch(), PenaltyState.start(torch.zeros(3, 1), torch.zeros(3, 1))
    iterate(Spoiling(part, values), None, start, 2, watch, SampleCounts)
    assert watch.active == [going, going]
    assert watch.stopped == [row for row in range(3) if row not in going]
