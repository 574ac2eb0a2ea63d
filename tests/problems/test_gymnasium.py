"""Environments of gymnasium: their tables, and optimal values by value iteration on those tables."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from helpers.fresh import printed_by_text

from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import (
    hard_gap,
    hard_return,
    optimal_return,
    optimal_values,
)
from theory_check.problems import Problem, gymnasium
from theory_check.problems.transition_table import read_table
from theory_check.runs import load_experiment

library = pytest.importorskip("gymnasium")

LAKES: list[dict[str, Any]] = [
    {},
    {"map_name": "8x8"},
    {"is_slippery": False},
    {"desc": ["SFG", "FHF", "FFS"]},
]
OTHERS = [{"id": "CliffWalking-v1"}, {"id": "CliffWalking-v1", "is_slippery": True}]
CASES = pytest.mark.parametrize("arguments", [*LAKES, *OTHERS], ids=json.dumps)


def newest(name: str) -> str:
    """Return the latest version of an environment, which is the one that does not warn."""
    versions = [spec.version for spec in library.registry.values() if spec.name == name]
    return f"{name}-v{max(versions)}"


def value_iteration(
    arguments: dict[str, Any], discount: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return optimal values, the optimal return, and start law, straight from ``env.unwrapped.P``.

    Stopped when the contraction bounds the error by 1e-12.
    """
    rest = {key: value for key, value in arguments.items() if key != "id"}
    env = library.make(arguments.get("id", "FrozenLake-v1"), **rest).unwrapped
    value = np.zeros(len(env.P))
    while True:
        backed_up = np.array(
            [
                max(
                    sum(p * (r + discount * (not end) * value[t]) for p, t, r, end in outcomes)
                    for outcomes in env.P[state].values()
                )
                for state in range(len(env.P))
            ]
        )
        change = np.abs(backed_up - value).max()
        value = backed_up
        if change * discount / (1 - discount) < 1e-12:
            start = np.asarray(env.initial_state_distrib)
            return value, float(start @ value), start


def reachable(problem: Problem) -> np.ndarray:
    """Return which states a run of the problem can be in."""
    moves = problem.transitions.sum(1).numpy() > 0
    found = problem.initial.numpy() > 0
    for _ in range(problem.states):
        found = found | (found @ moves)
    return found


@CASES
def test_optimal_values_equal_value_iteration_on_the_environments_table(
    arguments: dict[str, Any],
) -> None:
    problem = gymnasium(**arguments)
    value, best, _ = value_iteration(arguments, problem.discount)
    assert optimal_return(problem) == pytest.approx(best, abs=1e-10)
    # What the table says of a state in which the episode has ended is no part of the problem.
    ends = (np.diagonal(problem.transitions.numpy(), axis1=0, axis2=2) == 1).all(0)
    met = reachable(problem)
    acted = met & ~ends
    assert acted.sum() > 2
    found = optimal_values(problem)[0].numpy()
    np.testing.assert_allclose(found[acted], value[acted], atol=1e-10)
    assert (met & ends).any()
    np.testing.assert_allclose(found[ends], 0, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("discount", [0.95, 0.99])
@pytest.mark.parametrize("arguments", LAKES, ids=json.dumps)
def test_the_exact_oracle_tends_to_the_optimal_policy(
    arguments: dict[str, Any], discount: float
) -> None:
    """With ``beta`` = 1e-10 the policy's return is within ``beta log(4) / (1 - gamma)`` = 1.4e-8.

    That bound is the worst case; the policy concentrates on optimal actions, so the issue's 1e-8 is met
    with orders of magnitude to spare.
    """
    problem = gymnasium(**arguments, discount=discount, kl_weight=1e-10)
    _, best, start = value_iteration(arguments, discount)
    oracle = ExactOracle(problem)
    log_policy = oracle.optimal_policy(problem.true_parameters).reshape(1, 1, problem.states, -1)
    policy = log_policy[0, 0].exp().numpy()
    moves = np.einsum("sa,sat->st", policy, problem.transitions.numpy())
    earned = (policy * problem.true_reward.numpy()).sum(1)
    value = np.linalg.solve(np.eye(problem.states) - discount * moves, earned)
    assert start @ value == pytest.approx(best, abs=1e-8)
    control, reward = control_of(problem), problem.true_reward[None]
    assert hard_return(control, reward, log_policy).item() == pytest.approx(best, abs=1e-8)
    assert 0 <= hard_gap(control, reward, log_policy).item() < 1e-8
    # The regularised value lies below the unregularised one, by at most what section 2.8 allows.
    soft = control.lower_objective(reward, log_policy).item()
    assert best - 1e-10 * np.log(4) / (1 - discount) - 1e-11 <= soft <= best + 1e-11


@pytest.mark.slow
def test_taxi_with_its_unreachable_states() -> None:
    """500 states: 300 starts, 100 with the passenger aboard, 4 ends; 96 are never entered."""
    arguments = {"id": newest("Taxi")}
    problem = gymnasium(**arguments, discount=0.9)
    _, best, start = value_iteration(arguments, 0.9)
    assert optimal_return(problem) == pytest.approx(best, abs=1e-9)
    assert (start > 0).sum() == 300
    assert (problem.states, problem.actions) == (500, 6)
    assert reachable(problem).sum() == 404
    assert problem.observations.shape == (500, 4)
    assert len(torch.unique(problem.observations, dim=0)) == 500
    assert problem.realisable
    control = control_of(problem)
    assert torch.isfinite(control.optimal_log_policy(problem.true_reward[None])).all()


def test_rewards_and_ends_of_the_frozen_lake() -> None:
    problem = gymnasium(desc=["SFG", "FHF", "FFS"], is_slippery=False, reward_scale=3.0)
    # Left, down, right, up from each cell; state 2 is the goal, 4 the hole; going right from 1 pays.
    assert problem.true_reward.nonzero().tolist() == [[1, 2], [5, 3]]
    assert problem.true_reward[1, 2].item() == 3.0
    assert problem.initial.tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0, 0.5]
    for end in (2, 4):
        assert (problem.transitions[end, :, end] == 1).all()
    assert problem.observations[5].tolist() == [0, 1]
    assert problem.name == (
        "gymnasium(FrozenLake-v1, desc=['SFG', 'FHF', 'FFS'], is_slippery=False)"
    )


