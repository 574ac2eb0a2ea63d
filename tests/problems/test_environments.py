"""Gridworlds, RiverSwim and the chain: their dynamics, and optimal values computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize
from scipy.sparse.csgraph import connected_components

from theory_check.errors import InvalidArgumentError
from theory_check.oracles.control.hard_control import optimal_return, optimal_values
from theory_check.problems import Problem, chain, gridworld, riverswim
from theory_check.problems.chain import forward_values

DOORWAYS = [[3, 6], [6, 2], [7, 9], [10, 6]]


def value_by_linear_programme(problem: Problem) -> np.ndarray:
    """Solve ``min sum V`` subject to ``V >= r + gamma P V``, the LP of a discounted problem."""
    pairs = problem.states * problem.actions
    moves = problem.transitions.numpy().reshape(pairs, -1)
    stay = np.repeat(np.eye(problem.states), problem.actions, axis=0)
    found = optimize.linprog(
        np.ones(problem.states),
        A_ub=problem.discount * moves - stay,
        b_ub=-problem.true_reward.numpy().reshape(-1),
        bounds=(None, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.success
    return np.asarray(found.x)


@pytest.mark.parametrize(
    "problem",
    [
        riverswim(),
        riverswim(states=12, discount=0.99),
        gridworld(map="four-rooms"),
        gridworld(step_cost=0.04, discount=0.9),
        chain(length=7, slip=0.3),
    ],
    ids=lambda problem: problem.name,
)
def test_optimal_values_by_linear_programming(problem: Problem) -> None:
    found = optimal_values(problem)[0].numpy()
    # A vertex solution is exact to rounding; the solver's feasibility tolerance 1e-10 over 1-gamma.
    np.testing.assert_allclose(value_by_linear_programme(problem), found, atol=1e-8)
    assert optimal_return(problem) == pytest.approx(problem.initial.numpy() @ found, abs=1e-14)


def test_four_rooms_has_the_cells_of_the_paper() -> None:
    """104 cells: rooms of 25, 30, 25 and 20 that only the four doorways connect."""
    problem = gridworld(map="four-rooms", slip=0.0)
    assert problem.states == 104
    assert (problem.initial > 0).sum() == 103
    # The walkable rows and columns of the 13 x 13 map are 1 to 11.
    cells = (5 * problem.observations + 6).round().int().tolist()
    rooms = [index for index, cell in enumerate(cells) if cell not in DOORWAYS]
    assert len(rooms) == 100
    linked = problem.transitions.sum(1).numpy()[np.ix_(rooms, rooms)]
    number, room = connected_components(linked, directed=False)
    assert number == 4
    assert sorted(np.bincount(room)) == [20, 25, 25, 30]
    assert connected_components(problem.transitions.sum(1).numpy(), directed=False)[0] == 1


def test_the_published_utilities_of_russell_and_norvig() -> None:
    """Figure 17.3: cost 0.04 a step, undiscounted, the intended move with probability 0.8.

    Their utility of a state counts its own reward, ours the reward of the moves from it: equal where no
    episode has ended. 200 steps leave less than 1e-6 of the walks unfinished.
    """
    problem = gridworld(step_cost=0.04, slip=0.2, discount=1.0, horizon=200)
    found = optimal_values(problem)[0].tolist()
    book = [0.812, 0.868, 0.918, 0.0, 0.762, 0.660, 0.0, 0.705, 0.655, 0.611, 0.388]
    assert found == pytest.approx(book, abs=5e-4)


def test_slips_rewards_and_walls_of_a_small_map() -> None:
    problem = gridworld(
        map="SH\n.G", slip=0.4, goal_reward=2.0, pit_reward=-3.0, step_cost=0.5, reward_scale=10.0
    )
    # Cells 0 start, 1 pit, 2 free, 3 goal; actions up, right, down, left.
    up, right, down, left = problem.transitions[0].tolist()
    assert up == pytest.approx([0.8, 0.2, 0.0, 0.0])  # stays: the edge above, and to the left
    assert right == pytest.approx([0.2, 0.6, 0.2, 0.0])
    assert down == pytest.approx([0.2, 0.2, 0.6, 0.0])
    assert left == pytest.approx([0.8, 0.0, 0.2, 0.0])
    assert problem.true_reward[0].tolist() == pytest.approx(
        [10 * (-3.0 * enters - 0.5) for enters in (0.2, 0.6, 0.2, 0.0)]
    )
    assert problem.true_reward[2].tolist() == pytest.approx(
        [10 * (2.0 * enters - 0.5) for enters in (0.2, 0.6, 0.2, 0.0)]
    )
    for end in (1, 3):
        assert (problem.transitions[end, :, end] == 1).all()
        assert (problem.true_reward[end] == 0).all()
    assert problem.observations.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_starts_are_uniform_and_maps_may_be_lists() -> None:
    as_text = gridworld(map="\n  S.S \n  .GS \n")
    as_rows = gridworld(map=["S.S", ".GS"])
    assert as_text.initial.tolist() == as_rows.initial.tolist() == [1 / 3, 0, 1 / 3, 0, 0, 1 / 3]
    assert torch.equal(as_text.transitions, as_rows.transitions)


def test_linear_rewards_of_coordinates() -> None:
    problem = gridworld(features="observations")
    assert problem.features.shape == (11, 4, 12)
    weights = torch.arange(12.0, dtype=torch.float64)
    table = problem.reward_model.table(weights[None])[0]
    row, column = problem.observations[5].tolist()
    assert table[5, 2].item() == pytest.approx(6 + 7 * row + 8 * column)
    assert not problem.realisable
    assert gridworld().realisable


def test_riverswim_has_the_numbers_of_the_paper() -> None:
    problem = riverswim()
    upstream = problem.transitions[:, 1].numpy()
    expected = np.array(
        [
            [0.7, 0.3, 0.0, 0.0, 0.0, 0.0],
            [0.1, 0.6, 0.3, 0.0, 0.0, 0.0],
            [0.0, 0.1, 0.6, 0.3, 0.0, 0.0],
            [0.0, 0.0, 0.1, 0.6, 0.3, 0.0],
            [0.0, 0.0, 0.0, 0.1, 0.6, 0.3],
            [0.0, 0.0, 0.0, 0.0, 0.7, 0.3],
        ]
    )
    np.testing.assert_allclose(upstream, expected, atol=1e-15)
    downstream = np.eye(6)[[0, 0, 1, 2, 3, 4]]
    assert (problem.transitions[:, 0].numpy() == downstream).all()
    assert problem.initial.tolist() == [0, 0.5, 0.5, 0, 0, 0]
    assert problem.true_reward.nonzero().tolist() == [[0, 0], [5, 1]]
    assert problem.true_reward[0, 0].item() == 5 / 10000
    assert problem.true_reward[5, 1].item() == 0.3
    assert problem.observations[:, 0].tolist() == pytest.approx([-1, -0.6, -0.2, 0.2, 0.6, 1])


@pytest.mark.parametrize(
    ("length", "slip", "discount"), [(2, 0.0, 0.5), (5, 0.0, 0.9), (5, 0.2, 0.95), (9, 0.1, 0.98)]
)
def test_the_chain_has_its_closed_form(length: int, slip: float, discount: float) -> None:
    problem = chain(length=length, slip=slip, discount=discount)
    closed = forward_values(length=length, slip=slip, discount=discount)
    np.testing.assert_allclose(optimal_values(problem)[0].numpy(), closed, rtol=1e-12)
    assert optimal_return(problem) == pytest.approx(closed[0], rel=1e-12)


def test_returning_is_optimal_where_the_closed_form_says_so() -> None:
    """Without slip, forward is optimal if and only if ``gamma^(N-1) large >= small``."""
    for small, forward in ((0.6, True), (0.7, False)):  # 0.9^4 = 0.6561
        problem = chain(slip=0.0, discount=0.9, return_reward=small)
        closed = forward_values(length=5, slip=0.0, discount=0.9, return_reward=small)
        found = optimal_values(problem)[0].numpy()
        assert found[0] == pytest.approx(max(0.6561, small) / 0.1, rel=1e-12)
        assert np.allclose(found, closed) == forward


MAPS = [
    (["S.", "..G"], "row 1 of 3 characters.*rectangular"),
    (["S.", "xG"], "'x' in row 1, column 0"),
    (["..", ".G"], "no start.*'S'"),
    (["S.", ".."], "no goal.*'G'"),
    ([], "at least one row"),
    ("", "at least one row"),
    ("four-room", "did you mean 'four-rooms'"),
]


@pytest.mark.parametrize(("drawn", "text"), MAPS)
def test_maps_that_are_refused(drawn: str | list[str], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"(?s)^map: received .*{text}"):
        gridworld(map=drawn)


@pytest.mark.parametrize(
    ("family", "arguments", "argument"),
    [
        (gridworld, {"slip": 1.5}, "slip"),
        (gridworld, {"slip": float("nan")}, "slip"),
        (gridworld, {"step_cost": float("inf")}, "step_cost"),
        (gridworld, {"discount": 1.0}, "discount"),
        (riverswim, {"states": 2}, "states"),
        (chain, {"length": 1}, "length"),
        (chain, {"slip": -0.1}, "slip"),
        (chain, {"end_reward": float("nan")}, "end_reward"),
    ],
)
def test_family_arguments(family: object, arguments: dict[str, float], argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received "):
        family(**arguments)  # type: ignore[operator]
