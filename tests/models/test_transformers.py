"""Transformers against torch's own functions, every prefix of every replicate read by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from helpers.model_cases import SEQUENCES, inputs, normal, parameters_of, sequences
from helpers.plain_transformer import plain_policy, plain_reward
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models import (
    ModelInputs,
    Prefixes,
    TransformerPolicy,
    TransformerReward,
    random_log_policy,
    stacked_transformer,
)
from theory_check.models.prefix_tree import prefix_tree
from theory_check.models.stacked_transformer import StackedTransformer


def pruned(length: int = 4) -> ModelInputs:
    """Draw what a class may see of a problem in which some sequences cannot be written."""
    seen = sequences(prompts=2, vocabulary=3, length=length)
    written = seen.prefixes
    assert written is not None
    below = (written.prompts == 1) & (written.tokens[:, 0] == 2)
    kept = (~below).nonzero()[:, 0]
    order = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(0))]
    return chosen_states(seen, order)


def chosen_states(seen: ModelInputs, order: Tensor) -> ModelInputs:
    """Return what a class may see where only some states are left, in another order."""
    written = seen.prefixes
    assert written is not None
    left = dataclasses.replace(
        written, prompts=written.prompts[order], tokens=written.tokens[order]
    )
    return ModelInputs(
        observations=seen.observations[order],
        features=seen.features[order],
        log_reference=seen.log_reference[:, order],
        prefixes=left,
    )


CASES = {
    **SEQUENCES,
    "some sequences missing": pruned(),
    "an end token among more": sequences(vocabulary=3, length=4, end=2, padding=3),
    "states in another order": chosen_states(sequences(), torch.tensor([13, *range(13)])),
}
EVERY_CASE = pytest.mark.parametrize("seen", CASES.values(), ids=CASES.keys())
EVERY_SIZE = pytest.mark.parametrize(
    "size",
    [{}, {"layers": 2, "heads": 3, "width": 6}, {"layers": 3, "heads": 1, "width": 5}],
    ids=str,
)


@EVERY_CASE
@EVERY_SIZE
def test_policy_is_a_plain_transformer_on_top_of_the_reference(
    seen: ModelInputs, size: dict[str, int]
) -> None:
    chosen = TransformerPolicy(**size)
    model = chosen.bind(seen)
    parameters = parameters_of(model, 3)
    policy = model.table(parameters).exp()
    for replicate in (0, 2):
        expected = plain_policy(chosen, seen, parameters[replicate])
        torch.testing.assert_close(policy[replicate, 0], expected, rtol=1e-12, atol=1e-300)


@EVERY_CASE
@EVERY_SIZE
@pytest.mark.parametrize("per_token", [False, True])
def test_reward_is_a_plain_transformer_at_the_last_token(
    seen: ModelInputs, size: dict[str, int], per_token: bool
) -> None:
    chosen = TransformerReward(per_token=per_token, **size)
    model = chosen.bind(seen)
    phi = parameters_of(model, 3)
    table = model.table(phi)
    for replicate in (0, 2):
        expected = plain_reward(chosen, seen, phi[replicate])
        torch.testing.assert_close(table[replicate], expected, rtol=1e-12, atol=1e-12)
        assert torch.equal(table[replicate] == 0, expected == 0)


EVERY_PLAIN = pytest.mark.parametrize(
    ("chosen", "plain"),
    [
        (TransformerPolicy(layers=2, heads=2, width=4), plain_policy),
        (TransformerReward(layers=2, heads=2, width=4), plain_reward),
        (TransformerReward(layers=1, heads=1, width=3, per_token=True), plain_reward),
    ],
    ids=["policy", "reward", "reward of every token"],
)


@EVERY_PLAIN
@pytest.mark.parametrize("seen", [CASES["an end token"], pruned(3)], ids=["regular", "pruned"])
def test_pullback_is_that_of_the_plain_transformer(
    chosen: TransformerPolicy | TransformerReward, plain: Callable[..., Tensor], seen: ModelInputs
) -> None:
    model = chosen.bind(seen)
    parameters = parameters_of(model, 2)
    table = model.table(parameters)
    cotangent = normal("cotangent", *table.shape)
    found = model.pullback(parameters, cotangent)
    for replicate in range(2):
        part = cotangent[replicate].flatten(0, -2)
        if isinstance(chosen, TransformerPolicy):  # of probabilities, not of their logarithms
            part = part / table[replicate, 0].exp()
        _, expected = torch.autograd.functional.vjp(
            lambda point: plain(chosen, seen, point), parameters[replicate], part
        )
        scale = float(expected.abs().max())
        torch.testing.assert_close(found[replicate], expected, rtol=0, atol=1e-12 * scale)


@EVERY_PLAIN
def test_pullback_of_every_entry_is_the_jacobian(
    chosen: TransformerPolicy | TransformerReward, plain: Callable[..., Tensor]
) -> None:
    seen = sequences(prompts=1, vocabulary=2, length=2)
    model = chosen.bind(seen)
    parameters = parameters_of(model, 1)
    table = model.table(parameters)[0].reshape(3, 2)
    jacobian = torch.autograd.functional.jacobian(
        lambda point: plain(chosen, seen, point), parameters[0]
    )
    if isinstance(chosen, TransformerPolicy):
        jacobian = jacobian / table.exp()[..., None]
    entries = torch.eye(6, dtype=torch.float64).reshape(6, *model.table(parameters).shape[1:])
    found = model.pullback(parameters.repeat(6, 1), entries).reshape(3, 2, -1)
    torch.testing.assert_close(found, jacobian, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("chosen", [TransformerPolicy(), TransformerReward()], ids=str)
def test_pullback_agrees_with_differences(chosen: TransformerPolicy | TransformerReward) -> None:
    """Along a direction, in every block: truncation 1e-10 of the third derivative, rounding 1e-11."""
    model = chosen.bind(sequences(vocabulary=3))
    parameters = parameters_of(model, 2)
    cotangent = normal("cotangent", *model.table(parameters).shape)
    pulled = model.pullback(parameters, cotangent)
    start = 0
    for rows, columns in model.network.blocks.values():
        step = torch.zeros_like(parameters)
        step[:, start : start + rows * columns] = 1e-5 * normal("step", 2, rows * columns)
        start += rows * columns
        change = model.table(parameters + step) - model.table(parameters - step)
        moved = (change * cotangent).flatten(1).sum(1) / 2
        scale = float((pulled.norm(dim=1) * step.norm(dim=1)).max())
        torch.testing.assert_close((pulled * step).sum(1), moved, rtol=0, atol=1e-6 * scale)
    assert start == model.parameters


def test_later_tokens_do_not_change_what_was_read_before() -> None:
    """On sequences read one by one: the same numbers behind equal beginnings, bit for bit."""
    tokens = torch.tensor([[0, 1, 1], [0, 1, 0], [0, 0, 1]])
    rows = [tokens.where(torch.arange(3) < length, -1) for length in range(4)]
    tree, node = prefix_tree(torch.zeros(12, dtype=torch.long), torch.cat(rows))
    ends = node[-3:][None].repeat(2, 1)
    whole = [node[3 * length : 3 * length + 3][None].repeat(2, 1) for length in range(4)]
    forest, places = tree.forest_of(torch.cat([*whole, ends], dim=1), torch.float64)
    assert forest.nodes == 12
    network = StackedTransformer(tree.symbols, 2, layers=2, heads=2, width=8)
    outputs = network.forward(0.5 * normal("weights", 2, network.parameters), forest)
    by_length = outputs.gather(1, places[..., None].expand(-1, -1, 2))[:, :12].view(2, 4, 3, 2)
    for length, pairs in {0: [(0, 1), (0, 2)], 1: [(0, 1), (0, 2)], 2: [(0, 1)]}.items():
        for one, other in pairs:
            assert torch.equal(by_length[:, length, one], by_length[:, length, other])
    assert not torch.equal(by_length[:, 2, 0], by_length[:, 2, 2])
    assert not torch.equal(by_length[:, 3, 0], by_length[:, 3, 1])


@pytest.mark.parametrize("chosen", [TransformerPolicy(), TransformerReward(layers=2)], ids=str)
def test_numbers_do_not_depend_on_what_is_computed_together(
    chosen: TransformerPolicy | TransformerReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replicates after the other, nothing remembered, and all of them at once."""
    seen = sequences(vocabulary=3, length=4, end=1, padding=2)
    model, again = chosen.bind(seen), chosen.bind(seen)
    parameters = parameters_of(model, 5)
    table = model.table(parameters)
    cotangent = normal("cotangent", *table.shape)
    pulled = model.pullback(parameters, cotangent)
    monkeypatch.setattr(stacked_transformer, "_TOGETHER", 1)
    monkeypatch.setattr(stacked_transformer, "_REMEMBERED", 0)
    torch.testing.assert_close(again.table(parameters), table, rtol=1e-12, atol=1e-13)
    found = again.pullback(parameters, cotangent)
    torch.testing.assert_close(found, pulled, rtol=1e-11, atol=1e-12)
    assert torch.equal(chosen.bind(seen).pullback(parameters, cotangent), found)
    alone = chosen.bind(seen).pullback(parameters[3:4], cotangent[3:4])
    torch.testing.assert_close(alone, pulled[3:4], rtol=1e-11, atol=1e-12)