def test_an_end_in_a_state_that_runs_pass_through_gets_a_state_of_its_own() -> None:
    # State 0: stay and end for 1, or go to 1 for 0. State 1: back to 0 for 0, or end in 1 for 2.
    table = {
        0: {0: [(1.0, 0, 1.0, True)], 1: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 0, 0.0, False)], 1: [(0.25, 1, 2.0, True), (0.75, 1, 4.0, False)]},
    }
    found = read_table(table, np.array([1.0, 0.0]))
    assert found.extra_state
    kernel = found.transitions.toarray().reshape(3, 2, 3)
    assert kernel[0, 0].tolist() == [0, 0, 1]
    assert kernel[1, 1].tolist() == [0, 0.75, 0.25]
    assert kernel[2].tolist() == [[0, 0, 1]] * 2
    assert found.reward.tolist() == [[1, 0], [0, 3.5], [0, 0]]
    assert found.initial.tolist() == [1, 0, 0]


def test_a_start_law_that_is_not_stated_is_uniform_over_states_where_nothing_ends() -> None:
    table = {
        0: {0: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 2, 5.0, True)]},
        2: {0: [(1.0, 0, 7.0, False)]},
    }
    found = read_table(table, None)
    assert found.initial.tolist() == [0.5, 0.5, 0]
    assert found.reward.tolist() == [[0], [5], [0]]  # the end is absorbing, whatever its row says
    assert not found.extra_state


