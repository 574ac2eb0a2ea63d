"""A method with two penalised levels: what it declares, its split error, and wrong declarations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import BilevelOracle, BilevelTruth, Information, Surrogate
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import bandit, quadratic
from theory_check.problems.quadratic import QuadraticProblem
from theory_check.recording.recorder import ErrorSplit, Recorder
from theory_check.recording.run import run
from theory_check.solvers.states import EstimatesHypergradient, PenaltyState


@dataclass(frozen=True, eq=False)
class TwoPointState(PenaltyState):
    """``lower_penalised`` at sigma, and the other one at minus sigma."""

    opposite: Float[Tensor, "replicate lower"] | None = None


@dataclass(frozen=True)
class Differences:
    """``x <- x - eta [h_sigma - h_-sigma]_x / (2 sigma)`` without a word about what that estimates."""

    name: ClassVar[str] = "differences"
    information: ClassVar[Information] = "samples"

    sigma: float
    inner_steps: int = 1
    inner_step_size: float = 0.5
    step_size: float = 0.1
    samples: int = 10

    @property
    def penalty(self) -> float | None:
        return None

    def init(self, upper: Tensor, lower: Tensor) -> TwoPointState:
        return replace(TwoPointState.start(upper, lower), opposite=lower)

    def step(self, oracle: BilevelOracle, state: TwoPointState) -> TwoPointState:
        upper, lower = state.next_upper, state.lower
        ends = {1: state.lower_penalised, -1: state.opposite}
        for _ in range(self.inner_steps):
            lower = lower - self.inner_step_size * oracle.lower_gradient(upper, lower, self.samples)
            for sign, end in ends.items():
                pull = oracle.upper_gradients(upper, end, self.samples).in_lower
                slope = oracle.lower_gradient(upper, end, self.samples) + sign * self.sigma * pull
                ends[sign] = end - self.inner_step_size * slope
        inner = replace(state, upper=upper, lower=lower, lower_penalised=ends[1], opposite=ends[-1])
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(self, oracle: BilevelOracle, state: TwoPointState) -> Tensor:
        above, below = state.lower_penalised, state.opposite
        direct = [
            oracle.upper_gradients(state.upper, end, self.samples).in_upper
            for end in (above, below)
        ]
        pulled = oracle.penalty_difference(state.upper, below, above, self.samples, "independent")
        return (direct[0] + direct[1]) / 2 + pulled / (2 * self.sigma)


class Central(Differences):
    """Declared as what it is."""

    def surrogate_gradient(self, truth: BilevelTruth, state: TwoPointState) -> Tensor:
        above, below = (truth.surrogate_gradient(state.upper, s) for s in (self.sigma, -self.sigma))
        return (above + below) / 2


class AsOnePoint(Differences):
    """Declared, wrongly, to follow ``Phi_sigma``."""

    @property
    def penalty(self) -> float:
        return self.sigma


class AsHypergradient(EstimatesHypergradient, Differences):
    """Declared, wrongly, to tend to the hypergradient itself."""


SEEDS = [0, 1]


def split_of(solver: Any, instruments: Instruments, state: Any) -> ErrorSplit:
    recorder = Recorder(instruments.truth, instruments.information, solver, SEEDS, frozenset({1}))
    return recorder.split_error(state)


def at_inner_solutions(problem: QuadraticProblem, x: Tensor, sigma: float) -> TwoPointState:
    above, below = (problem.penalised_minimiser(x, sign * sigma) for sign in (1, -1))
    return TwoPointState(
        upper=x,
        next_upper=x,
        lower=problem.lower_minimiser(x),
        lower_penalised=above,
        estimate=torch.zeros_like(x),
        opposite=below,
    )


def bias_of(problem: QuadraticProblem, x: Tensor, sigma: float) -> Tensor:
    """``M^T diag(sigma²/(a² - sigma²)) (u - t)``: docs/theory.md section 3.6."""
    a = problem.curvatures
    miss = x @ problem.response.T - problem.target
    return (sigma**2 / (a**2 - sigma**2) * miss) @ problem.response


@pytest.mark.parametrize("sigma", [0.2, 0.05])
def test_bias_and_inner_error_on_the_quadratic(sigma: float) -> None:
    problem = quadratic()
    instruments = instruments_for(problem, SEEDS)
    x = instruments.initial_upper(SEEDS, 1.0)
    state = at_inner_solutions(problem, x, sigma)
    split = split_of(Central(sigma), instruments, state)
    torch.testing.assert_close(
        split.penalty_bias, bias_of(problem, x, sigma), rtol=1e-9, atol=1e-11
    )
    assert split.inner_error.abs().max() < 1e-12
    # ``∂_x g = -M^T a (Q y - u)``: a displacement d of the upper end is an error -M^T a Q d / (2 sigma),
    # one of the lower end the same with the other sign, and one of y itself none.
    generator = torch.Generator().manual_seed(3)
    moves = torch.randn(3, *state.lower.shape, generator=generator, dtype=torch.float64)
    moved = replace(
        state,
        lower=state.lower + moves[0],
        lower_penalised=state.lower_penalised + moves[1],
        opposite=state.opposite + moves[2],
    )
    split = split_of(Central(sigma), instruments, moved)
    error = -(problem.curvatures * ((moves[1] - moves[2]) @ problem.directions.T)) / (2 * sigma)
    torch.testing.assert_close(split.inner_error, error @ problem.response, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(
        split.penalty_bias, bias_of(problem, x, sigma), rtol=1e-9, atol=1e-11
    )
    total = split.penalty_bias + split.inner_error + split.sampling_error
    torch.testing.assert_close(total, split.hypergradient_error, rtol=1e-9, atol=1e-9)


def exhausted(solver: Any, instruments: Instruments, upper: Tensor) -> Any:
    """Return the state after 30 rounds of exact inner steps at one upper variable."""
    state = solver.init(upper, instruments.initial_lower(SEEDS))
    for _ in range(30):
        state = replace(solver.step(instruments.information, state), next_upper=upper)
    return state


@pytest.mark.slow
def test_bias_on_a_bandit_is_of_second_order() -> None:
    """Half of sigma leaves a quarter of a central difference, and half of a forward one."""
    problem = bandit(contexts=2, actions=3, features=3)
    instruments = instruments_for(problem, SEEDS)
    x = instruments.initial_upper(SEEDS, 1.0)
    biases, forward = [], []
    for sigma in (0.08, 0.04):
        solver = Central(sigma, inner_steps=20, inner_step_size=2.0)
        state = exhausted(solver, instruments, x)
        split = split_of(solver, instruments, state)
        biases.append(split.penalty_bias.norm(dim=-1))
        forward.append(split_of(AsOnePoint(sigma), instruments, state).penalty_bias.norm(dim=-1))
        # What its own loops tend to, from exact information, is what it declares.
        assert (split.inner_error.norm(dim=-1) < 1e-3 * biases[-1]).all()
    # The next order is a share of about sigma of the first in a forward difference, and of sigma² in
    # a central one.
    np.testing.assert_allclose(biases[0] / biases[1], 4.0, rtol=0.05)
    np.testing.assert_allclose(forward[0] / forward[1], 2.0, rtol=0.1)


@pytest.mark.parametrize("wrong", [AsOnePoint, AsHypergradient])
def test_a_wrong_declaration_is_an_inner_error_that_stays(wrong: type[Differences]) -> None:
    problem, sigma = quadratic(), 0.1
    instruments = instruments_for(problem, SEEDS)
    x = instruments.initial_upper(SEEDS, 1.0)
    state = at_inner_solutions(problem, x, sigma)
    split = split_of(wrong(sigma), instruments, state)
    right = split_of(Central(sigma), instruments, state)
    assert right.inner_error.norm(dim=-1).max() < 1e-12
    central = bias_of(problem, x, sigma)
    # Of one point: M^T diag(-sigma/(a + sigma)) (u - t); of the hypergradient itself none.
    miss = x @ problem.response.T - problem.target
    declared = (
        -(sigma / (problem.curvatures + sigma) * miss) @ problem.response
        if wrong is AsOnePoint
        else torch.zeros_like(central)
    )
    torch.testing.assert_close(split.penalty_bias, declared, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(split.inner_error, central - declared, rtol=1e-9, atol=1e-11)
    assert split.inner_error.norm(dim=-1).min() > 1e-2


def test_the_columns_of_a_run_are_those_of_what_is_declared() -> None:
    problem = quadratic(noise=0.1)
    sigma = 0.2
    settings = {"inner_steps": 3, "samples": 20}
    declared = run(problem, Central(sigma, **settings), 6, SEEDS).table
    silent = run(problem, Differences(sigma, **settings), 6, SEEDS).table
    wrong = run(problem, AsOnePoint(sigma, **settings), 6, SEEDS).table
    assert isinstance(Central(sigma), Surrogate)
    assert not isinstance(Differences(sigma), Surrogate)
    # The same run, looked at in three ways.
    for other in (silent, wrong):
        for name in ("hypergradient_error", "sampling_error", "stationarity"):
            assert other[name].tolist() == declared[name].tolist()
    assert silent[["penalty_bias", "inner_error"]].isna().all(axis=None)
    first = declared[declared.iteration == 1]
    instruments = instruments_for(problem, SEEDS)
    x = instruments.initial_upper(SEEDS, 1.0)
    np.testing.assert_allclose(
        first.penalty_bias, bias_of(problem, x, sigma).square().sum(-1), rtol=1e-9
    )
    miss = x @ problem.response.T - problem.target
    forward = -(sigma / (problem.curvatures + sigma) * miss) @ problem.response
    np.testing.assert_allclose(
        wrong[wrong.iteration == 1].penalty_bias, forward.square().sum(-1), rtol=1e-9
    )
