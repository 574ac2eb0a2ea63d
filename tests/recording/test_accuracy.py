"""The accuracy of scripted runs, with windows, counts and outcomes worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from theory_check.bilevel import Information
from theory_check.errors import SampleBudgetExhausted
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.accuracy import AccuracyRecorder
from theory_check.recording.run import iterate
from theory_check.solvers.states import SingleLowerState

NAN = math.nan


class Truth:
    """``Phi(x) = |x|² / 2``, so that the squared gradient is ``|x|²``; counts its evaluations."""

    optimal_hyperobjective = 0.0

    def __init__(self) -> None:
        self.evaluated: list[int] = []

    def hyperobjective(self, upper: Tensor) -> Tensor:
        return upper.square().sum(-1) / 2

    def hypergradient(self, upper: Tensor) -> Tensor:
        self.evaluated.append(len(upper))
        return upper

    def surrogate_gradient(self, upper: Tensor, sigma: float) -> Tensor:
        raise AssertionError

    def diagnostics(self, *arguments: object) -> dict[str, Tensor]:
        raise AssertionError

    def penalised_distance(self, *arguments: object) -> Tensor:
        raise AssertionError


def state(values: Sequence[float]) -> SingleLowerState:
    """Return a state whose squared gradients are ``values``."""
    upper = torch.tensor(values, dtype=torch.float64).sqrt()[:, None]
    return SingleLowerState(upper, upper, torch.zeros_like(upper), upper)


@dataclass(frozen=True)
class Scripted:
    """Plays back squared gradients, one row per iteration; the oracle is a budget of iterations."""

    name: ClassVar[str] = "scripted"
    information: ClassVar[Information] = "samples"
    script: tuple[tuple[float, ...], ...]
    allowed: int = 10**6
    penalty: None = None

    def init(self, upper: Tensor, lower: Tensor) -> Any:
        raise AssertionError

    def step(self, oracle: list[int], state: Any) -> Any:
        if len(oracle) == self.allowed:
            raise SampleBudgetExhausted("scripted")
        oracle.append(1)
        return globals()["state"](self.script[len(oracle) - 1])

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Tensor:
        raise AssertionError


class Oracle(list):  # type: ignore[type-arg]
    """Counts iterations; offers the names of the interface."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: None


def play(
    *rows: tuple[float, ...],
    grid: Sequence[int],
    epsilon: float,
    stop: bool = True,
    allowed: int = 10**6,
) -> tuple[AccuracyRecorder, Truth, int]:
    """Return the recorder, what was evaluated, and the iterations that ran."""
    truth, oracle = Truth(), Oracle()
    replicates = len(rows[0])
    recorder = AccuracyRecorder(
        truth, range(replicates), frozenset(grid), epsilon, stop_when_reached=stop
    )
    iterate(
        Scripted(rows, allowed),
        oracle,
        state([9.0] * replicates),
        len(rows),
        recorder,
        lambda: SampleCounts(10 * len(oracle), 5 * len(oracle), 2 * len(oracle)),
        finished=lambda: recorder.finished,
    )
    return recorder, truth, len(oracle)


def columns(*series: Sequence[float]) -> list[tuple[float, ...]]:
    """Return rows of iterations from one series for each replicate."""
    return list(zip(*series, strict=True))


@pytest.mark.parametrize(
    ("iterations", "mean"),
    [
        (1, 8.0),
        (2, 6.0),  # iteration 2 alone: 1 is not in the last half of (0, 2]
        (3, (6 + 1) / 2),
        (4, (1 + 3) / 2),
        (5, (1 + 3 + 7) / 3),
        (6, (3 + 7 + 2) / 3),
        (7, (3 + 7 + 2 + 4) / 4),
        (8, (7 + 2 + 4 + 5) / 4),
    ],
)
def test_an_accuracy_is_the_mean_over_the_second_half(iterations: int, mean: float) -> None:
    series = [8.0, 6, 1, 3, 7, 2, 4, 5][:iterations]
    recorder, _, _ = play(*columns(series), grid=range(1, 9), epsilon=0.1)
    assert recorder.accuracy.tolist() == pytest.approx([mean])
    assert recorder.reached_after == [None]
    assert recorder.iterations.tolist() == [0]