def one(outcomes: list[Any]) -> dict[int, dict[int, list[Any]]]:
    """Return a table of two states, the first with these outcomes."""
    return {0: {0: outcomes}, 1: {0: [(1.0, 1, 0.0, False)]}}


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({0: {0: []}, 2: {0: []}}, "numbered 0, 1"),
        ({0: {0: []}, 1: {0: [], 1: []}}, "same actions"),
        ({}, "numbered 0, 1"),
        ({"start": {0: []}}, "numbered 0, 1"),
        ({1: {0: []}, 2: {0: []}}, "numbered 0, 1"),
        ({0: {"left": []}}, "same actions"),
        ({0: {}}, "same actions"),
        # Dropped, the first would leave a kernel that sums to 1.
        (one([(-0.5, 1, 0.0, False), (1.0, 0, 0.0, False)]), r"\[0\]\[0\] has a probability"),
        (one([(1.5, 0, 0.0, False)]), "probability that is not in"),
        (one([(float("nan"), 0, 0.0, False)]), "probability that is not in"),
        (one([("1", 0, 0.0, False)]), "probability that is not in"),
        (one([(1.0, -1, 0.0, False)]), "not among 0 .. 1"),
        (one([(1.0, 2, 0.0, False)]), "not among 0 .. 1"),
        (one([(1.0, 0.5, 0.0, False)]), "not among 0 .. 1"),
        (one([(1.0, "goal", 0.0, False)]), "not among 0 .. 1"),
        (one([(1.0, 0, None, False)]), "reward that is not a finite number"),
        (one([(1.0, 0, float("inf"), False)]), "reward that is not a finite number"),
        (one([(1.0, 0, 0.0, "no")]), "whether the episode ends"),
        (one([(1.0, 0, 0.0)]), "is not .probability, next state, reward, ends."),
        (one([7]), "is not .probability, next state, reward, ends."),
    ],
)
def test_tables_that_are_refused(table: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read_table(table, None)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_start_law_may_be_any_sequence(kind: Any) -> None:
    found = read_table(one([(1.0, 1, 0.0, False)]), kind([0.25, 0.75]))
    assert found.initial.tolist() == [0.25, 0.75]


@pytest.mark.parametrize("start", [[1.0], [0.5, 0.7, -0.2], [1.5, -0.5], ["a", "b"], [None, 1.0]])
def test_a_start_law_that_is_none_is_refused(start: Any) -> None:
    with pytest.raises(ValueError, match=r"start law of shape|initial_state_distrib: "):
        read_table(one([(1.0, 1, 0.0, False)]), start)


@pytest.mark.parametrize("id", ["no_such_module:Env-v0", "json.tool:FrozenLake-v1"])
def test_no_name_imports_a_module(id: str) -> None:
    before = set(sys.modules)
    with pytest.raises(InvalidArgumentError, match=r"^id: .*import it yourself"):
        gymnasium(id)
    assert "json.tool" not in set(sys.modules) - before


def test_an_experiment_file_cannot_name_a_module(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('ran')\n")
    file = tmp_path / "lake.toml"
    file.write_text(
        'measurement = "penalty-bias"\ndescription = "A lake."\nseeds = 1\n'
        "[settings]\nsigmas = [0.1, 0.05, 0.02, 0.01]\n"
        '[problems.lake]\nfamily = "gymnasium"\nid = "stranger:FrozenLake-v1"\n'
    )
    with pytest.raises(InvalidArgumentError, match=r"problems\.lake\.id: .*would be imported"):
        load_experiment(file)


class Bent(library.Env):  # type: ignore[misc, name-defined]
    """An environment whose table is not one of numbered states."""

    P: Any = {0: {0: [(1.0, 0, 0.0, False)]}, 2: {0: [(1.0, 0, 0.0, False)]}}  # noqa: RUF012
    observation_space = library.spaces.Discrete(3)
    action_space = library.spaces.Discrete(1)


@pytest.fixture
def bent() -> Iterator[str]:
    library.register("Bent-v0", Bent, disable_env_checker=True)
    yield "Bent-v0"
    library.registry.pop("Bent-v0")


def test_an_environment_with_an_unusable_table_is_refused(bent: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^id: .*numbered 0, 1"):
        gymnasium(bent)


@pytest.mark.parametrize(
    ("arguments", "argument", "text"),
    [
        ({"id": "CartPole-v1"}, "id", "'CartPole-v1', which has no transition table.*FrozenLake"),
        ({"id": "FrozenLak-v1"}, "id", "FrozenLak"),
        ({"map_name": None}, "kwargs", "another transition table every time.*map_name"),
        ({"holes": 3}, "kwargs", "'holes': 3.*arguments that FrozenLake-v1 takes"),
        ({"id": newest("Taxi"), "fickle_passenger": True}, "fickle_passenger", "leave it out"),
        ({"discount": 1.0}, "discount", "below 1, or a horizon"),
        ({"segment_length": 0}, "segment_length", "at least 1"),
        ({"reward_scale": 0.0}, "reward_scale", "greater than 0"),
    ],
)
def test_refusals(arguments: dict[str, Any], argument: str, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"(?s)^{argument}: received .*{text}"):
        gymnasium(**arguments)


@pytest.mark.slow
def test_an_experiment_file_may_hold_the_arguments_of_an_environment(tmp_path: Path) -> None:
    text = (
        'measurement = "penalty-bias"\ndescription = "A lake."\nseeds = 1\n'
        "[settings]\nsigmas = [0.1, 0.05, 0.02, 0.01]\n"
        '[problems.lake]\nfamily = "gymnasium"\nid = "FrozenLake-v1"\nmap_name = "8x8"\n'
        "is_slippery = {}\n"
    )
    file = tmp_path / "lake.toml"
    keys = set()
    for slippery in ("true", "false"):
        file.write_text(text.format(slippery))
        (cell,) = load_experiment(file).cells()
        problem = cell.problem.build()
        assert problem.states == 64
        assert ((problem.transitions == 1).sum() == 64 * 4) == (slippery == "false")
        keys.add(cell.key)
    assert len(keys) == 2
    file.write_text(text.format("true") + "holes = 3\n")
    with pytest.raises(InvalidArgumentError, match=r"problems\.lake\.kwargs: .*holes"):
        load_experiment(file)


@pytest.mark.slow
def test_without_the_library_the_message_names_the_command(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from theory_check.errors import InvalidArgumentError\n"
        "from theory_check.catalogue import installed\n"
        "from theory_check.problems import gymnasium\n"
        "assert 'gymnasium' in installed().families\n"
        "try:\n    gymnasium('FrozenLake-v1')\n"
        "except InvalidArgumentError as error:\n    print(error)\n"
    )
    printed = printed_by_text(script, tmp_path)
    assert "not installed; pip install 'theory-check[gymnasium]'" in printed


def test_the_family_does_not_shadow_the_library() -> None:
    module = importlib.import_module("theory_check.problems.gymnasium")
    assert module.__dict__["gymnasium"] is gymnasium
    assert importlib.import_module("gymnasium") is library


def test_an_environment_that_somebody_made_is_read_as_it_is() -> None:
    made = library.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
    problem = gymnasium(made, discount=0.9)
    named = gymnasium("FrozenLake-v1", map_name="8x8", is_slippery=False, discount=0.9)
    assert torch.equal(problem.transitions, named.transitions)
    assert torch.equal(problem.true_reward, named.true_reward)
    assert torch.equal(problem.observations, named.observations)
    assert problem.name == "gymnasium(FrozenLake-v1)"
    # It can still be used.
    made.reset(seed=0)
    assert len(made.step(0)) == 5


class Corridor(library.Env):
    """Three cells in a row; a registered name is not needed. Nothing is done in the last but to stay."""

    P: ClassVar = {
        0: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 2, 1.0, True)]},
        2: {0: [(1.0, 2, 0.0, True)], 1: [(1.0, 2, 0.0, True)]},
    }
    initial_state_distrib = np.array([1.0, 0.0, 0.0])
    masks = ([0, 1], [1, 1], [0, 0])

    def action_mask(self, state: int) -> list[int]:
        return self.masks[state]


