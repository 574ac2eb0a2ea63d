"""Observations and aliased states of random families: they may not move anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from theory_check.errors import InvalidArgumentError
from theory_check.problems import Problem, bandit, garnet
from theory_check.problems.observations import feature_table, normalised

GARNETS: list[dict[str, Any]] = [
    {"states": 3, "actions": 2, "horizon": 3, "features": 4},
    {"states": 4, "actions": 3, "horizon": 2, "branching": 3, "seed": 7},
    {"states": 5, "actions": 2, "horizon": 2, "features": 3, "reward_scale": 2.0, "seed": 1},
]
BANDITS: list[dict[str, Any]] = [
    {"contexts": 4, "actions": 3, "features": 3},
    {"contexts": 2, "actions": 3, "seed": 5},
]


def rewards_as_first_drawn(
    generator: np.random.Generator, states: int, actions: int, given: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    scale = given.get("reward_scale", 1.0)
    if "features" not in given:
        pairs = np.eye(states * actions).reshape(states, actions, -1)
        return pairs, scale * generator.standard_normal((states, actions))
    features = generator.standard_normal((states, actions, given["features"]))
    direction = generator.standard_normal(given["features"]) / np.sqrt(given["features"])
    return features, scale * features @ direction


def garnet_as_first_drawn(given: dict[str, Any]) -> list[np.ndarray]:
    """Draw as the first release did, in its order: kernel, start law, features, reward."""
    states, actions = given["states"], given["actions"]
    branching = given.get("branching", 2)
    generator = np.random.default_rng([given.get("seed", 0), states, actions, branching])
    kernel = np.zeros((states, actions, states))
    for state in range(states):
        for action in range(actions):
            targets = generator.choice(states, size=branching, replace=False)
            cuts = np.sort(generator.random(branching - 1))
            kernel[state, action, targets] = np.diff(cuts, prepend=0.0, append=1.0)
    initial = generator.dirichlet(np.ones(states))
    drawn = rewards_as_first_drawn(generator, states, actions, given)
    return [law(kernel), law(initial), *drawn]


def law(values: np.ndarray) -> np.ndarray:
    """Divide rows by their sums, which torch adds in an order of its own."""
    rows = torch.from_numpy(values)
    return (rows / rows.sum(-1, keepdim=True)).numpy()


def bandit_as_first_drawn(given: dict[str, Any]) -> list[np.ndarray]:
    contexts, actions = given["contexts"], given["actions"]
    generator = np.random.default_rng([given.get("seed", 0), contexts, actions])
    stay = np.repeat(np.eye(contexts)[:, None, :], actions, axis=1)
    drawn = rewards_as_first_drawn(generator, contexts, actions, given)
    return [stay, law(np.full(contexts, 1 / contexts)), *drawn]


def parts(problem: Problem) -> list[np.ndarray]:
    tensors = (problem.transitions, problem.initial, problem.features, problem.true_reward)
    return [tensor.numpy() for tensor in tensors]


@pytest.mark.parametrize("new", [{}, {"observations": 3}, {"observations": 1}])
@pytest.mark.parametrize(
    ("family", "drawn", "given"),
    [
        *((garnet, garnet_as_first_drawn, given) for given in GARNETS),
        *((bandit, bandit_as_first_drawn, given) for given in BANDITS),
    ],
)
def test_problems_are_bit_for_bit_those_of_the_first_release(
    family: Any, drawn: Any, given: dict[str, Any], new: dict[str, Any]
) -> None:
    found = parts(family(**given, **new))
    assert all((was == now).all() for was, now in zip(drawn(given), found, strict=True))


@pytest.mark.parametrize(
    ("family", "given"), [*((garnet, g) for g in GARNETS), *((bandit, g) for g in BANDITS)]
)
def test_misspecification_moves_the_reward_only(family: Any, given: dict[str, Any]) -> None:
    if "features" not in given:
        with pytest.raises(InvalidArgumentError, match=r"^misspecification: .*every reward"):
            family(**given, misspecification=0.3)
        return
    before, after = parts(family(**given)), parts(family(**given, misspecification=0.3))
    assert all((a == b).all() for a, b in zip(before[:3], after[:3], strict=True))
    assert np.sqrt(np.mean((before[3] - after[3]) ** 2)) == pytest.approx(0.3, rel=1e-13)


def test_default_observations_are_indicators() -> None:
    assert (garnet(states=3, actions=2, horizon=2).observations == torch.eye(3)).all()


@pytest.mark.parametrize("dimension", [1, 4])
def test_observations_are_standard_normal_and_their_own(dimension: int) -> None:
    """200 states: mean and mean square within 5 standard errors; false alarm 4e-6 in all."""
    problem = garnet(states=200, actions=1, horizon=1, observations=dimension, seed=3)
    seen = problem.observations
    assert seen.shape == (200, dimension)
    entries = seen.numel()
    assert abs(seen.mean().item()) < 5 / np.sqrt(entries)
    assert abs(seen.square().mean().item() - 1) < 5 * np.sqrt(2 / entries)
    other = garnet(states=200, actions=1, horizon=1, observations=dimension, seed=4)
    assert not torch.equal(other.observations, seen)
    again = garnet(states=200, actions=1, horizon=1, observations=dimension, seed=3)
    assert torch.equal(again.observations, seen)


@pytest.mark.parametrize("features", [None, 3])
@pytest.mark.parametrize("observations", [None, 2])
def test_the_last_states_look_like_the_first(
    features: int | None, observations: int | None
) -> None:
    arguments: dict[str, Any] = {"features": features, "observations": observations, "seed": 2}
    for problem in (
        garnet(states=5, actions=3, horizon=2, aliases=2, **arguments),
        bandit(contexts=5, actions=3, aliases=2, **arguments),
    ):
        seen = problem.observations
        assert torch.equal(seen[3:], seen[:2])
        assert len(torch.unique(seen, dim=0)) == 3
        assert seen.shape == (5, 3 if observations is None else 2)
        assert torch.equal(problem.true_reward[3:], problem.true_reward[:2])
        if features is not None:
            assert torch.equal(problem.features[3:], problem.features[:2])
        assert problem.realisable


def test_aliased_states_keep_their_own_dynamics() -> None:
    arguments: dict[str, Any] = {"states": 6, "actions": 2, "horizon": 2, "observations": 2}
    plain, alike = garnet(**arguments), garnet(**arguments, aliases=3)
    assert torch.equal(plain.transitions, alike.transitions)
    assert torch.equal(plain.observations[:3], alike.observations[:3])
    assert torch.equal(plain.true_reward[:3], alike.true_reward[:3])
    assert not torch.equal(alike.transitions[3:], alike.transitions[:3])


def test_normalised_columns() -> None:
    found = normalised([(0, 5, 7), (1, 5, 9), (4, 5, 8)])
    assert found.tolist() == [[-1, 0, -1], [-0.5, 0, 1], [1, 0, 0]]


def test_features_made_of_observations() -> None:
    table = feature_table("observations", np.array([[2.0, 3.0], [5.0, 7.0]]), 2)
    assert table is not None
    assert table[1, 0].tolist() == [1, 5, 7, 0, 0, 0]
    assert table[0, 1].tolist() == [0, 0, 0, 1, 2, 3]
    assert feature_table("indicator", np.eye(2), 2) is None
    assert feature_table("observations", None, 2) is None


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"observations": 0}, "observations"),
        ({"aliases": 3}, "aliases"),
        ({"aliases": -1}, "aliases"),
    ],
)
def test_refusals(changes: dict[str, Any], argument: str) -> None:
    for call in (
        lambda: garnet(states=5, actions=2, horizon=2, **changes),
        lambda: bandit(contexts=5, actions=2, **changes),
    ):
        with pytest.raises(
            InvalidArgumentError, match=f"^{argument}: received {changes[argument]}"
        ):
            call()
