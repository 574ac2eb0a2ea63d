"""Samples from the rows of the prefixes that were reached: the numbers of whole tables, and their law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.layered import both_problems, normals
from helpers.row_readers import TableReader, watched_models
from helpers.significance import assert_frequencies, assert_mean
from torch import Tensor

from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.kernels.drawn_walks import lane_uniforms
from theory_check.models import TransformerPolicy, TransformerReward
from theory_check.models.stacked_transformer import StackedTransformer
from theory_check.oracles.comparisons import EpisodicComparisons, comparisons_of
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, Thurstone, garnet, sequences
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SMALL = {"width": 4}


def texts(
    policy: dict[str, Any] | None = None, reward: dict[str, Any] | None = None, **settings: Any
) -> Problem:
    """Return texts whose policies and rewards are transformers."""
    settings = {"prompts": 2, "vocabulary": 3, "length": 3, "kl_weight": 0.7, **settings}
    return sequences(**settings).with_classes(
        policy=TransformerPolicy(**{**SMALL, **(policy or {})}),
        reward=TransformerReward(**{**SMALL, **(reward or {})}),
    )


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "end token": {"end": 1, "length": 4},
    "two layers": {"policy": {"layers": 2}, "reward": {"layers": 2}, "objective": "excess_risk"},
    "two layers, end token": {
        "policy": {"layers": 2},
        "end": 0,
        "length": 5,
        "objective": "excess_risk",
    },
    "per token": {"reward": {"per_token": True}, "per_token": True},
    "one token": {"length": 1, "vocabulary": 5},
}


@pytest.fixture(params=KINDS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return texts(**KINDS[request.param])


def points(problem: Problem, replicates: int = 3) -> list[Tensor]:
    """Return two rewards and two policies, the second of each near the first."""
    found = []
    for seed, model in enumerate((problem.reward_model, problem.policy_model)):
        start = model.initial(normals(seed, replicates, model.parameters))
        start = start + 0.3 * normals(seed + 2, *start.shape)
        found += [start, start + 0.05 * normals(seed + 4, *start.shape)]
    return found


def both_ways(
    problem: Problem, seeds: range, **options: Any
) -> tuple[SampledOracle, SampledOracle]:
    """Return oracles by rows and by whole tables that are followed step by step."""
    steps = ExactOracle(problem, way="steps").upper
    return (
        SampledOracle(problem, seeds, comparisons=steps, read="rows", **options),
        SampledOracle(problem, seeds, comparisons=steps, read="table", **options),
    )


def asked(oracle: SampledOracle, given: list[Tensor], samples: int) -> dict[str, Tensor]:
    """Return everything that is sampled of the first order."""
    phi, earlier_phi, policy, other = given
    found = {
        "lower gradient": oracle.lower_gradient(phi, policy, samples),
        "upper gradient": oracle.upper_gradient(phi, policy, samples),
    }
    pairs = oracle.upper_gradients(phi, policy, samples)
    found |= {"in upper": pairs.in_upper, "in lower": pairs.in_lower}
    change = oracle.lower_gradient_change(phi, policy, earlier_phi, other, samples)
    found |= {"now": change.at_lower, "earlier": change.at_penalised}
    for coupling in ("independent", "shared"):
        two = oracle.lower_gradients(phi, policy, other, samples, coupling)
        found |= {f"{coupling}, first": two.at_lower, f"{coupling}, second": two.at_penalised}
        difference = oracle.penalty_difference(phi, policy, other, samples, coupling)
        found[f"{coupling}, difference"] = difference
    return found


@pytest.mark.parametrize("samples", [1, 37])
def test_both_ways_agree_on_the_same_draws(problem: Problem, samples: int) -> None:
    """More than a batch of lanes and less, asked twice: streams go on alike."""
    rows, tables = both_ways(problem, range(3))
    given = points(problem)
    for _ in range(2):
        found, expected = asked(rows, given, samples), asked(tables, given, samples)
        assert found.keys() == expected.keys()
        for name, numbers in found.items():
            torch.testing.assert_close(
                numbers, expected[name], **EXACT, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert rows.counts == tables.counts


@pytest.mark.parametrize("discount", [1.0, 0.8])
@pytest.mark.parametrize("masked", [True, False])
def test_both_ways_agree_where_successors_are_drawn_too(discount: float, masked: bool) -> None:
    """Layers without texts, and an annotator of another law."""
    _, layered = both_problems((2, 3, 4), discount=discount, masked=masked)
    layered = layered.with_preferences(Thurstone(deviation=0.5))
    models = {
        "reward_model": TableReader(layered.reward_model),
        "policy_model": TableReader(layered.policy_model),
    }
    rows, tables = both_ways(layered, range(3), **models)
    given = points(layered)
    found, expected = asked(rows, given, 21), asked(tables, given, 21)
    for name, numbers in found.items():
        torch.testing.assert_close(numbers, expected[name], **EXACT)


def drawn_texts(problem: Problem, policy: Tensor, replicates: int, each: int) -> Tensor:
    """Return the last pair of state and action of drawn texts, by which a text is known."""
    oracle = SampledOracle(problem, range(replicates), read="rows")
    uniform = lane_uniforms(oracle._source.rollouts[:replicates], each // 32, 2 * problem.horizon)
    parameters = policy.expand(replicates, -1)
    walks = oracle.drawn.walker.follow(parameters, parameters, uniform)
    return walks.pairs.view(replicates, problem.horizon, -1)[:, -1].flatten()


@pytest.mark.slow
def test_texts_have_the_law_of_the_policy() -> None:
    """Chi-square over all 54 texts, of 102400 in 200 streams: a false alarm with probability 1e-6."""
    problem = texts()
    policy, other = (each[:1] for each in points(problem)[2:])
    space = comparisons_of(problem, ExactOracle(problem).control)
    assert isinstance(space, EpisodicComparisons)
    last = space.space.step_index[:, -1]
    drawn = drawn_texts(problem, policy, 200, 512)
    counts = (drawn[:, None] == last).sum(0).numpy()
    assert counts.sum() == len(drawn)
    laws = [space.probabilities(problem.policy_model.table(each))[0] for each in (policy, other)]
    assert_frequencies(counts, laws[0].numpy())
    with pytest.raises(AssertionError, match=r"^(?!too few)"):  # a policy nearby is told apart
        assert_frequencies(counts, laws[1].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "two layers, end token"])
def test_means_are_the_exact_gradients(kind: str) -> None:
    """Over 400 seeds; a false alarm with probability 1e-6 for each of nine gradients."""
    problem, number = texts(**KINDS[kind]), 400
    exact = ExactInformation(problem)
    given = points(problem, 1)
    expected = asked_exactly(exact, given)
    rows = [each.expand(number, -1).contiguous() for each in given]
    found = asked(SampledOracle(problem, range(number), read="rows"), rows, 20)
    for name, numbers in found.items():
        assert_mean(numbers.numpy(), expected[name][0].numpy())


def asked_exactly(exact: ExactInformation, given: list[Tensor]) -> dict[str, Tensor]:
    """Return the expectations of :func:`asked`."""
    phi, earlier_phi, policy, other = given
    pairs = exact.upper_gradients(phi, policy, 1)
    first, second = (exact.lower_gradient(phi, each, 1) for each in (policy, other))
    found = {
        "lower gradient": first,
        "upper gradient": exact.upper_gradient(phi, policy, 1),
        "in upper": pairs.in_upper,
        "in lower": pairs.in_lower,
        "now": first,
        "earlier": exact.lower_gradient(earlier_phi, other, 1),
    }
    for coupling in ("independent", "shared"):
        difference = exact.penalty_difference(phi, policy, other, 1, coupling)
        found |= {f"{coupling}, first": first, f"{coupling}, second": second}
        found[f"{coupling}, difference"] = difference
    return found


def test_a_replicate_is_the_same_alone_and_beside_others() -> None:
    problem = texts(**KINDS["two layers, end token"])
    together = asked(SampledOracle(problem, range(4), read="rows"), points(problem, 4), 9)
    given = [each[2:3] for each in points(problem, 4)]
    alone = asked(SampledOracle(problem, [2], read="rows"), given, 9)
    other = asked(SampledOracle(problem, [3], read="rows"), given, 9)
    for name, numbers in together.items():
        torch.testing.assert_close(numbers[2:3], alone[name], rtol=1e-8, atol=1e-12)
        assert not torch.equal(alone[name], other[name])


@pytest.mark.parametrize("vocabulary", [2, 4, 6])
def test_models_are_asked_for_what_was_drawn_alone(
    vocabulary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers of rows whatever the tree, no table, and no more nodes than texts have."""
    nodes: list[int] = []
    forward = StackedTransformer.forward

    def counting(self: StackedTransformer, parameters: Tensor, forest: Any) -> Tensor:
        nodes.append(forest.nodes)
        return forward(self, parameters, forest)

    problem, steps, drawn = texts(vocabulary=vocabulary, length=4), 4, 3
    models = watched_models(problem)
    rewards, policies = models.values()
    steps_way = ExactOracle(problem, way="steps").upper
    oracle = SampledOracle(problem, range(2), comparisons=steps_way, read="rows", **models)
    monkeypatch.setattr(StackedTransformer, "forward", counting)
    phi, _, policy, other = points(problem, 2)
    on_the_way, of_a_text = [drawn, drawn, drawn], drawn * steps

    oracle.lower_gradients(phi, policy, other, drawn, "independent")
    assert (policies.read, policies.pulled) == ([*on_the_way, of_a_text], [of_a_text])
    assert (rewards.read, rewards.pulled) == ([2 * of_a_text], [])
    oracle.penalty_difference(phi, policy, other, drawn, "shared")
    assert (policies.read[4:], policies.pulled[1:]) == ([*on_the_way, of_a_text], [])
    assert (rewards.read[1:], rewards.pulled) == ([], [of_a_text])
    oracle.upper_gradients(phi, policy, drawn)
    members = [2 * each for each in (*on_the_way, of_a_text)]
    assert (policies.read[8:], policies.pulled[1:]) == (members, members[-1:])
    assert (rewards.read[1:], rewards.pulled[1:]) == (members[-1:], members[-1:])
    assert max(nodes) <= 2 * drawn * (steps + 1)