@EVERY_CASE
def test_a_run_starts_at_the_reference_and_leaves_it(seen: ModelInputs) -> None:
    model = TransformerPolicy().bind(seen)
    noise = normal("start", 3, model.parameters)
    start = model.initial(noise)
    torch.testing.assert_close(model.table(start), seen.log_reference.expand(3, -1, -1, -1))
    pulled = model.pullback(start, normal("cotangent", *model.table(start).shape))
    assert bool((pulled != 0).any())
    moved = TransformerPolicy(output_scale=0.5).bind(seen)
    assert not torch.allclose(moved.table(moved.initial(noise)), seen.log_reference)


def test_the_start_has_the_deviations_of_its_documentation() -> None:
    """At noise 1: gains are 1, and all others their deviation."""
    model = TransformerPolicy(layers=2, heads=1, width=4, weight_scale=3.0, output_scale=0.5).bind(
        sequences(prompts=2, vocabulary=3, length=3)
    )
    start = model.initial(torch.ones(1, model.parameters))[0]
    layer = [1.0] * 4 + [0.0] * 4 + [1.5] * 48 + [0.75] * 16 + [0.0] * 4
    layer += [1.0] * 4 + [0.0] * 4 + [1.5] * 64 + [0.0] * 16 + [3 / 2 / 4] * 64 + [0.0] * 4
    expected = [3.0] * (2 + 3 + 3) * 4 + layer + layer + [1.0] * 4 + [0.0] * 4 + [0.25] * 12
    torch.testing.assert_close(start, torch.tensor([*expected, 0.0, 0.0, 0.0]).double())
    reward = TransformerReward(width=4, weight_scale=2.0).bind(sequences())
    start = reward.initial(torch.zeros(1, reward.parameters))
    assert float(start.sum()) == 3 * 4
    # 1.0 as the square root of the width, 2.0 as the scale: output weights stand before their bias.
    assert reward.initial(torch.ones(1, reward.parameters))[0, -5:].tolist() == [1.0] * 4 + [0.0]


