"""A transformer of torch's own functions: one replicate, one sequence, nothing shared.

Parameters are cut here as the docstring of the package's network says, so that both agree on the order
of blocks and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from theory_check.models import ModelInputs, Prefixes, TransformerPolicy, TransformerReward


@dataclass(frozen=True)
class Plain:
    """A network for what is written: prompts and tokens that occur, and the most of them in a row."""

    prompts: list[int]
    letters: list[int]
    positions: int
    outputs: int
    layers: int
    heads: int
    width: int

    def __call__(self, parameters: Tensor, prompt: int, tokens: list[int]) -> Tensor:
        """Return the outputs behind the last token."""
        rest = parameters

        def take(*shape: int) -> Tensor:
            nonlocal rest
            count = torch.Size(shape).numel()
            found, rest = rest[:count].view(shape), rest[count:]
            return found

        width = self.width
        embedded = take(len(self.prompts), width)[self.prompts.index(prompt)][None]
        letters = take(len(self.letters), width)
        x = torch.cat([embedded, letters[[self.letters.index(token) for token in tokens]]])
        x = x + take(self.positions, width)[: len(x)]
        for _ in range(self.layers):
            gain, shift = take(width), take(width)
            seen = functional.layer_norm(x, [width], gain, shift, 1e-5) @ take(width, 3 * width)
            parts = seen.view(len(x), 3, self.heads, -1).permute(1, 2, 0, 3)
            mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + mixed.transpose(0, 1).reshape(len(x), width) @ take(width, width) + take(width)
            gain, shift = take(width), take(width)
            wide = functional.layer_norm(x, [width], gain, shift, 1e-5) @ take(width, 4 * width)
            wide = functional.gelu(wide + take(4 * width))
            x = x + wide @ take(4 * width, width) + take(width)
        gain, shift = take(width), take(width)
        x = functional.layer_norm(x, [width], gain, shift, 1e-5) @ take(width, self.outputs)
        found: Tensor = x[-1] + take(self.outputs)
        assert not len(rest)
        return found


def written(prefixes: Prefixes, state: int) -> tuple[int, list[int]]:
    """Return the prompt and the tokens of a state."""
    tokens = [int(token) for token in prefixes.tokens[state] if token >= 0]
    return int(prefixes.prompts[state]), tokens


def plain_policy(chosen: TransformerPolicy, seen: ModelInputs, parameters: Tensor) -> Tensor:
    """Return the probabilities of one replicate, every prefix read by itself, shape (states, actions)."""
    prefixes = seen.prefixes
    assert prefixes is not None
    states = [written(prefixes, state) for state in range(len(prefixes.prompts))]
    network = _plain(chosen, states, prefixes.vocabulary)
    rows = []
    for state, (prompt, tokens) in enumerate(states):
        odds = seen.log_reference[0, state].exp()
        if prompt >= 0:
            odds = odds * network(parameters, prompt, tokens).exp()
        rows.append(odds / odds.sum())
    return torch.stack(rows)


def plain_reward(chosen: TransformerReward, seen: ModelInputs, parameters: Tensor) -> Tensor:
    """Return the rewards of one replicate, every sequence read by itself, shape (states, actions)."""
    prefixes = seen.prefixes
    assert prefixes is not None
    states = [written(prefixes, state) for state in range(len(prefixes.prompts))]
    read = {
        (state, token): (prompt, [*tokens, token])
        for state, (prompt, tokens) in enumerate(states)
        for token in range(prefixes.vocabulary)
        if prompt >= 0
        and (chosen.per_token or token == prefixes.end or len(tokens) + 1 == prefixes.length)
    }
    network = _plain(chosen, [*states, *read.values()], 1)
    rows = [
        [
            network(parameters, *read[state, token])[0]
            if (state, token) in read
            else torch.zeros(())
            for token in range(prefixes.vocabulary)
        ]
        for state in range(len(states))
    ]
    return torch.stack([torch.stack([each.double() for each in row]) for row in rows])


def _plain(
    chosen: TransformerPolicy | TransformerReward,
    sequences: list[tuple[int, list[int]]],
    outputs: int,
) -> Plain:
    return Plain(
        sorted({prompt for prompt, _ in sequences if prompt >= 0}),
        sorted({token for _, tokens in sequences for token in tokens}),
        max(len(tokens) for _, tokens in sequences) + 1,
        outputs,
        chosen.layers,
        chosen.heads,
        chosen.width,
    )
