"""Divergences and returns against sums over trajectories, and what is said of a path of policies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import naive
from helpers.generators import random_discounted_problem, random_log_policy, random_problem
from torch import Tensor

from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.overoptimisation import (
    MEASURED,
    TRUTH,
    Overoptimisation,
    delay_of,
    gain_of,
    peak_of,
    rows_of,
    summarised,
)
from theory_check.oracles.control import control_of
from theory_check.oracles.control.divergence import (
    divergence,
    implied_reward,
    optimal_for_steps,
    step_return,
)
from theory_check.problems import Problem, bandit
from theory_check.recording.run import run

METHODS = Catalogue.shipped().methods
EPISODIC = random_problem(311, (2, 2, 3), discount=0.8, objective="excess_risk")
DISCOUNTED = random_discounted_problem(312, (3, 2), segment_length=2)
ONE_STEP = random_problem(313, (3, 3, 1))
LABELS = {"episodic": EPISODIC, "discounted": DISCOUNTED, "one step": ONE_STEP}


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def policy_of(problem: Problem, seed: int = 7) -> Tensor:
    """Return a random log-policy with one replicate."""
    return random_log_policy(seed, problem).reshape(1, *control_of(problem).policy_shape)


def expected(problem: Problem, log_policy: Tensor, table: Tensor) -> float:
    """Return ``E_pi[sum_h gamma^h table_h(s_h, a_h)]``: over trajectories, or by 400 steps forwards."""
    if problem.horizon is not None:
        law = naive.law(problem, log_policy)
        totals = [
            sum(
                problem.discount**h * table[h, s, a].item() for h, (s, a) in enumerate(path.visited)
            )
            for path in naive.paths(problem)
        ]
        return float(law @ torch.tensor(totals, dtype=torch.float64))
    policy, kernel, state = log_policy[0].exp(), problem.transitions, problem.initial
    total = 0.0
    for step in range(400):
        joint = state[:, None] * policy
        total += problem.discount**step * float((joint * table[0]).sum())
        state = torch.einsum("sa,sat->t", joint, kernel)
    return total


@pytest.mark.parametrize("label", LABELS)
def test_divergence_and_returns_are_sums_over_trajectories(label: str) -> None:
    """The forward sum stops at ``0.9**400 = 5e-19`` of its terms, or earlier for smaller discounts."""
    problem = LABELS[label]
    assert problem.discount <= 0.9 or problem.horizon is not None
    control, policy = control_of(problem), policy_of(problem)
    ratio = policy[0] - control.log_reference
    found = divergence(control, policy).item()
    assert found == pytest.approx(expected(problem, policy[0], ratio), rel=1e-11)
    reward = policy_of(problem, seed=8).exp()
    row = rows_of(control, problem.true_reward, reward, policy, [3]).iloc[0]
    truth = problem.true_reward.expand_as(policy)
    for name, table in (("true_return", truth), ("learned_return", reward)):
        gained = expected(problem, policy[0], table[0])
        gained -= expected(problem, control.log_reference, table[0])
        assert row[name] == pytest.approx(gained, rel=1e-10, abs=1e-12)
    assert row["distance"] ** 2 == pytest.approx(row["kl"]) == pytest.approx(found)
    penalised = row["true_return"] - problem.kl_weight * found
    assert row["regularised_return"] == pytest.approx(penalised)


def test_without_a_discount_it_is_the_divergence_of_the_laws_of_trajectories() -> None:
    problem = replace(EPISODIC, discount=1.0)
    control, policy = control_of(problem), policy_of(problem)
    own, reference = naive.law(problem, policy[0]), naive.law(problem, control.log_reference)
    whole = float((own * (own / reference).log()).sum())
    assert divergence(control, policy).item() == pytest.approx(whole, rel=1e-11)
    same = control.log_reference[None]
    assert divergence(control, same).item() == 0.0


@pytest.mark.parametrize("label", LABELS)
def test_the_implied_reward_is_the_reward_but_for_a_number(label: str) -> None:
    """Returns of ``beta log(pi/pi_ref)`` of the optimum of r differ from those of r by one number."""
    problem = LABELS[label]
    control = control_of(problem)
    reward = problem.true_reward[None] * 1.7
    optimal = control.optimal_log_policy(reward)
    implied, steps = implied_reward(control, optimal), reward[:, None].expand_as(optimal)
    shifts = [
        (step_return(control, implied, each) - step_return(control, steps, each)).item()
        for each in (optimal, policy_of(problem), control.log_reference[None])
    ]
    assert max(shifts) - min(shifts) < 1e-11
    assert abs(shifts[0]) > 1e-3


def test_one_step_of_an_implied_reward_is_the_divergence_both_ways() -> None:
    control, policy = control_of(ONE_STEP), policy_of(ONE_STEP)
    row = rows_of(control, ONE_STEP.true_reward, implied_reward(control, policy), policy, [0]).iloc[
        0
    ]
    there = policy[0, 0].exp() * (policy[0, 0] - control.log_reference[0])
    back = control.log_reference[0].exp() * (control.log_reference[0] - policy[0, 0])
    both = ONE_STEP.kl_weight * float(ONE_STEP.initial @ (there + back).sum(-1))
    assert row["learned_return"] == pytest.approx(both, rel=1e-11)


@pytest.mark.parametrize("label", LABELS)
def test_the_optimum_of_rewards_that_depend_on_the_step(label: str) -> None:
    """Of the same reward at every step it is the known one; of what a policy implies, the policy."""
    problem = LABELS[label]
    control = control_of(problem)
    reward = problem.true_reward[None]
    known = control.optimal_log_policy(reward)
    found = optimal_for_steps(control, reward[:, None].expand_as(known))
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)
    policy = policy_of(problem)
    again = optimal_for_steps(control, implied_reward(control, policy))
    torch.testing.assert_close(again, policy, rtol=1e-9, atol=1e-9)


def test_what_can_be_gained_is_what_the_best_arm_has_more() -> None:
    problem = bandit(contexts=2, actions=3, seed=4)
    best = problem.true_reward.max(dim=1).values
    mean = (problem.reference_policy[0] * problem.true_reward).sum(-1)
    assert gain_of(problem) == pytest.approx(float((problem.initial * (best - mean)).sum()))


# --- peaks


def test_peaks_and_delays_by_hand() -> None:
    curve = np.array([[0.5, 1.0], [1.0, 2.0], [1.5, 1.0], [2.0, 3.0]])
    assert peak_of(curve) == (2.0, 3.0)
    assert peak_of(curve, within=1.5) == (1.0, 2.0)
    assert peak_of(-curve * [-1, 1]) == (0.0, 0.0)
    rival = np.array([[0.4, 2.0], [1.2, 1.0], [1.6, 0.5]])
    # Up to 1.6: 1.0 against 0.4; the later peak at 2.0 is beyond what the rival reaches.
    assert delay_of(curve, rival) == pytest.approx(0.6)
    assert delay_of(rival, curve) == pytest.approx(-0.6)
    assert math.isnan(delay_of(curve[:0], rival))
    beyond = np.array([[2.5, 1.0], [3.0, 2.0]])
    assert math.isnan(delay_of(beyond, rival))
    assert math.isnan(delay_of(rival, beyond))


def test_what_is_lost_is_a_share_of_what_can_be_gained() -> None:
    rows = pd.DataFrame(
        {
            "seed": 1,
            "path": "budget",
            "method": ["a"] * 3 + ["b"] * 2,
            "iteration": 1,
            "kl_weight": 0.1,
            "distance": [1.0, 2.0, 3.0, 1.5, np.nan],
            "true_return": [1.0, 4.0, 3.0, 2.0, np.nan],
            "status": ["ok"] * 4 + ["diverged"],
        }
    ).assign(**dict.fromkeys(["kl", "learned_return", "regularised_return"], 0.0))
    found = summarised(rows.assign(samples=0.0, labels=0.0), 5.0, "b")
    by = found.groupby("method").first()
    assert by.loc["a", "peak_distance"] == 2.0
    assert by.loc["a", "lost"] == pytest.approx(0.2)
    assert by.loc["a", "delay"] == pytest.approx(1.0 - 1.5)
    assert by.loc["b", ["lost", "delay"]].tolist() == [0.0, 0.0]
    assert len(found) == len(rows)


# --- the measurement


def measurement(*methods: str, **changes: object) -> Overoptimisation:
    arguments: dict[str, object] = {
        "methods": tuple(METHODS[name] for name in methods),
        "rival": METHODS[methods[0]],
        "iterations": 3,
        "kl_weights": (0.03, 0.3, 1.0, 3.0),
        "pairs": 20,
        **changes,
    }
    return Overoptimisation(**arguments)  # type: ignore[arg-type]


PROBLEM = bandit(contexts=2, actions=3, features=2, misspecification=1.0, seed=1)


def test_rows_of_both_paths_and_what_the_recorder_says_of_the_same_run() -> None:
    chosen = measurement("alternating", "dpo-rounds")
    table = chosen.measure(PROBLEM, [4, 9], ignore)
    names = ["seed", "method", "path", "iteration", "kl_weight", *MEASURED, "samples", "labels"]
    summary = ["peak", "peak_distance", "lost", "delay", "attainable"]
    assert list(table.columns) == [*names, *summary, "status"]
    assert set(table["status"]) == {"ok"}
    assert set(table["method"]) == {"alternating", "dpo-rounds", TRUTH}
    control = control_of(PROBLEM)
    truth = PROBLEM.true_reward.expand_as(control.log_reference[None])
    start = float(step_return(control, truth, control.log_reference[None]))
    for name in ("alternating", "dpo-rounds"):
        solver = chosen.solver_of(PROBLEM, METHODS[name])
        assert solver.pairs == 20
        trace = run(PROBLEM, solver, 3, [4, 9], ergodic=False).table
        mine = table[(table["method"] == name) & (table["path"] == "training")]
        assert mine["iteration"].tolist() == trace["iteration"].tolist()
        np.testing.assert_allclose(mine["true_return"] + start, trace["true_return"], rtol=1e-9)
        np.testing.assert_array_equal(mine["labels"], trace["labels"])
    rounds = table[(table["method"] == "dpo-rounds") & (table["path"] == "budget")]
    assert (rounds["labels"] == 3 * 20).all()
    alternating = table[table["method"] == "alternating"]
    assert (alternating["delay"] == 0).all()


def test_the_budget_is_swept_with_the_last_reward() -> None:
    """The divergence rises as the weight falls, and at the problem's own weight a policy is its own."""
    weights = (0.03, 0.3, PROBLEM.kl_weight, 3.0)
    table = measurement("dpo-rounds", kl_weights=weights).measure(PROBLEM, [4, 9], ignore)
    for _, rows in table[table["path"] == "budget"].groupby(["seed", "method"]):
        assert rows["kl_weight"].is_monotonic_decreasing
        assert rows["kl"].is_monotonic_increasing
        assert rows["learned_return"].is_monotonic_increasing
    own = table[(table["kl_weight"] == PROBLEM.kl_weight) & (table["method"] == "dpo-rounds")]
    last = own[own["path"] == "training"].groupby("seed").last()
    same = own[own["path"] == "budget"].set_index("seed")
    for name in MEASURED:
        np.testing.assert_allclose(same[name], last[name], rtol=1e-8, err_msg=name)
    true = table[table["method"] == TRUTH]
    np.testing.assert_allclose(true["true_return"], true["learned_return"], rtol=1e-12)
    assert true["lost"].abs().max() < 1e-12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": (METHODS["offline"],) * 2}, "methods: received .*; name each method once"),
        ({"rival": METHODS["sail"]}, "rival: received sail; name one of"),
        ({"constants": {"sail": {}}}, r"constants\.sail: received .*; name"),
        ({"constants": {"offline": {"step_size": 1.0}}}, r"constants\.offline: received .*; pass"),
        ({"kl_weights": (0.0,)}, r"kl_weights\[0\]"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        measurement("offline", **changes)