def test_a_reward_of_sequences_is_a_score_where_they_end() -> None:
    """With an end token at any length; behind it nothing is read."""
    seen = sequences(prompts=1, vocabulary=3, length=3, end=1, padding=2)
    model = TransformerReward().bind(seen)
    table = model.table(parameters_of(model, 2))
    assert seen.prefixes is not None
    written = (seen.prefixes.tokens >= 0).sum(1)
    for state in range(len(written)):
        for token in range(3):
            ends = seen.prefixes.prompts[state] >= 0 and (token == 1 or written[state] == 2)
            assert bool((table[:, state, token] != 0).all()) == ends
    every = TransformerReward(per_token=True).bind(seen)
    table = every.table(parameters_of(every, 2))
    assert bool((table[:, :-2] != 0).all())
    assert bool((table[:, -2:] == 0).all())


def named_states(replicates: int, states: int, count: int) -> Tensor:
    """Draw states of every replicate, some of them several times."""
    generator = torch.Generator().manual_seed(replicates + states)
    return torch.randint(states, (replicates, count), generator=generator)


@EVERY_CASE
@pytest.mark.parametrize("count", [1, 4, 60])
@pytest.mark.parametrize(
    "chosen",
    [
        TransformerPolicy(layers=2, heads=1, width=4),
        TransformerReward(layers=2, heads=1, width=4),
        TransformerReward(width=4, per_token=True),
    ],
    ids=str,
)
def test_rows_are_those_of_the_table(
    seen: ModelInputs, chosen: TransformerPolicy | TransformerReward, count: int
) -> None:
    """Numbers, and gradients as of a table's cotangent that is 0 elsewhere."""
    model = chosen.bind(seen)
    parameters = parameters_of(model, 3)
    table = model.table(parameters)
    is_policy = isinstance(chosen, TransformerPolicy)
    table = table[:, 0] if is_policy else table.flatten(1)[..., None]
    index = named_states(3, table.shape[1], count)
    expected = table.gather(1, index[..., None].expand(-1, -1, table.shape[2]))
    rows = chosen.bind(seen).rows(parameters, index)
    shaped = rows if is_policy else rows[..., None]
    torch.testing.assert_close(shaped, expected, rtol=1e-12, atol=1e-13)
    cotangent = normal("cotangent", *expected.shape)
    whole = torch.zeros_like(table)
    whole.scatter_add_(1, index[..., None].expand(expected.shape), cotangent)
    whole = whole[:, None] if is_policy else whole.view(model.table(parameters).shape)
    given = cotangent if is_policy else cotangent[..., 0]
    found = model.rows_pullback(parameters, index, given)
    pulled = model.pullback(parameters, whole)
    scale = max(1.0, float(pulled.abs().max()))
    torch.testing.assert_close(found, pulled, rtol=0, atol=1e-12 * scale)


