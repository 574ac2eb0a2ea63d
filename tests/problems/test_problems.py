"""Contract of every problem family, found by its file, and what a problem declares."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from helpers.families import build, example, tabular_families
from helpers.generators import random_problem

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError, UndeclaredTruthError
from theory_check.oracles import ExactOracle
from theory_check.problems import Problem, garnet, tabular
from theory_check.testing import check_problem, failures

# Families of closed-form problems have their own contract, in test_closed_form.py.
FAMILIES = pytest.mark.parametrize("name", tabular_families())


def tensors(problem: Problem) -> dict[str, torch.Tensor]:
    return {key: value for key, value in vars(problem).items() if isinstance(value, torch.Tensor)}


def test_known_families_are_found() -> None:
    stated = {"gridworld", "riverswim", "chain", "gymnasium"}
    assert {"bandit", "garnet", "tabular"} | stated <= installed().families.keys()


@pytest.mark.every_case
@FAMILIES
def test_it_keeps_the_contract(name: str) -> None:
    assert failures(check_problem(installed().families[name], example(name))) == ()


@FAMILIES
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_contract(name: str, objective: str) -> None:
    problem = build(name, objective=objective, kl_weight=0.7)
    assert (problem.objective, problem.kl_weight) == (objective, 0.7)
    shape = (problem.states, problem.actions)
    assert problem.transitions.shape == (*shape, problem.states)
    assert problem.initial.shape == (problem.states,)
    assert problem.true_reward.shape == shape
    assert problem.features.shape == (*shape, problem.parameters)
    assert problem.reference_policy.shape == (problem.steps, *shape)
    assert problem.observations.shape[0] == problem.states
    for value in tensors(problem).values():
        assert value.dtype == torch.float64
        assert torch.isfinite(value).all()
    assert problem.name
    # What is stored need not be; all that is drawn has its true reward in the span of the features.
    assert problem.realisable == (name != "stored")
    again = build(name, objective=objective, kl_weight=0.7)
    assert all(torch.equal(tensors(again)[key], value) for key, value in tensors(problem).items())
    if not problem.realisable:
        with pytest.raises(UndeclaredTruthError, match="optimum"):
            _ = problem.optimal_hyperobjective
        return
    truth = problem.reward_model.table(problem.true_parameters[None])[0]
    difference = truth - problem.true_reward
    assert (difference - difference.mean()).abs().max() < 1e-12
    value = ExactOracle(problem).hyperobjective(problem.true_parameters)
    if objective == "excess_risk":
        assert problem.optimal_hyperobjective == 0.0
        assert abs(value.item()) < 1e-14
    else:
        assert value > 0
        with pytest.raises(UndeclaredTruthError, match="optimum"):
            _ = problem.optimal_hyperobjective


@FAMILIES
def test_every_family_has_both_versions(name: str) -> None:
    """Episodic and discounted, where the family takes a horizon at all."""
    if "horizon" not in inspect.signature(installed().families[name]).parameters:
        assert build(name).horizon is not None
        return
    shape = (build(name).states, build(name).actions)
    assert build(name, horizon=2).reference_policy.shape == (2, *shape)
    discounted = build(name, horizon=None, discount=0.8, segment_length=2)
    assert (discounted.horizon, discounted.segment_length) == (None, 2)
    assert discounted.reference_policy.shape == (1, *shape)


@FAMILIES
@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"horizon": None, "discount": 1.0}, "discount"),
        ({"horizon": None, "discount": 0.9, "segment_length": 0}, "segment_length"),
        ({"misspecification": -0.1}, "misspecification"),
        ({"reward_scale": 0.0}, "reward_scale"),
        ({"kl_weight": 0.0}, "kl_weight"),
    ],
)
def test_every_family_refuses(name: str, changes: dict[str, Any], argument: str) -> None:
    if not changes.keys() <= inspect.signature(installed().families[name]).parameters.keys():
        return
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received"):
        build(name, **changes)


@pytest.mark.parametrize("name", ["bandit", "garnet"])
def test_seeds_draw_different_problems(name: str) -> None:
    assert not torch.equal(build(name, seed=1).true_reward, build(name, seed=2).true_reward)


@pytest.mark.parametrize("branching", [1, 2, 4])
def test_garnet_has_the_promised_successors(branching: int) -> None:
    problem = garnet(states=4, actions=3, horizon=2, branching=branching, seed=5)
    assert ((problem.transitions > 0).sum(-1) == branching).all()


def test_bandit_has_one_step_and_uniform_contexts() -> None:
    problem = build("bandit")
    assert problem.horizon == 1
    assert (problem.initial == 0.5).all()


def test_a_reward_outside_the_class_has_no_true_parameters() -> None:
    problem = random_problem(2, (3, 2, 1), features=2, realisable=False, objective="excess_risk")
    assert not problem.realisable
    with pytest.raises(UndeclaredTruthError, match="span of the features"):
        _ = problem.true_parameters
    with pytest.raises(UndeclaredTruthError):
        _ = problem.optimal_hyperobjective


def test_a_constant_added_to_a_realisable_reward_keeps_it_realisable() -> None:
    problem = random_problem(2, (3, 2, 1), features=2)
    arrays = {key: value.numpy() for key, value in tensors(problem).items()}
    moved = tabular(**{**arrays, "true_reward": arrays["true_reward"] + 3.0}, horizon=1)
    assert moved.realisable
    torch.testing.assert_close(moved.true_parameters, problem.true_parameters)


def test_parameters_of_the_tabular_class_are_those_of_least_norm() -> None:
    """The answer for indicators of pairs is written out; least squares knows it by factorisation."""
    problem = garnet(states=4, actions=3, horizon=1, seed=3)
    assert problem.realisable
    design = np.hstack([np.eye(12), np.ones((12, 1))])
    expected = np.linalg.lstsq(design, problem.true_reward.numpy().ravel(), rcond=None)[0]
    np.testing.assert_allclose(problem.true_parameters.numpy(), expected[:-1], atol=1e-14)


def test_numpy_torch_and_lists_give_equal_problems() -> None:
    source = random_problem(4, (2, 3, 2), features=2)
    as_torch = tensors(source)
    as_numpy = {key: value.numpy() for key, value in as_torch.items()}
    as_lists = {key: value.tolist() for key, value in as_torch.items()}
    for arrays in (as_torch, as_numpy, as_lists):
        made = tensors(tabular(**arrays, horizon=2))
        assert all(torch.equal(made[key], value) for key, value in as_torch.items())


@pytest.mark.parametrize("kind", ["numpy", "torch", "shared reference"])
def test_the_callers_arrays_are_not_aliased(kind: str) -> None:
    source = random_problem(4, (2, 3, 2), features=2)
    arrays: dict[str, Any] = {key: value.clone() for key, value in tensors(source).items()}
    if kind == "numpy":
        arrays = {key: value.numpy().copy() for key, value in arrays.items()}
    if kind == "shared reference":
        arrays["reference_policy"] = arrays["reference_policy"][0].clone()
    problem = tabular(**arrays, horizon=2)
    before = {key: value.clone() for key, value in tensors(problem).items()}
    for value in arrays.values():
        value[...] = 99.0
    assert all(torch.equal(tensors(problem)[key], value) for key, value in before.items())


def test_one_reference_policy_serves_every_step() -> None:
    reference = np.array([[0.2, 0.8], [0.5, 0.5]])
    problem = build("tabular", reference_policy=reference)
    assert (problem.reference_policy.numpy() == reference).all()
    assert (build("tabular").reference_policy == 0.5).all()


def test_what_is_printed_of_a_problem_is_one_line() -> None:
    problem = garnet(states=3, actions=2, horizon=3, features=4, kl_weight=0.5, seed=0)
    assert repr(problem) == (
        "<Problem garnet(3x2, horizon 3, seed 0): 3 states, 2 actions, horizon 3, KL weight 0.5, "
        "cross_entropy, Linear() of 4 parameters, Tabular()>"
    )
    endless = tabular(
        transitions=[[[1.0], [1.0]]],
        initial=[1.0],
        true_reward=[[1.0, 0.0]],
        horizon=None,
        discount=0.9,
        segment_length=2,
        objective="excess_risk",
        name="two\narms",
    )
    assert repr(endless) == (
        "<Problem two\\narms: 1 states, 2 actions, discount 0.9, segments of 2, KL weight 1, "
        "excess_risk, Linear() of 2 parameters, Tabular()>"
    )
