"""Sparse kernels: when they are kept, that they are the same problem, and what is refused."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from helpers.generators import random_discounted_problem, varied_problems
from helpers.kernels import with_rows
from scipy import sparse

from theory_check.errors import InvalidArgumentError
from theory_check.problems import Problem, gridworld, gymnasium, tabular
from theory_check.problems.dynamics import (
    MANY_STATES,
    DenseDynamics,
    SparseDynamics,
    keeps_sparse,
)
from theory_check.problems.stored import as_record, content_digest

ACTIONS = 2
STATES = MANY_STATES


def drawn(states: int = STATES, successors: int = 3, seed: int = 0) -> sparse.csr_array:
    """Return rows (s * a, s) with a few successors each, whose sums are 1 to the rounding of float32."""
    generator = np.random.default_rng(seed)
    pairs = states * ACTIONS
    columns = generator.integers(states, size=(pairs, successors))
    chances = generator.dirichlet(np.ones(successors), pairs).astype(np.float32)
    places = (np.repeat(np.arange(pairs), successors), columns.ravel())
    return sparse.csr_array((chances.ravel().astype(np.float64), places), shape=(pairs, states))


def built(transitions: Any, states: int = STATES, **others: Any) -> Problem:
    given: dict[str, Any] = {
        "initial": np.full(states, 1 / states),
        "true_reward": np.arange(2.0 * states).reshape(states, ACTIONS) / states,
        "features": np.ones((states, ACTIONS, 1)),
        "observations": np.zeros((states, 1)),
        "horizon": 2,
    }
    return tabular(transitions=transitions, **{**given, **others})


def table_of(rows: sparse.csr_array) -> np.ndarray:
    return rows.toarray().reshape(-1, ACTIONS, rows.shape[1])


def test_few_successors_of_many_states_are_kept_sparse() -> None:
    assert keeps_sparse(1000, 4, 80_000)
    assert not keeps_sparse(1000, 4, 80_001)
    assert not keeps_sparse(999, 4, 1)


@pytest.mark.slow
def test_what_is_kept_sparse_is_the_problem_of_its_table() -> None:
    """Every form of input gives the same kernel bit for bit, hence the same key."""
    rows = drawn()
    dense = built(table_of(rows))
    assert isinstance(dense.transitions, torch.Tensor)
    by_action = [rows[action::ACTIONS] for action in range(ACTIONS)]
    stacked = sparse.vstack(by_action)
    for form in (
        built(rows),
        built(rows.tolil()),
        built(by_action),
        built(stacked.tocoo(), layout="action-first"),
    ):
        assert isinstance(form.transitions, SparseDynamics)
        assert torch.equal(form.dynamics.dense("a test"), dense.transitions)
        assert content_digest(form) == content_digest(dense)


def test_fewer_states_or_many_successors_become_a_table() -> None:
    small = drawn(states=10)
    problem = built(small, states=10)
    assert isinstance(problem.transitions, torch.Tensor)
    assert isinstance(problem.dynamics, DenseDynamics)
    uniform = sparse.csr_array(np.full((STATES * ACTIONS, STATES), 1 / STATES))
    assert isinstance(built(uniform).transitions, torch.Tensor)


@pytest.mark.slow
def test_absent_actions_take_the_row_of_the_first_that_exists() -> None:
    rows = drawn()
    mask = np.ones((STATES, ACTIONS), dtype=bool)
    mask[3, 0] = mask[5, 1] = False
    table = table_of(rows)
    spoilt = rows.tolil()
    spoilt[3 * ACTIONS] = 0.0
    sparse_one, dense = built(spoilt, action_mask=mask), built(table, action_mask=mask)
    assert isinstance(sparse_one.transitions, SparseDynamics)
    assert content_digest(sparse_one) == content_digest(dense)


@pytest.mark.slow
def test_rewards_of_transitions_are_those_of_the_table() -> None:
    rows = drawn()
    earned = np.random.default_rng(1).standard_normal((STATES, ACTIONS, STATES))
    earned[rows.toarray().reshape(earned.shape) == 0] = 1e6
    one, other = built(rows, true_reward=earned), built(table_of(rows), true_reward=earned)
    assert torch.equal(one.true_reward, other.true_reward)


@pytest.mark.parametrize("index", range(0, 24, 4))
def test_the_key_is_that_of_the_table(index: int) -> None:
    problem = varied_problems()[index]
    held = with_rows(problem)
    assert content_digest(held) == content_digest(problem)
    assert as_record(held, "a", {}) == as_record(problem, "a", {})
    assert content_digest(held) != content_digest(random_discounted_problem(index))


def test_a_copy_is_the_same() -> None:
    held = with_rows(varied_problems()[3])
    assert held.dynamics.rows.bounds[0] == 0
    copy = pickle.loads(pickle.dumps(held))
    assert content_digest(copy) == content_digest(held)
    assert repr(copy) == repr(held)


def test_what_dynamics_answer_is_what_the_table_does() -> None:
    problem = random_discounted_problem(3, (7, 3), sparse=True)
    table, rows = problem.dynamics, with_rows(problem).dynamics
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 7, dtype=torch.float64, generator=generator)
    joint = torch.rand(2, 7, 3, dtype=torch.float64, generator=generator)
    for one, other in (
        (table.ahead(values), rows.ahead(values)),
        (table.arriving(joint), rows.arriving(joint)),
        (table.ahead_of_steps(values[:, None]), rows.ahead_of_steps(values[:, None])),
        (table.moves.mean(values), rows.moves.mean(values)),
        (table.moves.pushed(joint), rows.moves.pushed(joint)),
        (table.changes.mean(values), rows.changes.mean(values)),
        (table.changes.pushed(joint), rows.changes.pushed(joint)),
        (table.dense("a test"), rows.dense("a test")),
        (torch.cat(list(table.blocks())), torch.cat(list(rows.blocks()))),
    ):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-15)
    assert table.possible == rows.possible == 42
    assert table.shape == rows.shape == (7, 3, 7)
    for mine, theirs in zip(table.rows, rows.rows, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    absent = torch.zeros(7, 3, dtype=torch.bool)
    absent[2, :2] = True
    for gone in (None, absent):
        one, other = table.followers(gone), rows.followers(gone)
        for state in range(7):
            start = torch.arange(7) == state
            assert torch.equal(one(start), other(start))


def test_what_no_table_may_have_a_sparse_kernel_may_not_either() -> None:
    problem = with_rows(random_discounted_problem(3, (4, 2), sparse=True))
    matrix = problem.dynamics.matrix

    def changed(factor: float, at: int = 0) -> SparseDynamics:
        other = matrix.copy()
        other.data[at] *= factor
        return SparseDynamics.of(other, 2)

    target = int(matrix.indices[0])
    for factor, text in (
        (np.nan, rf"nan at index \(0, 0, {target}\)"),
        (-1.0, rf"-0\.\d+ at index \(0, 0, {target}\)"),
        (0.5, r"a row that sums to 0\.\d+ \(index \(0, 0\)\)"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"^transitions: received {text}"):
            dataclasses.replace(problem, transitions=changed(factor))
    last = matrix.nnz - 1
    with pytest.raises(InvalidArgumentError, match=r"inf at index \(3, 1, \d\)"):
        dataclasses.replace(problem, transitions=changed(np.inf, last))
    with pytest.raises(InvalidArgumentError, match=r"^initial: .*agree with transitions"):
        dataclasses.replace(problem, transitions=SparseDynamics.of(sparse.csr_array((6, 3)), 2))


def test_rows_that_compiled_loops_would_misread_are_refused() -> None:
    two = sparse.csr_array(
        (np.array([0.5, 0.5]), np.array([1, 0]), np.array([0, 2, 2])), shape=(2, 2)
    )
    for wrong in (two, sparse.csr_array(np.eye(3)[:2]), sparse.csr_array(np.eye(2) > 0)):
        with pytest.raises(InvalidArgumentError, match=r"^probabilities: .*SparseDynamics\.of"):
            SparseDynamics(wrong, 1)
    assert SparseDynamics.of(two, 1).matrix.indices.tolist() == [0, 1]


def test_indicators_of_many_states_are_refused_by_name() -> None:
    rows = drawn(states=5000)
    given = {"states": 5000, "features": None}
    with pytest.raises(
        InvalidArgumentError,
        match=r"^transitions: received 5000, .* or features and observations of",
    ):
        built(rows, **given)
    with pytest.raises(InvalidArgumentError, match=r"^transitions: received ndarray .*complex"):
        built(rows * 1j, states=5000)
    with pytest.raises(InvalidArgumentError, match=r"^transitions: .*row that sums to 2"):
        built(rows * 2, states=5000)


def test_a_table_too_large_is_refused_by_what_would_need_it() -> None:
    problem = built(drawn(states=5000), states=5000)
    with pytest.raises(
        InvalidArgumentError,
        match=r"^problem: received 5000 states and 2 actions with a sparse kernel, of which a test "
        r"would take a table of 50000000 numbers; pass a smaller problem",
    ):
        problem.dynamics.dense("a test")
    with pytest.raises(InvalidArgumentError, match="of which a stored file would take"):
        as_record(problem, "a", {})


@pytest.mark.slow
def test_a_large_gridworld_is_sparse_and_the_one_of_its_table() -> None:
    rows = ["S" * 33, *["." * 33] * 30, "." * 16 + "#" * 16 + "G"]
    problem = gridworld(map=rows, features="observations", step_cost=0.1)
    assert isinstance(problem.transitions, SparseDynamics)
    kernel = problem.dynamics.dense("a test")
    again = tabular(
        transitions=kernel,
        initial=problem.initial,
        true_reward=problem.true_reward,
        features=problem.features,
        observations=problem.observations,
        horizon=None,
        discount=problem.discount,
    )
    assert torch.equal(again.dynamics.dense("a test"), kernel)
    # From the upper left corner upwards: against the wall, or to the right by slipping.
    assert kernel[0, 0, 0] == pytest.approx(0.9)
    assert kernel[0, 0, 1] == pytest.approx(0.1)
    goal = problem.states - 1
    assert kernel[goal, :, goal].tolist() == [1.0] * 4
    earned = (kernel[..., goal] - 0.1)[:-1]
    torch.testing.assert_close(problem.true_reward[:-1], earned, rtol=0, atol=1e-15)
    with pytest.raises(InvalidArgumentError, match=r"^map: received \d+, .*features"):
        gridworld(map=["S" * 100] * 99 + ["G" * 100])


@pytest.mark.slow
def test_a_large_frozen_lake_is_sparse() -> None:
    pytest.importorskip("gymnasium")
    rows = ["S" + "F" * 32, *["F" * 33] * 31, "F" * 32 + "G"]
    given = {"desc": rows, "features": "observations", "horizon": 3}
    problem = gymnasium("FrozenLake-v1", **given)
    assert isinstance(problem.transitions, SparseDynamics)
    kernel = problem.dynamics.dense("a test")
    third = torch.tensor(1 / 3, dtype=torch.float64)
    torch.testing.assert_close(kernel[0, 0, 0], 2 * third)
    torch.testing.assert_close(kernel[0, 0, 33], third)
