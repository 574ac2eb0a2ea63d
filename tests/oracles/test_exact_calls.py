"""Exact information for solvers: linear systems, contractions, curvatures, and what is counted."""

from __future__ import annotations

import pytest
import torch
from helpers import references
from helpers.generators import (
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.methods import dense, solved
from torch import Tensor

from theory_check.bilevel import CAPABILITIES, AdjointSystem
from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.models import MLPPolicy
from theory_check.oracles import ExactOracle
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import CountedInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.solutions.curvature import dominant_curvature
from theory_check.problems import Problem

PROBLEMS = {
    "bandit": random_problem(81, (3, 3, 1), features=4),
    "episodic": random_problem(82, (2, 2, 3), discount=0.8, objective="excess_risk", features=3),
    "sparse": random_problem(83, (4, 3, 2), sparse=True),
    "discounted": random_discounted_problem(84, (3, 2), features=3),
    "segments": random_discounted_problem(85, segment_length=2, objective="excess_risk"),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)


def optimum(problem: Problem, phi: Tensor) -> Tensor:
    return torch.stack([references.optimal_logits(problem, row) for row in phi])


# --- the linear system of the response


@LABELS
def test_solving_the_system_gives_the_hypergradient(label: str) -> None:
    problem = PROBLEMS[label]
    phi, exact = random_point(1, problem, 3), ExactOracle(problem)
    system = ExactInformation(problem).adjoint_system(phi, optimum(problem, phi))
    found = system.hypergradient(solved(system))
    torch.testing.assert_close(found, exact.hypergradient(phi), rtol=1e-9, atol=1e-11)


@LABELS
def test_the_system_is_that_of_the_dynamics_and_transposes_agree(label: str) -> None:
    """``(I - gamma P_pi)^T`` entry by entry, for an arbitrary policy."""
    problem = PROBLEMS[label]
    phi, table = random_point(1, problem, 1), random_log_policy(2, problem)
    system = ExactInformation(problem).adjoint_system(phi, table.reshape(1, -1))
    steps, states = table.shape[:2]
    expected = torch.eye(steps * states, dtype=torch.float64)
    for h in range(steps):
        ahead = h if problem.horizon is None else h + 1
        if ahead == steps:
            continue
        for s in range(states):
            for t in range(states):
                move = (table[h, s].exp() * problem.transitions[s, :, t]).sum()
                expected[ahead * states + t, h * states + s] -= problem.discount * move
    matrix = dense(system)
    torch.testing.assert_close(matrix[0], expected, rtol=1e-12, atol=1e-14)
    columns = torch.eye(steps * states, dtype=torch.float64)
    transposed = torch.stack([system.apply_transposed(c[None]) for c in columns], dim=-1)
    torch.testing.assert_close(transposed, matrix.mT, rtol=1e-14, atol=1e-15)


@LABELS
def test_the_solution_is_that_of_the_adjoint_in_other_unknowns(label: str) -> None:
    """``w = B - beta m`` with ``m_{h+1} = gamma P^T (c_h + pi_h m_h)``, ``c = (b - pi B) / beta``."""
    problem = PROBLEMS[label]
    phi, logits = random_point(1, problem, 1), random_log_policy(2, problem).reshape(1, -1)
    system = ExactInformation(problem).adjoint_system(phi, logits)
    beta, gamma, kernel = problem.kl_weight, problem.discount, problem.transitions
    policy = random_log_policy(2, problem).exp()
    tables = references.tables_of(problem)
    free = random_log_policy(2, problem).requires_grad_()
    value = upper_of_free_tables(problem, tables, phi[0], free)
    (b,) = torch.autograd.grad(value, free)
    total = b.sum(-1)
    c = (b - policy * total[..., None]) / beta
    if problem.horizon is None:
        carried = torch.zeros(problem.states, dtype=torch.float64)
        for _ in range(200):  # 0.7^200 is below rounding
            arrived = c[0] + policy[0] * carried[:, None]
            carried = gamma * torch.einsum("sat,sa->t", kernel, arrived)
        m = carried[None]
    else:
        rows = [torch.zeros(problem.states, dtype=torch.float64)]
        for h in range(problem.steps - 1):
            arrived = c[h] + policy[h] * rows[-1][:, None]
            rows.append(gamma * torch.einsum("sat,sa->t", kernel, arrived))
        m = torch.stack(rows)
    found = solved(system).reshape(m.shape)
    torch.testing.assert_close(found, total - beta * m, rtol=1e-9, atol=1e-12)


def upper_of_free_tables(
    problem: Problem, tables: references.Tables, phi: Tensor, log_policy: Tensor
) -> Tensor:
    """Return ``G`` where entries of ``log pi`` are free: probabilities multiply along paths."""
    reward = (problem.features * phi).sum(-1)
    if problem.horizon is None:
        return tables.upper_of_tables(reward, log_policy[0])  # type: ignore[union-attr]
    law = tables.law(log_policy)
    gaps, true = tables.returns(reward), tables.true_returns
    loss = references.naive.pair_loss(
        problem, gaps[:, None] - gaps[None, :], true[:, None] - true[None, :]
    )
    return law @ loss @ law


# --- contractions and curvatures


@LABELS
def test_the_optimum_is_the_fixed_point_of_the_contraction(label: str) -> None:
    """Logits of the action values stay; from elsewhere values approach by ``gamma`` a step."""
    problem = PROBLEMS[label]
    information, phi = ExactInformation(problem), random_point(1, problem, 2)
    optimal = information.optimal_lower(phi)
    torch.testing.assert_close(
        optimal.reshape(2, -1), optimum(problem, phi), rtol=1e-10, atol=1e-11
    )
    shape = (2, problem.steps, problem.states, problem.actions)
    near = torch.zeros_like(optimal)
    far = random_point(3, problem, 1)[:, :1] + random_log_policy(4, problem).reshape(1, -1).expand(
        2, -1
    )

    def values(logits: Tensor) -> Tensor:
        return problem.kl_weight * torch.logsumexp(logits.reshape(shape), dim=-1)

    distance = (values(near) - values(far)).abs().flatten(1).amax(-1)
    assert (distance > 0.1).all()
    for _ in range(12):
        near, far = (information.contracted_lower(phi, part) for part in (near, far))
        following = (values(near) - values(far)).abs().flatten(1).amax(-1)
        assert (following <= problem.discount * distance + 1e-13).all()
        distance = following
    for _ in range(120):
        near = information.contracted_lower(phi, near)
    # 0.8^120 is 2e-12.
    policy = near.reshape(shape).log_softmax(-1).flatten(1)
    torch.testing.assert_close(policy, optimal, rtol=1e-9, atol=1e-9)
    again = information.contracted_lower(phi, near)
    torch.testing.assert_close(again, near, rtol=1e-9, atol=1e-9)


def test_exact_policies_are_tabular() -> None:
    problem = random_problem(86, (2, 2, 2), features=2)
    model = MLPPolicy(width=4).bind(problem.model_inputs)
    information = ExactInformation(problem, policy_model=model)
    phi = random_point(1, problem, 1)
    lower = torch.zeros(1, model.parameters, dtype=torch.float64)
    for call in (
        lambda: information.optimal_lower(phi),
        lambda: information.contracted_lower(phi, lower),
    ):
        with pytest.raises(InvalidArgumentError, match=r"^policy.*search tabular policies"):
            call()


def test_power_iteration_finds_the_largest_curvature() -> None:
    """Of a quadratic with known eigenvalues, of either sign, and of ``J`` by an explicit Hessian."""
    generator = torch.Generator().manual_seed(3)
    basis, _ = torch.linalg.qr(torch.randn(2, 5, 5, generator=generator, dtype=torch.float64))
    sizes = torch.tensor([[-4.0, 2.0, 1.0, 0.5, 0.0], [3.0, -1.0, 0.2, 0.0, 0.0]]).double()
    matrices = basis @ torch.diag_embed(sizes) @ basis.mT

    def gradient(at: Tensor) -> Tensor:
        return (matrices @ at[:, :, None]).squeeze(-1)

    found = dominant_curvature(gradient, torch.ones(2, 5, dtype=torch.float64))
    # Ratios 1/2 and 1/3 of the next eigenvalue: 30 steps leave its square, 1e-18.
    torch.testing.assert_close(found, sizes.abs().amax(-1), rtol=1e-9, atol=0)
    problem = PROBLEMS["episodic"]
    phi, lower = random_point(1, problem, 1), random_log_policy(2, problem).reshape(1, -1)
    tables, information = references.tables_of(problem), ExactInformation(problem)
    second = torch.autograd.functional.hessian(lambda at: tables.lower(phi[0], at), lower[0])
    largest = torch.linalg.eigvalsh(second).abs().max()
    found = dominant_curvature(lambda at: information.lower_gradient(phi, at, 1), lower, steps=400)
    # Differences of step 1e-3 err by 1e-7 of third derivatives.
    assert found.item() == pytest.approx(largest.item(), rel=1e-4)
    short = dominant_curvature(lambda at: information.lower_gradient(phi, at, 1), lower)
    assert 0.9 * largest <= short.item() <= 1.0001 * largest


# --- counters


@pytest.mark.parametrize(
    ("problem", "score_steps", "visit_steps", "pair_steps", "pairs", "comparison_steps"),
    [
        (random_problem(87, (2, 2, 3)), 3, 3, 6, 1, 6),
        # As for the other calls: 5 expected steps to a stop, 4 after it; three steps a segment. Two
        # compared segments start at a first stop each and have two more steps.
        (random_discounted_problem(88, discount=0.8, segment_length=3), 9, 5, 33, 2, 14),
    ],
)
def test_what_every_operation_adds_to_the_counters(
    problem: Problem,
    score_steps: int,
    visit_steps: int,
    pair_steps: int,
    pairs: int,
    comparison_steps: int,
) -> None:
    oracle = SampledOracle(problem, [5, 6])
    phi = random_point(0, problem, 2)
    one = random_log_policy(0, problem).reshape(1, -1).repeat(2, 1)
    two = one + 0.1 * random_log_policy(1, problem).reshape(1, -1)
    data = oracle.preference_data(one, 11)
    expected = SampleCounts(11 * comparison_steps, 22, 11)
    assert oracle.counts == expected
    n, m = 7, 5
    total = SampleCounts(n * pair_steps, 2 * pairs * n, pairs * n)
    calls = [
        (lambda: oracle.data_gradient(phi, data), SampleCounts()),
        (lambda: oracle.implied_upper(one), SampleCounts()),
        (lambda: oracle.pointwise_penalty_in_lower(phi, one, two, n), SampleCounts()),
        (lambda: oracle.upper_gradient(phi, one, n), SampleCounts(n * comparison_steps, 2 * n, n)),
        (lambda: oracle.implicit_gradient(one, n), SampleCounts(n * comparison_steps, 2 * n, n)),
        (lambda: oracle.implicit_data_gradient(one, data), SampleCounts()),
        (lambda: oracle.implicit_objective_gradient(one, n), total),
        (
            lambda: oracle.preference_data_between(one, two, n),
            SampleCounts(n * comparison_steps, 2 * n, n),
        ),
        (
            lambda: oracle.lower_gradient_change(phi, one, phi, two, n),
            SampleCounts(n * score_steps, n, 0),
        ),
        # A continued rollout first walks to the step that it continues from, as one of two legs.
        (
            lambda: oracle.pointwise_penalty_in_upper(phi, one, two, m),
            SampleCounts(m * score_steps, m, 0),
        ),
        (
            lambda: oracle.total_gradient(phi, one, n, m),
            total + SampleCounts(m * score_steps, m, 0),
        ),
        (
            lambda: oracle.total_gradient(phi, one, n, m, separate_values=True),
            total + SampleCounts(2 * m * score_steps, 2 * m, 0),
        ),
    ]
    for call, added in calls:
        call()
        expected += added
        assert oracle.counts == expected


def test_nothing_follows_a_single_step() -> None:
    problem = random_problem(89, (2, 3, 1))
    oracle, phi = SampledOracle(problem, [0]), random_point(0, problem, 1)
    lower = random_log_policy(0, problem).reshape(1, -1)
    oracle.total_gradient(phi, lower, 4, 1000)
    oracle.pointwise_penalty_in_upper(phi, lower, lower + 1, 1000)
    # Pairs alone: two trajectories of one step and a label each.
    assert oracle.counts == SampleCounts(8, 8, 4)


@pytest.mark.parametrize("problem", [PROBLEMS["episodic"], PROBLEMS["segments"]])
def test_the_budget_refuses_every_operation_before_it_draws(problem: Problem) -> None:
    phi, lower = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    operations = [
        lambda o: o.upper_gradient(phi, lower, 20),
        lambda o: o.implicit_gradient(lower, 20),
        lambda o: o.implicit_objective_gradient(lower, 20),
        lambda o: o.preference_data_between(lower, 2 * lower, 20),
        lambda o: o.preference_data(lower, 20),
        lambda o: o.total_gradient(phi, lower, 20, 1),
        lambda o: o.lower_gradient_change(phi, lower, phi, lower, 60),
        lambda o: o.pointwise_penalty_in_upper(
            phi, lower, lower + torch.arange(lower.shape[1]), 60
        ),
    ]
    for operation in operations:
        capped, free = SampledOracle(problem, [0], sample_budget=50), SampledOracle(problem, [0])
        with pytest.raises(SampleBudgetExhausted, match=r"sample_budget: 50"):
            operation(capped)
        assert capped.counts == SampleCounts()
        # The streams are where they were.
        torch.testing.assert_close(
            capped.upper_gradients(phi, lower, 5).in_upper,
            free.upper_gradients(phi, lower, 5).in_upper,
            rtol=0,
            atol=0,
        )
        torch.testing.assert_close(
            capped.lower_gradient(phi, lower, 5), free.lower_gradient(phi, lower, 5), rtol=0, atol=0
        )


def test_every_exact_quantity_is_counted_once() -> None:
    problem = PROBLEMS["episodic"]
    exact = ExactInformation(problem)
    counted = CountedInformation(exact)
    assert all(isinstance(counted, capability) for capability in CAPABILITIES)
    assert counted.counts == SampleCounts()
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    data = exact.preference_data(one, 1)
    calls = [
        lambda o: o.lower_gradient(phi, one, 1),
        lambda o: o.lower_gradients(phi, one, one, 1, "independent").at_lower,
        lambda o: o.upper_gradients(phi, one, 1).in_upper,
        lambda o: o.upper_gradient(phi, one, 1),
        lambda o: o.penalty_difference(phi, one, 2 * one, 1, "shared"),
        lambda o: o.total_gradient(phi, one, 1, 1, separate_values=True).response,
        lambda o: o.optimal_lower(phi),
        lambda o: o.contracted_lower(phi, one),
        lambda o: o.preference_data(one, 1),
        lambda o: o.implicit_gradient(one, 1),
        lambda o: o.implicit_objective_gradient(one, 1),
        lambda o: o.preference_data_between(one, 2 * one, 1),
        lambda o: o.implicit_data_gradient(one, data),
    ]
    for number, call in enumerate(calls, start=1):
        assert torch.equal(call(counted), call(exact))
        assert counted.counts == SampleCounts(exact_calls=number)
    counted.lower_gradient(phi, one, 1)
    assert counted.counts == SampleCounts(exact_calls=len(calls) + 1)


def test_products_with_a_linear_system_are_counted_and_its_parts_are_not() -> None:
    problem = PROBLEMS["episodic"]
    exact, counted = ExactInformation(problem), CountedInformation(ExactInformation(problem))
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    system, plain = counted.adjoint_system(phi, one), exact.adjoint_system(phi, one)
    assert isinstance(system, AdjointSystem)
    assert counted.counts.exact_calls == 1
    right = system.right_hand_side
    assert torch.equal(right, plain.right_hand_side)
    assert torch.equal(system.hypergradient(right), plain.hypergradient(right))
    assert counted.counts.exact_calls == 1
    assert torch.equal(system.apply(right), plain.apply(right))
    assert counted.counts.exact_calls == 2
    assert torch.equal(system.apply_transposed(right), plain.apply_transposed(right))
    assert counted.counts == SampleCounts(exact_calls=3)


def test_a_budget_of_calls_is_refused_before_anything_is_answered() -> None:
    problem = PROBLEMS["episodic"]
    counted = CountedInformation(ExactInformation(problem), call_budget=2)
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    counted.optimal_lower(phi)
    system = counted.adjoint_system(phi, one)
    for call in (lambda: system.apply(system.right_hand_side), lambda: counted.optimal_lower(phi)):
        with pytest.raises(SampleBudgetExhausted, match="call_budget: 2 exact quantities"):
            call()
    assert counted.counts == SampleCounts(exact_calls=2)
