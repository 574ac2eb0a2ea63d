"""Texts behind prompts, against plain enumeration of all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.layered import normals
from helpers.significance import assert_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from theory_check.errors import InvalidArgumentError
from theory_check.models import Linear, MLPPolicy, MLPReward, TransformerPolicy, TransformerReward
from theory_check.models.base import Prefixes
from theory_check.models.transformer_policy import random_log_policy
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, sequences
from theory_check.problems.dynamics import SparseDynamics
from theory_check.problems.stored import as_record, content_digest
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SHAPES: dict[str, dict[str, Any]] = {
    "one prompt": {"vocabulary": 3, "length": 3},
    "prompts": {"prompts": 3, "vocabulary": 2, "length": 3, "seed": 1},
    "end token": {"prompts": 2, "vocabulary": 3, "length": 3, "end": 1},
    "one token": {"prompts": 2, "vocabulary": 5, "length": 1},
    "one token, which may be the end": {"prompts": 2, "vocabulary": 3, "length": 1, "end": 0},
    "two tokens and an end": {"vocabulary": 2, "length": 4, "end": 1},
    "excess risk": {"vocabulary": 2, "length": 4, "objective": "excess_risk"},
    "per token": {"prompts": 2, "vocabulary": 3, "length": 3, "end": 2, "per_token": True},
    "gold": {"vocabulary": 3, "length": 3, "gold": {"size": 0.7}, "kl_weight": 0.4},
    "4096 texts": {"vocabulary": 4, "length": 6},
}
Text = tuple[int, tuple[int, ...]]


def texts_of(prompts: int, vocabulary: int, length: int, end: int | None) -> list[Text]:
    """Return all texts: prompts, and tokens up to the end token or the length."""
    found = []
    for prompt in range(prompts):
        for number in range(1, length + 1):
            for tokens in itertools.product(range(vocabulary), repeat=number):
                over = tokens[-1] == end or number == length
                if over and end not in tokens[:-1]:
                    found.append((prompt, tokens))
    return found


def texts_in(problem: Problem) -> list[Text]:
    written = problem.prefixes
    assert written is not None
    prompts = int(written.prompts.max()) + 1
    return texts_of(prompts, written.vocabulary, written.length, written.end)


def sums_over_texts(problem: Problem, table: torch.Tensor) -> NDArray[np.float64]:
    """Return sums of a table over the prefixes of every text, found by what is written in states."""
    written = problem.prefixes
    assert written is not None
    number = {
        (prompt, *(token for token in tokens if token >= 0)): state
        for state, (prompt, tokens) in enumerate(
            zip(written.prompts.tolist(), written.tokens.tolist(), strict=True)
        )
        if prompt >= 0
    }
    rows = table.numpy()
    return np.array(
        [
            sum(rows[number[prompt, *tokens[:at]], token] for at, token in enumerate(tokens))
            for prompt, tokens in texts_in(problem)
        ]
    )


class Enumerated:
    """Value, optimum and gradient from sums over texts and pairs of texts."""

    def __init__(self, problem: Problem, phi: NDArray[np.float64]) -> None:
        beta = problem.kl_weight
        prompts = np.array([prompt for prompt, _ in texts_in(problem)])
        features = sums_over_texts(problem, problem.features)
        reference = sums_over_texts(problem, problem.reference_policy[0].log())
        true = sums_over_texts(problem, problem.true_reward)
        weight = np.exp(reference + features @ phi / beta)
        total = np.bincount(prompts, weight)
        self.law = weight / total[prompts] / total.size
        returns = features @ phi
        mean_loss, residual = np.empty_like(returns), np.empty_like(returns)
        for first in range(0, returns.size, 256):  # pairs of 10^4 texts are not held together
            some = slice(first, first + 256)
            differences = returns[some, None] - returns
            true_differences = true[some, None] - true
            preferred = 1 / (1 + np.exp(-true_differences))
            loss = np.logaddexp(0, differences) - preferred * differences
            if problem.objective == "excess_risk":
                loss -= np.logaddexp(0, true_differences) - preferred * true_differences
            mean_loss[some] = loss @ self.law
            residual[some] = (1 / (1 + np.exp(-differences)) - preferred) @ self.law
        self.value = self.law @ mean_loss
        mean = np.zeros((total.size, features.shape[1]))
        np.add.at(mean, prompts, total.size * self.law[:, None] * features)
        score = (features - mean[prompts]) / beta
        self.gradient = 2 * (self.law * mean_loss) @ score + 2 * (self.law * residual) @ features


@pytest.mark.parametrize("label", SHAPES)
def test_numbers_are_those_of_plain_enumeration(label: str) -> None:
    problem = sequences(**SHAPES[label])
    phi = normals(0, 2, problem.parameters)
    oracle = ExactOracle(problem)
    values, gradients = oracle.hyperobjective(phi), oracle.hypergradient(phi)
    optimal = oracle.optimal_policy(phi)
    for row, each in enumerate(phi.numpy()):
        expected = Enumerated(problem, each)
        np.testing.assert_allclose(values[row], expected.value, **EXACT)
        np.testing.assert_allclose(gradients[row], expected.gradient, **EXACT)
        along = sums_over_texts(problem, optimal[row])
        prompts = int(problem.initial.count_nonzero())
        np.testing.assert_allclose(np.exp(along) / prompts, expected.law, **EXACT)
        assert expected.law.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("label", SHAPES)
def test_hypergradients_are_derivatives(label: str) -> None:
    oracle = ExactOracle(sequences(**SHAPES[label]))
    phi, step = normals(1, 4), 1e-5
    shifts = step * torch.eye(4, dtype=phi.dtype)
    ahead, behind = oracle.hyperobjective(phi + shifts), oracle.hyperobjective(phi - shifts)
    torch.testing.assert_close(
        oracle.hypergradient(phi), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("label", ["end token", "excess risk", "4096 texts"])
def test_a_replicate_alone_is_the_same_in_a_batch(label: str) -> None:
    oracle, phi = ExactOracle(sequences(**SHAPES[label])), normals(2, 3, 4)
    for ask in (oracle.hypergradient, lambda at: oracle.penalised_gradient(at, 0.1)):
        alone = torch.stack([ask(each) for each in phi])
        torch.testing.assert_close(ask(phi), alone, rtol=1e-8, atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(
    prompts=st.integers(1, 3),
    vocabulary=st.integers(2, 4),
    length=st.integers(1, 4),
    end=st.none() | st.integers(0, 1),
    per_token=st.booleans(),
    features=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_texts_of_any_shape(
    prompts: int,
    vocabulary: int,
    length: int,
    end: int | None,
    per_token: bool,
    features: int,
    seed: int,
) -> None:
    """States are all prefixes, each once; the law of texts and the gradient are the enumerated ones."""
    problem = sequences(
        prompts=prompts,
        vocabulary=vocabulary,
        length=length,
        end=end,
        per_token=per_token,
        features=features,
        seed=seed,
        reference={"name": "markov", "order": 2, "seed": seed},
    )
    branches = vocabulary - (end is not None)
    prefixes = prompts * sum(branches**step for step in range(length))
    assert problem.states == prefixes + (0 if end is None else length - 1)
    names = problem.state_names
    assert names is not None
    assert len(set(names)) == problem.states
    phi = normals(seed, features)
    expected = Enumerated(problem, phi.numpy())
    found = ExactOracle(problem).hypergradient(phi)
    np.testing.assert_allclose(found, expected.gradient, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "states", "texts"),
    [
        ({"vocabulary": 10, "length": 4}, 1111, 10**4),
        ({"vocabulary": 4, "length": 6}, 1365, 4**6),
        ({"vocabulary": 2, "length": 12}, 4095, 2**12),
        ({"prompts": 3, "vocabulary": 5, "length": 5, "end": 4}, 1023 + 4, 3 * (4**5 + 341)),
    ],
)
@pytest.mark.slow
def test_larger_ones_have_sparse_kernels_and_certified_penalised_levels(
    arguments: dict[str, Any], states: int, texts: int
) -> None:
    problem = sequences(**arguments)
    assert problem.states == states
    assert isinstance(problem.transitions, SparseDynamics)
    oracle = ExactOracle(problem)
    assert oracle.upper.way == "outcomes"
    phi = normals(3, 1, 4)
    limit = oracle.hypergradient(phi)
    gap = [(oracle.penalised_gradient(phi, sigma) - limit).norm().item() for sigma in (0.1, 0.05)]
    assert gap[0] / gap[1] == pytest.approx(
        2.0, rel=0.1
    )  # the bias of the penalty is of order sigma
    assert len(texts_in(problem)) == texts
    np.testing.assert_allclose(limit[0], Enumerated(problem, phi[0].numpy()).gradient, **EXACT)


@pytest.mark.parametrize("label", ["end token", "per token", "gold"])
@pytest.mark.parametrize("budget", [4096, 1])
def test_sampled_estimates_have_the_exact_mean(label: str, budget: int) -> None:
    """400 seeds, counted or followed; a false alarm with probability 1e-6 for each of three tables."""
    problem, number = sequences(**SHAPES[label]), 400
    sampled = SampledOracle(problem, range(number), enumeration_budget=budget)
    exact = ExactInformation(problem)
    upper = normals(4, 1, 4)
    logits = problem.policy_model.parameters
    start = problem.policy_model.initial(torch.zeros(1, logits, dtype=torch.float64))
    lower, other = (start + 0.3 * normals(seed, 1, logits) for seed in (5, 6))
    rows = [each.expand(number, -1).contiguous() for each in (upper, lower, other)]
    found = sampled.upper_gradients(*rows[:2], 20)
    expected = exact.upper_gradients(upper, lower, 1)
    assert_mean(found.in_upper.numpy(), expected.in_upper[0].numpy())
    difference = sampled.penalty_difference(*rows, 20, "shared")
    assert_mean(
        difference.numpy(), exact.penalty_difference(upper, lower, other, 1, "shared")[0].numpy()
    )
    gradient = sampled.lower_gradient(*rows[:2], 20)
    assert_mean(gradient.numpy(), exact.lower_gradient(upper, lower, 1)[0].numpy())
    # Two members of 20 pairs, 20 shared rollouts, and 20 of the lower gradient.
    assert sampled.counts.trajectories == 40 + 20 + 20
    assert sampled.counts.labels == 20
    assert sampled.counts.env_steps == 80 * SHAPES[label]["length"]


@pytest.mark.parametrize(
    "arguments",
    [
        SHAPES["end token"],
        {"vocabulary": 10, "length": 4},
        {"vocabulary": 3, "length": 3, "features": None},
    ],
)
@pytest.mark.parametrize(
    "classes", [{}, {"reward": MLPReward(width=4), "policy": MLPPolicy(width=4)}]
)
@pytest.mark.slow
def test_runs_are_recorded(arguments: dict[str, Any], classes: dict[str, Any]) -> None:
    """Linear and tabular, and networks; counted, and followed where there are 10^4 texts."""
    problem = sequences(**arguments).with_classes(**classes)
    solver = PenaltyBilevel(
        sigma=0.1, inner_steps=2, inner_step_size=0.1, step_size=0.1, trajectories=8, pairs=8
    )
    last = run(problem, solver, 2, [0, 1]).table.iloc[-1]
    assert last["status"] == "ok"
    for column in ("hyperobjective", "reward_error", "lower_gap_penalised", "true_return"):
        assert math.isfinite(last[column])
    # Two policies in two inner steps and one outer one, and a pair of each of the three batches.
    assert last["trajectories"] == 2 * (3 * 2 * 8 + 3 * 2 * 8)
    assert last["labels"] == 2 * 3 * 8
    assert last["env_steps"] == last["trajectories"] * problem.horizon


def test_what_identifies_a_problem_has_its_layers_and_prefixes() -> None:
    problem = sequences(vocabulary=2, length=3)
    written = problem.prefixes
    assert written is not None
    without = replace(problem, prefixes=None)
    other_end = replace(problem, prefixes=replace(written, end=0))
    digests = {content_digest(each) for each in (problem, without, other_end)}
    assert len(digests) == 3
    assert content_digest(sequences(vocabulary=2, length=3)) == content_digest(problem)
    with pytest.raises(InvalidArgumentError, match=r"^problem: received layers of states"):
        as_record(problem, "texts", {})


def test_what_comparisons_see_of_a_reward_is_what_moves_returns_apart() -> None:
    """The recorded error of a reward: least squares over dense tables of texts, as an alternative."""
    problem = sequences(prompts=2, vocabulary=3, length=3, end=1, features=None)
    truth = RLHFTruth(ExactOracle(problem), problem.policy_model)
    phi, logits = normals(7, 2, problem.parameters), problem.policy_model.parameters
    start = problem.policy_model.initial(torch.zeros(2, logits, dtype=torch.float64))
    found = truth.diagnostics(phi, start, None, None)["reward_error"]
    visits = ExactOracle(problem).space.visits
    centred = visits - visits.mean(0)
    change = phi - problem.true_reward.flatten()
    seen = torch.linalg.lstsq(centred, centred @ change.T, driver="gelsd").solution
    torch.testing.assert_close(found, seen.square().mean(0), rtol=1e-9, atol=1e-12)


def test_states_say_what_is_written() -> None:
    problem = sequences(prompts=3, vocabulary=3, length=3, end=2)
    names = problem.state_names
    assert names is not None
    assert problem.action_names == ("a", "b", "<end>")
    assert names[:4] == ("0:", "1:", "2:", "0: a")
    assert "2: b a" in names
    assert names[problem.layers[0] + problem.layers[1] - 1] == "over before token 2"
    written = problem.model_inputs.prefixes
    assert isinstance(written, Prefixes)
    at = names.index("2: b a")
    assert (int(written.prompts[at]), written.tokens[at].tolist()) == (2, [1, 0])
    assert (written.vocabulary, written.length, written.end) == (3, 3, 2)
    over = names.index("over before token 2")
    assert (int(written.prompts[over]), written.tokens[over].tolist()) == (-1, [-1, -1])
    assert problem.present_actions[over].tolist() == [False, False, True]
    assert problem.present_actions[at].all()
    following = problem.transitions.argmax(-1)
    assert names[int(following[names.index("2: b"), 0])] == "2: b a"
    assert names[int(following[names.index("2: b"), 2])] == "over before token 3"


def test_the_reference_is_a_chain_of_the_last_symbols() -> None:
    problem = sequences(prompts=2, vocabulary=3, length=4, seed=1)
    names, policy = problem.state_names, problem.reference_policy[0]
    assert names is not None

    def law(name: str) -> list[float]:
        return policy[names.index(name)].tolist()

    assert law("0: a b") == law("1: b b") == law("1: a a b")
    assert law("0: a b") != law("0: b a")
    assert law("0:") != law("1:")
    trigram = sequences(
        prompts=2, vocabulary=3, length=4, reference={"name": "markov", "order": 2}
    ).reference_policy[0]
    rows = {name: trigram[names.index(name)].tolist() for name in ("0: a b", "0: b b", "1: b a b")}
    assert rows["0: a b"] == rows["1: b a b"]
    assert rows["1: b a b"] != rows["0: b b"]
    again = sequences(prompts=2, vocabulary=3, length=4, seed=2)
    assert torch.equal(again.reference_policy, problem.reference_policy)
    assert not torch.equal(again.true_reward, problem.true_reward)
    reference = {"name": "markov", "seed": 1, "temperature": 50.0}
    hot = sequences(prompts=2, vocabulary=3, length=4, reference=reference).reference_policy
    assert (hot - 1 / 3).abs().max() < 0.05


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("features", [None, 3])
def test_rewards_have_the_stated_spread(features: int | None, per_token: bool) -> None:
    problem = sequences(
        prompts=2,
        vocabulary=3,
        length=3,
        end=0,
        features=features,
        per_token=per_token,
        reward_scale=2.5,
    )
    assert problem.realisable
    returns = sums_over_texts(problem, problem.true_reward)
    assert returns.std() == pytest.approx(2.5, rel=1e-12)
    names = problem.state_names
    assert names is not None
    early = problem.true_reward[names.index("0:")]
    assert (early[0] != 0).item()  # the end token at once
    assert ((early[1:] != 0) == per_token).all()
    over = problem.true_reward[[name.startswith("over") for name in names]]
    assert (over == 0).all()


@pytest.mark.parametrize("per_token", [False, True])
def test_a_gold_reward_has_its_size_outside_the_class(per_token: bool) -> None:
    given: dict[str, Any] = {"vocabulary": 3, "length": 3, "per_token": per_token}
    problem, inside = sequences(**given, gold={"size": 0.8, "seed": 3}), sequences(**given)
    assert inside.realisable
    assert not problem.realisable
    returns = sums_over_texts(problem, problem.true_reward)
    features = sums_over_texts(problem, problem.features)
    design = np.column_stack([features, np.ones(len(features))])
    outside = returns - design @ np.linalg.lstsq(design, returns, rcond=None)[0]
    assert math.sqrt((outside**2).mean()) == pytest.approx(0.8, rel=1e-10)
    other = sequences(**given, gold={"size": 0.8, "seed": 4})
    assert not torch.equal(other.true_reward, problem.true_reward)
    moved = sequences(**given, misspecification=0.5)
    assert isinstance(moved.reward_class, Linear)
    change = (moved.true_reward - inside.true_reward).square().mean().sqrt()
    assert change.item() == pytest.approx(0.5, rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "argument", "received"),
    [
        ({"vocabulary": 1}, "vocabulary", "1; pass at least 2"),
        ({"vocabulary": 2.0}, "vocabulary", "2.0"),
        ({"prompts": 0}, "prompts", "0"),
        ({"prompts": 10**9}, "prompts", "10"),
        ({"vocabulary": 10**7}, "vocabulary", "10000000 tokens"),
        ({"vocabulary": 4, "length": 12}, "length", "12, with which 1 prompts"),
        ({"length": 10**15}, "length", "at most 524288"),
        ({"vocabulary": 3, "end": 3}, "end", "3; pass the number of a token, 0 to 2"),
        ({"vocabulary": 3, "end": -1}, "end", "-1"),
        ({"vocabulary": 3, "end": "stop"}, "end", "'stop'"),
        ({"reference": "llama"}, "reference", "'llama'"),
        (
            {"reference": {"name": "transformer", "heads": 3}},
            "reference.heads",
            "3; pass a number that divides the width, which is 16",
        ),
        ({"reference": {"name": "transformer", "scale": 1e6}}, "reference.scale", "smaller scale"),
        ({"reference": {"order": 2}}, "reference", "None"),
        ({"reference": 3}, "reference", "3"),
        (
            {"reference": {"name": "markov", "orders": 2}},
            "reference.orders",
            "did you mean 'order'",
        ),
        ({"reference": {"name": "markov", "order": 0}}, "reference.order", "0"),
        ({"reference": {"name": "markov", "order": 40}}, "reference.order", "40"),
        ({"reference": {"name": "markov", "temperature": 0}}, "reference.temperature", "0"),
        ({"reference": {"name": "markov", "temperature": 1e-4}}, "reference", "probability of 0"),
        ({"reference": {"name": "markov", "seed": -1}}, "reference.seed", "-1"),
        ({"features": 0}, "features", "0"),
        ({"features": 10**9}, "features", "1000000000"),
        ({"vocabulary": 10, "length": 4, "features": None}, "features", "None"),
        ({"per_token": 1}, "per_token", "1"),
        ({"kl_weight": 0.0}, "kl_weight", "0.0"),
        ({"reward_scale": -1.0}, "reward_scale", "-1.0"),
        ({"gold": 0.5}, "gold", "0.5"),
        ({"gold": {"size": 0.0}}, "gold.size", "0.0"),
        ({"gold": {"size": 1.0, "depth": 2}}, "gold.depth", "known: seed, size, width"),
        ({"gold": {"size": 1.0, "width": 0}}, "gold.width", "0"),
        ({"gold": {"size": 1.0}, "features": 8}, "gold", "fewer features"),
        ({"seed": 0.5}, "seed", "0.5"),
        ({"objective": "regret"}, "objective", "'regret'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], argument: str, received: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received .*{received}"):
        sequences(**arguments)


# The last case is refused by the annotations where these are enforced: there the first runs alone.
@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda old: replace(old, prompts=old.prompts[1:], tokens=old.tokens[1:]), "shapes"),
        (lambda old: replace(old, vocabulary=4), "vocabulary of 4"),
        (lambda old: "a b", "Prefixes"),
    ],
)
def test_prefixes_belong_to_the_states(change: Callable[[Prefixes], Any], remedy: str) -> None:
    problem = sequences(vocabulary=3, length=2)
    assert problem.prefixes is not None
    with pytest.raises(InvalidArgumentError, match=f"^prefixes: received .*{remedy}"):
        replace(problem, prefixes=change(problem.prefixes))


def test_a_transformer_reference_is_that_of_the_class_and_reads_the_whole_prefix() -> None:
    """Its logits are those of the shared network; prefixes that end alike have laws of their own."""
    kind = {"name": "transformer", "layers": 1, "heads": 2, "width": 8, "scale": 1.5, "seed": 3}
    problem = sequences(prompts=2, vocabulary=3, length=3, reference=kind)
    assert problem.prefixes is not None
    expected = random_log_policy(problem.prefixes, 1, 2, 8, 1.5, 3)
    torch.testing.assert_close(problem.reference_policy, expected.exp(), rtol=1e-14, atol=0)
    assert (problem.reference_policy > 0).all()
    last = problem.reference_policy[0, -9:]  # all texts of two tokens behind the second prompt
    assert len({tuple(row) for row in last.tolist()}) == 9
    again = sequences(prompts=2, vocabulary=3, length=3, reference=kind)
    assert torch.equal(again.reference_policy, problem.reference_policy)
    other = sequences(prompts=2, vocabulary=3, length=3, reference={**kind, "seed": 4})
    assert not torch.allclose(other.reference_policy, problem.reference_policy)


def test_transformers_start_at_their_reference_and_are_exact_within_their_class() -> None:
    """Both classes neural: the hypergradient against central differences, O(h²) with h = 1e-4."""
    problem = sequences(
        prompts=1, vocabulary=2, length=3, reference="transformer", objective="excess_risk"
    ).with_classes(
        reward=TransformerReward(layers=1, heads=1, width=4),
        policy=TransformerPolicy(layers=1, heads=1, width=4),
    )
    noise = torch.from_numpy(np.random.default_rng(5).standard_normal((2, problem.parameters)))
    start = problem.policy_model.initial(
        torch.zeros(1, problem.policy_model.parameters, dtype=torch.float64)
    )
    torch.testing.assert_close(
        problem.policy_model.table(start)[0].exp(), problem.reference_policy, rtol=1e-12, atol=0
    )
    oracle, phi = ExactOracle(problem), problem.reward_model.initial(noise)
    gradient = oracle.hypergradient(phi)
    direction = torch.from_numpy(np.random.default_rng(6).standard_normal(phi.shape))
    ends = [oracle.hyperobjective(phi + step * direction) for step in (1e-4, -1e-4)]
    slope = (ends[0] - ends[1]) / 2e-4
    torch.testing.assert_close((gradient * direction).sum(-1), slope, rtol=1e-6, atol=1e-8)