def test_only_recorded_iterations_are_evaluated_and_averaged() -> None:
    series = [8.0, 0, 4, 0, 6, 0, 0, 1]
    recorder, truth, _ = play(*columns(series), grid=[1, 3, 5, 8], epsilon=0.1)
    assert truth.evaluated == [1, 1, 1, 1]
    assert recorder.accuracy.tolist() == pytest.approx([(6 + 1) / 2])


def test_the_first_iteration_that_meets_the_target_is_kept() -> None:
    # Means: 9, 4, 2, 0.5, (0 + 1 + 25)/3: met at the third with equality, whatever comes later.
    recorder, _, ran = play(*columns([9.0, 4, 0, 1, 25]), grid=range(1, 6), epsilon=2.0, stop=False)
    assert recorder.reached_after == [SampleCounts(30, 15, 6)]
    assert recorder.iterations.tolist() == [3]
    assert recorder.accuracy.tolist() == pytest.approx([26 / 3])
    assert ran == 5


def test_a_run_ends_when_all_have_met_the_target() -> None:
    series = [4.0, 1, 1, 1, 1], [4.0, 4, 4, 1, 1]
    # The second has means 4, 4, 4, (4 + 1)/2 and (4 + 1 + 1)/3.
    recorder, _, ran = play(*columns(*series), grid=range(1, 6), epsilon=2.0)
    assert recorder.iterations.tolist() == [2, 5]
    assert ran == 5
    recorder, _, ran = play(*columns(*series), grid=range(1, 6), epsilon=2.5)
    assert recorder.iterations.tolist() == [2, 4]  # the second meets it with equality
    assert ran == 4


def test_a_lost_replicate_has_no_accuracy_and_keeps_no_one_waiting() -> None:
    recorder, truth, ran = play(
        *columns([9.0, NAN, NAN, NAN], [9.0, 9, 1, 1]), grid=range(1, 5), epsilon=5.0
    )
    assert recorder.status == ["diverged", "ok"]
    assert recorder.reached_after == [None, SampleCounts(30, 15, 6)]
    assert ran == 3
    assert truth.evaluated == [2, 1, 1]
    np.testing.assert_equal(recorder.accuracy, [NAN, 5.0])


def test_one_that_had_met_the_target_before_it_was_lost_has_met_it() -> None:
    recorder, _, _ = play(*columns([0.5, NAN, NAN], [5.0, 5, 5]), grid=range(1, 4), epsilon=1.0)
    assert recorder.reached_after == [SampleCounts(10, 5, 2), None]
    assert recorder.status == ["diverged", "ok"]


def test_a_run_of_lost_replicates_ends() -> None:
    recorder, truth, ran = play(*columns([NAN, 1.0], [NAN, 1.0]), grid=range(1, 3), epsilon=3.0)
    assert ran == 1
    assert truth.evaluated == []
    assert np.isnan(recorder.accuracy).all()
    assert recorder.finished


def test_an_exhausted_budget_looks_at_the_last_completed_iteration() -> None:
    recorder, truth, ran = play(*columns([9.0, 4, 1, 4, 1]), grid=[1, 5], epsilon=1.0, allowed=3)
    assert ran == 3
    assert recorder.status == ["budget exhausted"]
    # Iteration 3 is not on the grid; its value alone is in the last half of those recorded.
    assert recorder.accuracy.tolist() == [1.0]
    assert recorder.reached_after == [SampleCounts(30, 15, 6)]
    assert len(truth.evaluated) == 2
    assert recorder.last is not None
    assert recorder.last[0] == 3


def test_a_budget_that_allows_nothing_leaves_nothing_to_see() -> None:
    recorder, truth, ran = play(*columns([5.0, 4]), grid=[1, 2], epsilon=3.0, allowed=0)
    assert (ran, truth.evaluated) == (0, [])
    assert recorder.status == ["budget exhausted"]
    assert np.isnan(recorder.accuracy).all()
    assert recorder.reached_after == [None]


def test_without_stopping_a_run_is_never_finished() -> None:
    recorder, _, ran = play(*columns([0.1, 0.1, 0.1]), grid=[1, 2, 3], epsilon=3.0, stop=False)
    assert ran == 3
    assert not recorder.finished
