"""What reward and policy classes are bound to where they are checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from theory_check.models.base import ModelInputs, Prefixes, log_policy_of
from theory_check.testing.contract import normal


def all_prefixes(
    prompts: int, vocabulary: int, length: int, end: int | None = None, padding: int = 0
) -> Prefixes:
    """Return all prefixes that are continued, shorter ones first, and ``padding`` states behind them."""
    going_on = [token for token in range(vocabulary) if token != end]
    written = [
        (prompt, *tokens, *[-1] * (length - 1 - count))
        for count in range(length)
        for prompt in range(prompts)
        for tokens in itertools.product(going_on, repeat=count)
    ]
    rows = torch.tensor(written + [(-1,) * length] * padding)
    return Prefixes(rows[:, 0], rows[:, 1:], vocabulary, length, end)


def sequence_inputs() -> Iterator[tuple[str, ModelInputs]]:
    """Yield what a class that reads sequences may see, each with what they are."""
    for what, prefixes, absent in (
        ("two prompts, three tokens", all_prefixes(2, 2, 3), 0),
        ("one token", all_prefixes(2, 3, 1), 0),
        ("an end token", all_prefixes(1, 3, 3, end=1, padding=2), 0),
        ("an end token, absent actions", all_prefixes(1, 3, 2, end=0, padding=1), 2),
    ):
        yield (
            what,
            _inputs(prefixes.vocabulary, normal(7, len(prefixes.prompts), 2), 1, absent, prefixes),
        )


def class_inputs() -> Iterator[tuple[str, ModelInputs]]:
    """Yield what other reward and policy classes may see, each with what its tables are of."""
    for what, steps, actions, observed, absent in (
        ("one step", 1, 3, normal(7, 4, 2), 0),
        ("three steps", 3, 3, torch.eye(4, dtype=torch.float64), 0),
        ("one state and action", 1, 1, normal(7, 1, 1), 0),
        ("two steps, absent actions", 2, 3, normal(7, 4, 2), 2),
    ):
        yield what, _inputs(actions, observed, steps, absent)


def _inputs(
    actions: int, observed: Tensor, steps: int, absent: int, prefixes: Prefixes | None = None
) -> ModelInputs:
    """Return what a class may see; in the first ``absent`` states the last action does not exist."""
    states = len(observed)
    missing = torch.zeros(steps, states, actions, dtype=torch.bool)
    missing[:, :absent, -1] = True
    return ModelInputs(
        observations=observed,
        features=normal(8, states, actions, 5),
        log_reference=log_policy_of(normal(9, steps, states, actions), missing if absent else None),
        prefixes=prefixes,
    )
