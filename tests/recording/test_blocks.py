"""Gradients of many iterations in one call are those of one call for each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.generators import contract_garnet, random_discounted_problem
from torch import Tensor

from theory_check.advice.history import follow
from theory_check.bilevel import InnerPath
from theory_check.errors import CertificationError
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.problems import Problem
from theory_check.recording import recorder
from theory_check.recording.blocks import ITERATIONS, ROWS, StationarityBlocks
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

SOLVER = PenaltyBilevel(
    sigma=0.3, inner_steps=2, inner_step_size=0.5, step_size=0.5, trajectories=200, pairs=200
)
PROBLEMS = {
    "episodic": contract_garnet(),
    "discounted": random_discounted_problem(3, (3, 2)),
    "neural": contract_garnet().with_classes(reward="mlp", policy="mlp"),
}


class Squares:
    """``∇Phi(x) = x``; keeps how many points each call was about."""

    optimal_hyperobjective = 0.0

    def __init__(self) -> None:
        self.calls: list[int] = []

    def hypergradient(self, upper: Tensor) -> Tensor:
        self.calls.append(len(upper))
        return upper

    def hyperobjective(self, upper: Tensor) -> Tensor:
        raise AssertionError

    def surrogate_gradient(self, upper: Tensor, sigma: float) -> Tensor:
        raise AssertionError

    def diagnostics(self, *arguments: object) -> dict[str, Tensor]:
        raise AssertionError

    def penalised_distance(self, *arguments: object) -> Tensor:
        raise AssertionError


def test_values_come_back_by_iteration_and_replicate() -> None:
    truth = Squares()
    block = StationarityBlocks(truth, 3, missing=np.inf)
    upper = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    for active in ([0, 1, 2], [0, 2], []):
        block.keep(upper, torch.tensor(active, dtype=torch.int64))
        upper = 10 * upper
    expected = [[1.0, 4.0, 9.0], [100.0, np.inf, 900.0], [np.inf] * 3]
    assert block.evaluate().tolist() == expected
    assert truth.calls == [5]
    assert block.evaluate().shape == (0, 3)
    assert truth.calls == [5]


@pytest.mark.parametrize(
    ("replicates", "kept"), [(1, ITERATIONS), (ROWS // 4, 4), (ROWS // 2 + 1, 1), (2 * ROWS, 1)]
)
def test_a_block_is_full_after_so_many_iterations(replicates: int, kept: int) -> None:
    block = StationarityBlocks(Squares(), replicates)
    upper, active = torch.zeros(replicates, 1, dtype=torch.float64), torch.arange(replicates)
    for _ in range(kept):
        assert not block.full
        block.keep(upper, active)
    assert block.full


def recorded(problem: Problem, budget: int | None = None, solver: object = SOLVER) -> pd.DataFrame:
    return run(problem, solver, 50, range(4), points_per_decade=2, sample_budget=budget).table


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("budget", [None, 60_000])
@pytest.mark.slow
def test_tables_are_those_of_single_iterations(
    kind: str, budget: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = recorded(PROBLEMS[kind], budget)
    monkeypatch.setattr(recorder, "StationarityBlocks", partial(StationarityBlocks, iterations=1))
    apart = recorded(PROBLEMS[kind], budget)
    assert ("budget exhausted" in set(apart["status"])) == (budget is not None)
    # Only products of matrices of other sizes round differently: 1e-15 of the gradient was seen.
    pd.testing.assert_frame_equal(together, apart, rtol=1e-12, atol=0.0)


@dataclass(frozen=True)
class Losing(PenaltyBilevel):
    """Loses one replicate after the other, as the samples are drawn."""

    def step(self, oracle: Any, state: PenaltyState, path: InnerPath | None = None) -> PenaltyState:
        following = super().step(oracle, state, path)
        lost = torch.arange(len(following.upper)) < oracle.counts.trajectories // 20_000
        return replace(
            following, next_upper=torch.where(lost[:, None], torch.nan, following.next_upper)
        )


def test_tables_of_runs_that_diverge_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    losing = Losing(**asdict(SOLVER))
    together = recorded(PROBLEMS["episodic"], solver=losing)
    monkeypatch.setattr(recorder, "StationarityBlocks", partial(StationarityBlocks, iterations=1))
    pd.testing.assert_frame_equal(
        together, recorded(PROBLEMS["episodic"], solver=losing), rtol=1e-12
    )
    lost = together.loc[together["status"] == "diverged", "iteration"]
    assert len(set(lost)) > 1


def test_points_beyond_the_memory_of_one_call_take_several(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = instruments_for(PROBLEMS["discounted"], range(7))
    upper = tools.initial_upper(range(7), 1.0)
    assert isinstance(tools.truth, RLHFTruth)
    whole = tools.truth.hypergradient(upper)
    tools.truth._together = 3
    torch.testing.assert_close(tools.truth.hypergradient(upper), whole, rtol=1e-13, atol=0.0)


def test_a_rule_looks_at_every_iteration_before_the_next() -> None:
    tools = instruments_for(PROBLEMS["episodic"], range(4))
    state = tools.initial_state(SOLVER, range(4), 1.0)
    whole = follow(SOLVER, tools.information, tools.truth, state, 40).stationarity
    seen: list[int] = []

    def until(total: np.ndarray, done: int) -> bool:
        seen.append(done)
        np.testing.assert_allclose(total, whole[:, :done].sum(1), rtol=1e-12)
        return done == 37

    stopped = follow(SOLVER, tools.information, tools.truth, state, 40, until=until)
    assert seen == list(range(1, 38))
    np.testing.assert_allclose(stopped.stationarity, whole[:, :37], rtol=1e-12)


@pytest.mark.parametrize("active", [[0, 1], [1]])
def test_iterates_that_move_in_place_are_kept_as_they_were(active: list[int]) -> None:
    block = StationarityBlocks(Squares(), 2)
    upper, rows = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor(active)
    block.keep(upper, rows)
    upper *= 2.0
    block.keep(upper, rows)
    # ‖(3, 4)‖² = 25 and ‖(1, 0)‖² = 1, then four times as much.
    expected = np.array([[25.0, 1.0], [100.0, 4.0]])
    np.testing.assert_array_equal(block.evaluate()[:, active], expected[:, active])


class Rounded(Squares):
    """The same, which cannot certify points beyond 100."""

    def hypergradient(self, upper: Tensor) -> Tensor:
        found = super().hypergradient(upper)
        if bool((upper > 100).any()):
            raise CertificationError("planted")
        return found


@pytest.mark.parametrize("far", [[], [5], [0, 1, 6, 11], list(range(12))])
def test_iterates_that_are_not_certified_count_as_stated_and_spoil_no_other(far: list[int]) -> None:
    points = torch.arange(1.0, 13.0, dtype=torch.float64)[:, None]
    points[far] = 1000.0
    blocks = StationarityBlocks(Rounded(), 4, uncertified=np.inf)
    refusing = StationarityBlocks(Rounded(), 4)
    for iterate in points.chunk(3):
        blocks.keep(iterate, torch.arange(4))
        refusing.keep(iterate, torch.arange(4))
    wanted = points.square()[:, 0]
    wanted[far] = torch.inf
    assert blocks.evaluate().ravel().tolist() == wanted.tolist()
    if far:
        with pytest.raises(CertificationError, match="planted"):
            refusing.evaluate()