def test_rows_read_their_own_sequences_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """States on one way to a longest prefix are one sequence; more than the tree has is not read."""
    read: list[int] = []
    forward = StackedTransformer.forward

    def counting(self: StackedTransformer, parameters: Tensor, forest: object) -> Tensor:
        read.append(forest.nodes)  # type: ignore[attr-defined]
        return forward(self, parameters, forest)  # type: ignore[arg-type]

    monkeypatch.setattr(StackedTransformer, "forward", counting)
    seen = sequences(prompts=1, vocabulary=2, length=5)
    model = TransformerPolicy(width=4).bind(seen)
    parameters = parameters_of(model, 2)
    # The empty prefix is state 0, that of one token 1 or 2, and so on: 2 k + 1 and 2 k + 2 below k.
    model.rows(parameters, torch.tensor([[15, 7, 3, 1, 0], [0, 2, 6, 14, 30]]))
    model.rows(parameters, torch.tensor([[15, 7, 16, 1, 0], [0, 2, 6, 14, 30]]))
    model.rows(parameters, torch.tensor([[1], [2]]))
    model.rows(parameters, torch.arange(31).expand(2, -1))
    assert read == [5, 10, 2, 31]
    reward = TransformerReward(width=4).bind(seen)
    phi = parameters_of(reward, 2)
    reward.rows(phi, torch.tensor([[2 * 15, 2 * 15], [2 * 16 + 1, 2 * 3]]))
    assert read[-1] == 6


def test_rows_follow_what_is_written_to() -> None:
    model = TransformerPolicy(width=4).bind(sequences())
    parameters, index = parameters_of(model, 2), torch.tensor([[1, 2], [9, 3]])
    cotangent = normal("cotangent", 2, 2, 2)
    before = model.rows(parameters, index).clone()
    model.rows(parameters, index).zero_()
    assert torch.equal(model.rows(parameters, index), before)
    index[0, 0] = 12
    fresh = TransformerPolicy(width=4).bind(sequences())
    assert torch.equal(model.rows(parameters, index), fresh.rows(parameters, index.clone()))
    parameters += 0.5
    found = model.rows_pullback(parameters, index, cotangent)
    expected = fresh.rows_pullback(parameters.clone(), index.clone(), cotangent)
    assert torch.equal(found, expected)


def test_rows_of_padding_are_the_reference_and_move_nothing() -> None:
    seen = sequences(prompts=1, vocabulary=3, length=3, end=1, padding=2)
    states = len(seen.log_reference[0])
    model, reward = TransformerPolicy().bind(seen), TransformerReward().bind(seen)
    index = torch.tensor([[states - 1, states - 2]])
    parameters, phi = parameters_of(model, 1), parameters_of(reward, 1)
    rows = model.rows(parameters, index)
    torch.testing.assert_close(rows[0], seen.log_reference[0, [-1, -2]], rtol=1e-12, atol=0)
    assert not bool(model.rows_pullback(parameters, index, normal("c", 1, 2, 3)).any())
    assert not bool(reward.rows(phi, 3 * index).any())
    assert not bool(reward.rows_pullback(phi, 3 * index, normal("c", 1, 2)).any())