def test_what_is_read_once_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call for each step of the policy, and one of the reward; pullbacks use them."""
    passes: list[int] = []
    forward = StackedTransformer._forward

    def counting(self: StackedTransformer, parameters: Tensor, forest: Any) -> Any:
        passes.append(self.outputs)
        return forward(self, parameters, forest)

    problem = texts(vocabulary=4, length=4)
    oracle = SampledOracle(problem, range(2), read="rows")
    phi, _, policy, _ = points(problem, 2)
    monkeypatch.setattr(StackedTransformer, "_forward", counting)
    oracle.upper_gradients(phi, policy, 3)
    assert passes == [4, 4, 4, 4, 1]


def test_rows_are_taken_where_trajectories_pass_fewer_states_than_there_are() -> None:
    """Of 26 states and three steps: 8 rollouts are few, 9 are not, and so are 4 pairs and 5."""
    problem = texts()
    given = points(problem, 2)
    phi, _, policy, other = given

    def found(read: Any, samples: int, pairs: int) -> list[Tensor]:
        oracle = SampledOracle(problem, [3, 4], read=read)
        both = oracle.lower_gradients(phi, policy, other, samples, "shared")
        upper = oracle.upper_gradients(phi, policy, pairs)
        difference = oracle.penalty_difference(phi, policy, other, samples, "independent")
        return [both.at_lower, both.at_penalised, upper.in_upper, upper.in_lower, difference]

    for samples, pairs, way in ((8, 4, "rows"), (9, 5, "table")):
        other_way = "table" if way == "rows" else "rows"
        chosen, expected = found("auto", samples, pairs), found(way, samples, pairs)
        for mine, same, not_mine in zip(
            chosen, expected, found(other_way, samples, pairs), strict=True
        ):
            assert torch.equal(mine, same)
            assert not torch.equal(mine, not_mine)


def test_classes_of_tables_alone_keep_their_draws() -> None:
    """One of both is enough: the smallest batch, against the way by tables."""
    whole = sequences(prompts=2, vocabulary=3, length=3)
    for problem in (
        whole,
        whole.with_classes(policy=TransformerPolicy(**SMALL)),
        whole.with_classes(reward=TransformerReward(**SMALL)),
    ):
        given = points(problem, 2)
        found, expected = (
            asked(SampledOracle(problem, [3, 4], read=read), given, 1) for read in ("auto", "table")
        )
        assert all(torch.equal(numbers, expected[name]) for name, numbers in found.items())
        with pytest.raises(InvalidArgumentError, match=r"^read: received 'rows' with a .*class of"):
            SampledOracle(problem, [0], read="rows")


def test_rows_are_refused_where_states_belong_to_no_step() -> None:
    flat = garnet(states=3, actions=2, horizon=2)
    with pytest.raises(InvalidArgumentError, match=r"^read: .*states that belong to no step"):
        SampledOracle(flat, [0], read="rows")


def test_budgets_end_before_they_are_exceeded_and_large_batches_are_refused() -> None:
    problem = texts()
    phi, _, policy, other = points(problem, 1)
    oracle = SampledOracle(problem, [0], read="rows", sample_budget=10)
    with pytest.raises(SampleBudgetExhausted):
        oracle.upper_gradients(phi, policy, 4)
    with pytest.raises(SampleBudgetExhausted):  # what no budget allows ends as other batches do
        oracle.penalty_difference(phi, policy, other, 10**9, "independent")
    assert oracle.counts.samples == 0
    endless = SampledOracle(problem, [0], read="rows")
    for call in (
        lambda: endless.lower_gradient(phi, policy, 10**9),
        lambda: endless.upper_gradients(phi, policy, 10**9),
        lambda: endless.upper_gradient(phi, policy, 10**9),
    ):
        with pytest.raises(InvalidArgumentError, match=r"^samples: received 1000000000 in a batch"):
            call()
    assert endless.counts.samples == 0


@pytest.mark.parametrize("spoilt", [0, 2, 3])
def test_what_is_not_finite_spoils_its_own_replicate_alone(spoilt: int) -> None:
    problem = texts()
    given = points(problem, 2)
    given[spoilt] = given[spoilt].clone()
    given[spoilt][0] = torch.nan
    found = asked(SampledOracle(problem, range(2), read="rows"), given, 4)
    sound = asked(SampledOracle(problem, range(2), read="rows"), points(problem, 2), 4)
    depends = {0: "lower gradient", 2: "in upper", 3: "independent, difference"}
    assert bool(found[depends[spoilt]][0].isnan().all())
    for name, numbers in found.items():
        torch.testing.assert_close(numbers[1], sound[name][1], rtol=1e-12, atol=1e-12)


SOLVER = PenaltyBilevel(
    sigma=0.2, inner_steps=2, inner_step_size=0.1, step_size=0.1, trajectories=8, pairs=4
)


def test_shortcuts_leave_small_batches_to_the_operations() -> None:
    """A step of a solver gives the same by both ways, and rows are not passed over by a loop."""
    problem = texts()
    rows, tables = both_ways(problem, range(2))
    phi, _, policy, _ = points(problem, 2)
    found, expected = (SOLVER.step(each, SOLVER.init(phi, policy)) for each in (rows, tables))
    torch.testing.assert_close(found.next_upper, expected.next_upper, rtol=1e-10, atol=1e-10)
    assert rows.counts == tables.counts
    counted = SampledOracle(problem, range(2))
    for samples, has in ((8, False), (9, True)):
        told = counted.lower_descent(phi, policy, steps=1, step_size=0.1, samples=samples)
        assert (told is not None) == has


def test_runs_with_small_batches_are_recorded() -> None:
    last = run(texts(vocabulary=4), SOLVER, 2, [0, 1]).table.iloc[-1]
    assert last["status"] == "ok"
    assert np.isfinite(last["hyperobjective"])
    assert last["trajectories"] == 2 * (3 * 2 * 8 + 3 * 2 * 4)
    assert last["labels"] == 2 * 3 * 4
