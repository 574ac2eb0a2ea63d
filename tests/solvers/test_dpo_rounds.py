"""On-policy DPO in rounds: the floor of its batch, and the factor by which a round comes closer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_discounted_problem, random_problem
from helpers.implicit import implicit_loss
from helpers.passing import Passing
from helpers.value_gap import leading_gap, optimal_log_policy, pair_information, value_gap
from torch import Tensor

from theory_check.bilevel import data_shortcut
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import bandit, garnet
from theory_check.solvers import DPORounds, OnlineDPO
from theory_check.solvers.states import descend_implied

PROBLEM = bandit(contexts=1, actions=4, objective="excess_risk")
BATCHES = (10**3, 10**4, 10**5)
REPLICATES = 256


def log_policies(lower: Tensor) -> Tensor:
    return lower.reshape(-1, 1, 1, 4).log_softmax(-1)


@pytest.mark.slow
def test_the_floor_is_that_of_one_batch() -> None:
    """Rounds that minimise: ``B E gap -> tr(M F^+) / (2 beta)``, F of one pair of ``pi*``.

    Exponent and constant within 5 standard errors over 256 seeds, false alarm 6e-7 each; the rounds from
    the fourth to the tenth, one of a seed after the other independent but for the policy that draws.
    The planted exponent -1/2 is 20 standard errors away.
    """
    floors, errors = [], []
    for pairs in BATCHES:
        solver = DPORounds(step_size=2.0, steps=150, pairs=pairs)
        tools = instruments_for(PROBLEM, range(REPLICATES))
        state = tools.initial_state(solver, range(REPLICATES), 1.0)
        found = []
        for _ in range(10):
            state = solver.step(tools.sampled, state)  # type: ignore[arg-type]
            found.append(value_gap(PROBLEM, log_policies(state.lower)))
        mean = torch.stack(found[3:]).mean(0).numpy()
        floors.append(mean.mean())
        errors.append(mean.std(ddof=1) / math.sqrt(REPLICATES) / mean.mean())
    x = np.log(BATCHES) - np.log(BATCHES).mean()
    slope = (x @ np.log(floors)) / (x @ x)
    error = math.sqrt((x**2) @ np.square(errors)) / (x @ x)
    assert abs(slope + 1) < 5 * error
    assert abs(slope + 0.5) > 20 * error
    constant = leading_gap(PROBLEM, pair_information(PROBLEM, optimal_log_policy(PROBLEM)))
    share = np.array(floors) * BATCHES / constant
    # At B = 1e3 a term of relative order 1/B, seen as 2 %, is left.
    assert (np.abs(share - 1)[1:] < 5 * np.array(errors)[1:]).all(), share


def test_without_noise_a_round_comes_closer_by_a_constant_factor() -> None:
    """The slowest direction falls by ``(1 - alpha h)^steps`` a round, h the least curvature.

    Curvature of the loss on pairs of ``pi*`` at ``pi*``, by automatic differentiation: there the law of
    the pairs, which moves as well, changes the gradient to second order alone.
    """
    solver = DPORounds(step_size=2.0, steps=3, pairs=1)
    tools = instruments_for(PROBLEM, [0])
    best = optimal_log_policy(PROBLEM).reshape(-1)
    hessian = torch.autograd.functional.hessian(lambda at: implicit_loss(PROBLEM, at, best), best)
    curvatures = torch.linalg.eigvalsh(hessian)
    assert curvatures[0].abs() < 1e-12  # a constant of all logits
    factor = (1 - solver.step_size * curvatures[1].item()) ** solver.steps
    assert 0.3 < factor < 0.95
    assert naive.gradient(lambda at: implicit_loss(PROBLEM, at, best), best).norm() < 1e-12
    state, distances = tools.initial_state(solver, [0], 1.0), []
    for _ in range(90):
        state = solver.step(tools.information, state)  # type: ignore[arg-type]
        away = state.lower[0].log_softmax(-1) - best
        distances.append((away - away.mean()).norm().item())
    # Resolved, and the faster directions are gone.
    assert 1e-10 < distances[-1] < 1e-7
    assert distances[-1] / distances[-2] == pytest.approx(factor, rel=1e-3)


def test_one_step_of_every_round_is_online_dpo() -> None:
    tools = instruments_for(PROBLEM, [0, 1])
    rounds = DPORounds(step_size=0.7, steps=1, pairs=1)
    online = OnlineDPO(step_size=0.7, pairs=1)
    one, other = (tools.initial_state(each, [0, 1], 1.0) for each in (rounds, online))
    for _ in range(5):
        one = rounds.step(tools.information, one)  # type: ignore[arg-type]
        other = online.step(tools.information, other)  # type: ignore[arg-type]
    torch.testing.assert_close(one.lower, other.lower, rtol=1e-12, atol=1e-14)


def test_a_round_draws_once() -> None:
    tools = instruments_for(PROBLEM, [0])
    solver = DPORounds(step_size=0.5, steps=9, pairs=13)
    state = tools.initial_state(solver, [0], 1.0)
    for number in (1, 2):
        state = solver.step(tools.sampled, state)  # type: ignore[arg-type]
        counts = tools.sampled.counts
        assert (counts.labels, counts.trajectories) == (13 * number, 26 * number)


DESCENTS = {
    "bandit": bandit(contexts=4, actions=3, features=4),
    "episodic": random_problem(5, (2, 2, 3), discount=0.7, sparse=True, features=3),
    "discounted": random_discounted_problem(3, (3, 2)),
    "longer segments": random_discounted_problem(1, (2, 2), segment_length=2, sparse=True),
    "log-linear": garnet(states=3, actions=2, horizon=2, features=4).with_classes(
        policy="log-linear"
    ),
}


@pytest.mark.parametrize("pairs", [5, 5000])
@pytest.mark.parametrize("name", DESCENTS)
def test_steps_in_one_call_are_those_of_single_operations(name: str, pairs: int) -> None:
    tools = instruments_for(DESCENTS[name], range(3))
    oracle, lower = tools.sampled, tools.initial_lower(range(3))
    data = oracle.preference_data(lower, pairs)  # type: ignore[attr-defined]
    before = lower.clone()
    ours = descend_implied(oracle, lower, data, steps=5, step_size=0.7)  # type: ignore[arg-type]
    theirs = descend_implied(Passing(oracle), lower, data, steps=5, step_size=0.7)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.equal(lower, before)
    assert float((ours - lower).abs().max()) > 1e-3
    other = descend_implied(oracle, lower, data, steps=5, step_size=0.701)  # type: ignore[arg-type]
    assert float((ours - other).abs().max()) > 1e-6


def test_where_steps_on_data_are_not_taken_in_one_call() -> None:
    tools = instruments_for(DESCENTS["bandit"], range(3))
    oracle, lower = tools.sampled, tools.initial_lower(range(3))
    data = oracle.preference_data(lower, 5)  # type: ignore[attr-defined]
    offered = data_shortcut(oracle)
    assert offered is not None
    given = {"steps": 2, "step_size": 0.1}
    assert offered.implicit_data_descent(lower, data, **given) is not None
    columns = torch.full((3, 1), 0.1, dtype=torch.float64)
    assert offered.implicit_data_descent(lower, data, steps=2, step_size=columns) is None
    assert data_shortcut(Passing(oracle)) is None
    linear = instruments_for(DESCENTS["log-linear"], range(3))
    table = linear.sampled.preference_data(linear.initial_lower(range(3)), 5)  # type: ignore[attr-defined]
    offered = data_shortcut(linear.sampled)
    assert offered is not None
    assert offered.implicit_data_descent(linear.initial_lower(range(3)), table, **given) is None