def test_a_random_reference_is_a_function_of_its_seed() -> None:
    """Positive, normalised, uniform behind an end token; the scale is that of its logits."""
    written = sequences(prompts=2, vocabulary=4, length=4, end=3, padding=2).prefixes
    assert written is not None
    found = random_log_policy(written, 2, 2, 8, 1.0, 2**100)
    assert found.shape == (1, len(written.prompts), 4)
    assert torch.equal(found, random_log_policy(written, 2, 2, 8, 1.0, 2**100))
    assert not torch.allclose(found, random_log_policy(written, 2, 2, 8, 1.0, 1))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(found.shape[:2]).double())
    torch.testing.assert_close(found[0, -2:].exp(), torch.full((2, 4), 0.25).double())
    assert bool((found.exp() > 0).all())
    # A difference of two logits has variance 2 scale² over seeds: 200 seeds of one state, 5 deviations.
    small = sequences(prompts=1, length=1).prefixes
    assert small is not None
    gaps = [random_log_policy(small, 1, 2, 8, 0.1, seed)[0, 0] for seed in range(200)]
    variance = float(torch.stack([each[0] - each[1] for each in gaps]).square().mean()) / 0.02
    assert abs(variance - 1) < 5 * math.sqrt(2 / 200)


def replaced(**changes: object) -> ModelInputs:
    """Return what a class may see of sequences, with other prefixes."""
    seen = sequences()
    assert seen.prefixes is not None
    return dataclasses.replace(seen, prefixes=dataclasses.replace(seen.prefixes, **changes))


def without_a_root() -> ModelInputs:
    return chosen_states(sequences(), torch.arange(1, 14))


def without_a_prefix() -> ModelInputs:
    return chosen_states(sequences(), torch.tensor([0, 1, 2, 3, 4, *range(6, 14)]))


def many_states() -> Prefixes:
    return Prefixes(torch.zeros(1, dtype=torch.long), torch.full((1, 0), -1), 2**25, 1)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "heads": (lambda: TransformerPolicy(heads=3), "heads: received 3; .* divides the width"),
    "heads of rewards": (lambda: TransformerReward(heads=5, width=6), "heads: received 5"),
    "width": (lambda: TransformerPolicy(heads=1, width=1), "width: received 1; pass at least 2"),
    "wide": (lambda: TransformerPolicy(width=10**9), "width: received 1000000000, with which"),
    "layers": (lambda: TransformerReward(layers=10**9), "layers: received 1000000000; .* 100"),
    "flag": (lambda: TransformerReward(per_token=1), "per_token: received 1"),  # type: ignore[arg-type]
    "no sequences": (
        lambda: TransformerPolicy().bind(inputs()),
        "policy: received a class that reads sequences.* family 'sequences'",
    ),
    "rewards of none": (lambda: TransformerReward().bind(inputs()), "reward: received a class"),
    "steps": (
        lambda: TransformerPolicy().bind(
            dataclasses.replace(sequences(), log_reference=normal("x", 2, 14, 2).log_softmax(-1))
        ),
        "log_reference: received 2 steps",
    ),
    "actions": (
        lambda: TransformerReward().bind(replaced(vocabulary=3)),
        "log_reference: received 1 steps and 2 actions; .* the 3 tokens",
    ),
    "no prompt": (
        lambda: TransformerPolicy().bind(replaced(prompts=torch.full((14,), -1))),
        "prefixes: received no state with a prompt",
    ),
    "a gap": (
        lambda: TransformerPolicy().bind(replaced(tokens=torch.tensor([[-1, 1]] * 14))),
        r"prefixes: received tokens \[-1, 1\]",
    ),
    "no root": (lambda: TransformerPolicy().bind(without_a_root()), "prefixes: .* without those"),
    "no prefix": (
        lambda: TransformerReward().bind(without_a_prefix()),
        "prefixes: .* without those",
    ),
    "numbers": (
        lambda: TransformerPolicy(heads=1, width=1600).bind(sequences(vocabulary=5, length=6)),
        "width: received 1600, with which tables would hold",
    ),
    "tokens": (
        lambda: TransformerReward().bind(
            dataclasses.replace(
                inputs(states=1),
                log_reference=torch.zeros(1, 1, 1).double().expand(1, 1, 2**25),
                prefixes=many_states(),
            )
        ),
        "vocabulary: received 33554432, with which tables would hold",
    ),
    "scale": (
        lambda: random_log_policy(replaced().prefixes, 1, 2, 8, 1e6, 0),  # type: ignore[arg-type]
        "scale: received 1000000.0; pass a smaller scale",
    ),
    "no scale": (
        lambda: random_log_policy(replaced().prefixes, 1, 2, 8, 0.0, 0),  # type: ignore[arg-type]
        "scale: received 0.0",
    ),
    "seed": (
        lambda: random_log_policy(replaced().prefixes, 1, 2, 8, 1.0, -1),  # type: ignore[arg-type]
        "seed: received -1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_of_sequences_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        make()
