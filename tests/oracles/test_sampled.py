"""The sampled oracle: unbiased, counted, capped, and reproducible replicate by replicate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.generators import (
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.significance import assert_mean

from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.estimates import sampled_estimates
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.estimates.sample_source import tabulated
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import BradleyTerry, Problem, Thurstone
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

REPLICATES = 2000
PROBLEMS = {
    "cross_entropy": random_problem(21, (2, 2, 2), discount=0.8),
    "excess_risk": random_problem(22, (2, 2, 2), objective="excess_risk", features=3),
    "discounted": random_discounted_problem(29, objective="excess_risk", features=3),
    "discounted segments": random_discounted_problem(30, segment_length=2),
}
# 16 trajectories, pairs of stops, or segments of two steps: limits are 32 for rollouts, and 128 or 256
# for pairs. Where 4 pairs of state and action are all there is, 24 draws are counted in both modes.
MODES = {"indices": (24, 40), "counts": (200, 700)}


def inputs(objective: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    problem = PROBLEMS[objective]
    phi = random_point(1, problem).expand(REPLICATES, -1)
    one, two = (random_log_policy(seed, problem).reshape(1, -1) for seed in (2, 3))
    if problem.horizon is None:
        # Weights of long rollouts have the moments that the tests need only where policies are near.
        two = one + 0.1 * two
    return phi, one.expand(REPLICATES, -1), two.expand(REPLICATES, -1)


@pytest.mark.every_case
@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("objective", PROBLEMS)
def test_every_estimator_has_the_exact_mean(objective: str, mode: str) -> None:
    """Eight Bonferroni-corrected tests, each with false-alarm probability 1e-6."""
    problem, (n, pairs) = PROBLEMS[objective], MODES[mode]
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    phi, one, two = inputs(objective)

    def check(sampled: torch.Tensor, expected: torch.Tensor) -> None:
        assert_mean(sampled.numpy(), expected[0].numpy())

    check(oracle.lower_gradient(phi, one, n), exact.lower_gradient(phi, one, n))
    for coupling in ("independent", "shared"):
        found = oracle.lower_gradients(phi, one, two, n, coupling)
        expected = exact.lower_gradients(phi, one, two, n, coupling)
        check(found.at_lower, expected.at_lower)
        check(found.at_penalised, expected.at_penalised)
        check(
            oracle.penalty_difference(phi, one, two, n, coupling),
            exact.penalty_difference(phi, one, two, n, coupling),
        )
    upper, expected_upper = (o.upper_gradients(phi, one, pairs) for o in (oracle, exact))
    check(upper.in_upper, expected_upper.in_upper)
    check(upper.in_lower, expected_upper.in_lower)


LAWS = {
    "temperature": BradleyTerry(temperature=2.0, random_share=0.1),
    "ties": BradleyTerry(tie=0.5),
    "normal": Thurstone(deviation=0.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("version", ["cross_entropy", "excess_risk", "discounted"])
def test_labels_of_another_law_have_the_exact_mean(version: str, law: str, mode: str) -> None:
    """Three Bonferroni-corrected tests, each with false-alarm probability 1e-6."""
    problem, pairs = PROBLEMS[version].with_preferences(LAWS[law]), MODES[mode][1]
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    phi, one, _ = inputs(version)
    found, expected = (o.upper_gradients(phi, one, pairs) for o in (oracle, exact))
    assert_mean(found.in_upper.numpy(), expected.in_upper[0].numpy())
    assert_mean(found.in_lower.numpy(), expected.in_lower[0].numpy())
    # How often each wins: single pairs are too rare for the normal law of their mean.
    wins = oracle.preference_data(one, pairs).sum(-1)
    assert_mean(wins.numpy(), exact.preference_data(one[:1], 1).sum(-1)[0].numpy())


@pytest.mark.parametrize("law", LAWS)
def test_a_law_is_tabulated_as_it_is_stated(law: str) -> None:
    """Also where the annotator never errs, and for the law whose table the kernel writes itself."""
    returns = torch.tensor([0.3, -1.0, 0.3, 40.0, 2.0], dtype=torch.float64)
    pairs = torch.triu_indices(5, 5, 1)
    difference = returns[pairs[0]] - returns[pairs[1]]
    for each in (LAWS[law], BradleyTerry()):
        labels = tabulated(each, returns)
        preferred = torch.minimum(each.preferred(difference), each.preferred(-difference))
        np.testing.assert_allclose(labels.upset, preferred.numpy(), rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(labels.log_favourite, np.log1p(-labels.upset), atol=1e-15)
        assert np.isfinite(labels.log_odds).all()
    scaled = tabulated(BradleyTerry(temperature=2.0), returns)
    np.testing.assert_allclose(scaled.log_odds, difference.abs().numpy() / 2, rtol=1e-12)


@pytest.mark.parametrize(
    "problem",
    [
        random_problem(23, (2, 2, 2), objective="excess_risk"),
        random_discounted_problem(23, objective="excess_risk"),
    ],
)
def test_the_sampled_lower_gradient_of_the_excess_risk_vanishes_at_the_true_reward(
    problem: Problem,
) -> None:
    # Section 1.3: the loss is zero for every pair and label, the score of P_phi is not.
    oracle = SampledOracle(problem, [0])
    lower = random_log_policy(1, problem).reshape(1, -1)
    found = oracle.upper_gradients(problem.true_parameters[None], lower, 25)
    assert found.in_lower.abs().max() < 1e-14
    assert found.in_upper.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("problem", "steps"),
    [
        (random_problem(24, (2, 2, 3)), (3, 3, 6, 1)),
        # Expected steps of stopped rollouts: 5 = 1 / (1 - gamma) to the first stop, and after it 4 =
        # gamma / (1 - gamma). Of the four segments of a labelled pair and its credited twin, three start
        # at a first stop, one after a second leg of a rollout that does go on; each has two more steps.
        (random_discounted_problem(24, discount=0.8, segment_length=3), (9, 5, 3 * 7 + 12, 2)),
    ],
)
def test_counters_of_every_call(problem: Problem, steps: tuple[int, int, int, int]) -> None:
    score_steps, visit_steps, pair_steps, pairs = steps
    oracle = SampledOracle(problem, [5, 6])
    phi = random_point(0, problem, 2)
    one = random_log_policy(0, problem).reshape(1, -1).repeat(2, 1)
    calls = [
        (lambda: oracle.lower_gradient(phi, one, 7), 7 * score_steps, 7, 0),
        (lambda: oracle.lower_gradients(phi, one, one, 11, "independent"), 22 * score_steps, 22, 0),
        (lambda: oracle.lower_gradients(phi, one, one, 13, "shared"), 13 * score_steps, 13, 0),
        (lambda: oracle.upper_gradients(phi, one, 17), 17 * pair_steps, 34 * pairs, 17 * pairs),
        (
            lambda: oracle.penalty_difference(phi, one, one, 19, "independent"),
            38 * visit_steps,
            38,
            0,
        ),
        (lambda: oracle.penalty_difference(phi, one, one, 23, "shared"), 23 * visit_steps, 23, 0),
    ]
    expected = SampleCounts(0, 0, 0)
    assert oracle.counts == expected
    for call, env_steps, trajectories, labels in calls:
        call()
        expected += SampleCounts(env_steps, trajectories, labels)
        assert oracle.counts == expected
    assert oracle.counts.samples == 103 + 51 * pairs


def test_the_budget_refuses_before_drawing() -> None:
    problem = random_problem(25, (2, 2, 2))
    capped = SampledOracle(problem, [0], sample_budget=100)
    free = SampledOracle(problem, [0])
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    for oracle in (capped, free):
        oracle.upper_gradients(phi, one, 20)  # 40 trajectories and 20 labels
    with pytest.raises(SampleBudgetExhausted, match=r"sample_budget.*100.*41.*60"):
        capped.lower_gradient(phi, one, 41)
    assert capped.counts == free.counts
    # Exactly the rest is allowed, and comes from the stream as if nothing had been refused.
    assert torch.equal(capped.lower_gradient(phi, one, 40), free.lower_gradient(phi, one, 40))
    assert capped.counts.samples == 100


@pytest.mark.parametrize("budget", [0, -5, True])
def test_budgets_that_are_refused(budget: int) -> None:
    with pytest.raises(InvalidArgumentError, match="sample_budget"):
        SampledOracle(random_problem(0), [0], sample_budget=budget)


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_are_refused(seeds: list[int]) -> None:
    with pytest.raises(InvalidArgumentError, match="seeds"):
        SampledOracle(random_problem(0), seeds)


@pytest.mark.parametrize("problem", [random_problem(26, (2, 2, 2)), random_discounted_problem(26)])
def test_seeds_decide_and_purposes_are_separate_streams(problem: Problem) -> None:
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)

    def lower(seed: int, *, labels_first: bool = False) -> torch.Tensor:
        oracle = SampledOracle(problem, [seed])
        if labels_first:
            oracle.upper_gradients(phi, one, 33)
        return oracle.lower_gradient(phi, one, 50)

    assert torch.equal(lower(1), lower(1))
    assert not torch.equal(lower(1), lower(2))
    # Drawing pairs does not move the stream of rollouts.
    assert torch.equal(lower(1), lower(1, labels_first=True))


@pytest.mark.parametrize("label", ["cross_entropy", "discounted segments"])
def test_replicates_and_policies_draw_independently(label: str) -> None:
    """Correlations of rollouts at both policies, of pairs, and of neighbouring seeds are zero.

    Six correlations over 2000 replicates; each product test has false-alarm probability 1e-6.
    """
    oracle = SampledOracle(PROBLEMS[label], range(REPLICATES))
    phi, one, _ = inputs(label)
    both = oracle.lower_gradients(phi, one, one, 40, "independent")
    # The component with the largest spread of each estimator, standardised.
    series = []
    for sample in (both.at_lower, both.at_penalised, oracle.upper_gradients(phi, one, 40).in_upper):
        column = sample[:, sample.std(0).argmax()]
        series.append(((column - column.mean()) / column.std()).numpy())
    products = [series[i] * series[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    products += [np.append(s[1:], 0.0) * s for s in series]
    assert_mean(np.stack(products, axis=1), np.zeros(6))


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["independent", "shared"])
@pytest.mark.parametrize(
    "problem",
    [
        random_problem(27, (2, 2, 2), objective="excess_risk", features=2),
        random_discounted_problem(27, objective="excess_risk", features=2, segment_length=2),
    ],
)
def test_a_replicate_alone_equals_itself_among_32(problem: Problem, coupling: str) -> None:
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=3,
        inner_step_size=0.5,
        step_size=0.3,
        trajectories=60,
        pairs=60,
        coupling=coupling,  # type: ignore[arg-type]
    )
    together = run(problem, solver, 5, range(32))
    alone = run(problem, solver, 5, [17])
    torch.testing.assert_close(together.final_upper[17:18], alone.final_upper, rtol=1e-9, atol=0)
    rows = together.table[together.table.seed == 17].reset_index(drop=True)
    numbers = alone.table.drop(columns="status").to_numpy(dtype=float)
    # Errors are differences of vectors of order one, squared: 1e-15 is their rounding.
    np.testing.assert_allclose(
        rows.drop(columns="status").to_numpy(dtype=float), numbers, rtol=1e-9, atol=1e-15
    )
    again = run(problem, solver, 5, [17])
    assert torch.equal(again.final_upper, alone.final_upper)
    assert not torch.allclose(together.final_upper[16], alone.final_upper[0])


def test_an_exhausted_budget_is_a_status_and_keeps_the_last_completed_iteration() -> None:
    problem = random_problem(28, (2, 2, 2), objective="excess_risk", features=2)
    solver = PenaltyBilevel(
        sigma=0.1, inner_steps=1, inner_step_size=0.5, step_size=0.1, trajectories=10, pairs=10
    )
    # An iteration draws 2 * 10 + 30 samples inside and as many for its estimate: 100.
    table = run(problem, solver, 100, [0, 1], sample_budget=1450, points_per_decade=1).table
    for _, rows in table.groupby("seed"):
        assert rows.status.tolist()[-1] == "budget exhausted"
        assert rows.iteration.tolist()[-1] == 15
        completed = rows[rows.status == "ok"]
        assert completed.iteration.tolist() == [1, 10, 14]
        assert completed.trajectories.tolist() == [80, 800, 1120]
        assert completed.labels.tolist() == [20, 200, 280]
        assert completed.env_steps.tolist() == [160, 1600, 2240]
        assert rows.trajectories.tolist()[-1] + rows.labels.tolist()[-1] == 1450


@pytest.mark.parametrize("problem", [PROBLEMS["cross_entropy"], PROBLEMS["discounted"]])
@pytest.mark.parametrize("rows", [1, 4, 6])
def test_rows_that_no_seed_belongs_to_are_refused(problem: Problem, rows: int) -> None:
    """With two seeds, 4 rows would be two policies of each where one is asked for, 6 too many."""
    oracle = SampledOracle(problem, [3, 5])
    phi = random_point(1, problem).expand(rows, -1)
    lower = random_log_policy(2, problem).reshape(1, -1).expand(rows, -1)
    calls = [lambda: oracle.upper_gradients(phi, lower, 5)]
    if rows != 4:
        calls.append(lambda: oracle.lower_gradient(phi, lower, 5))
    if rows != 1:
        calls.append(lambda: oracle.lower_gradients(phi, lower, lower, 5, "independent"))
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=r"^upper, lower: .*one row for each of 2"):
            call()
    assert oracle.counts == SampleCounts()


def test_few_rollouts_are_walked_and_have_the_same_mean() -> None:
    """Three rollouts of 5.7 expected steps, fewer than 144 outcomes; false alarm 1e-6."""
    problem = random_discounted_problem(31, (4, 3))
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    phi = random_point(1, problem).expand(REPLICATES, -1)
    lower = random_log_policy(2, problem).reshape(1, -1).expand(REPLICATES, -1)
    found = oracle.lower_gradient(phi, lower, 3)
    assert_mean(found.numpy(), exact.lower_gradient(phi[:1], lower[:1], 3)[0].numpy())


def test_the_law_of_stops_may_be_tabulated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = PROBLEMS["discounted"]
    phi, one, two = (rows[:4] for rows in inputs("discounted"))

    def draw() -> torch.Tensor:
        oracle = SampledOracle(problem, range(4))
        found = oracle.lower_gradients(phi, one, two, 500, "independent")
        return torch.cat([found.at_lower, found.at_penalised])

    whole = draw()
    monkeypatch.setattr(sampled_estimates, "OUTCOME_BYTES", 1)
    torch.testing.assert_close(draw(), whole, rtol=1e-12, atol=1e-14)