def test_an_environment_of_ones_own_with_a_mask() -> None:
    problem = gymnasium(Corridor(), action_mask=True, horizon=3)
    assert problem.name == "gymnasium(Corridor)"
    assert problem.action_mask is not None
    # Where the episode has ended, all actions stay.
    assert problem.action_mask.tolist() == [[False, True], [True, True], [True, True]]
    assert optimal_return(problem) == pytest.approx(0.95)
    assert gymnasium(Corridor()).action_mask is None
    assert problem.state_names is problem.action_names is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"is_slippery": False}, "is_slippery: received False; leave it out: the environment has"),
        ({"action_mask": 1}, "action_mask: received 1"),
    ],
)
def test_an_environment_takes_no_other_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        gymnasium(Corridor(), **arguments)


def test_a_mask_of_the_environment_is_asked_for_where_there_is_one() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^action_mask: received True, but FrozenLake-v1 has"
    ):
        gymnasium(action_mask=True)

    class Bare(Corridor):
        masks = ([0, 0], [1, 1], [0, 0])

    with pytest.raises(
        InvalidArgumentError, match=r"^action_mask: received no action in state 0; lea"
    ):
        gymnasium(Bare(), action_mask=True)

    class Odd(Corridor):
        masks = ([1, 1, 1], [1, 1], [1, 1])

    with pytest.raises(
        InvalidArgumentError, match=r"^action_mask: received True, but that of Odd is"
    ):
        gymnasium(Odd(), action_mask=True)


@pytest.mark.slow
def test_the_mask_of_taxi_takes_nothing_from_what_can_be_earned() -> None:
    """Left out are moves into walls and pick-ups and drop-offs at the wrong place."""
    arguments = {"id": newest("Taxi"), "discount": 0.9}
    problem, whole = gymnasium(**arguments, action_mask=True), gymnasium(**arguments)
    assert problem.action_mask is not None
    assert problem.states < problem.action_mask.sum() < problem.action_mask.numel() / 2
    assert optimal_return(problem) == pytest.approx(optimal_return(whole), abs=1e-9)
    assert problem.action_names == ("south", "north", "east", "west", "pick up", "drop off")


def test_states_and_actions_have_the_names_of_the_environment() -> None:
    lake = gymnasium(desc=["SFG", "FHF", "FFS"], is_slippery=False)
    assert lake.action_names == ("left", "down", "right", "up")
    assert lake.state_names is not None
    assert (lake.state_names[0], lake.state_names[5]) == ("0, 0", "1, 2")
    # Down from the upper left corner is the state below it.
    assert lake.transitions[0, lake.action_names.index("down")].argmax() == 3
    cliff = gymnasium("CliffWalking-v1")
    assert cliff.action_names == ("up", "right", "down", "left")
