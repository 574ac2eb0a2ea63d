"""Problems whose states belong to one step each, beside the same with a row for each step and state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from theory_check.problems import Problem, tabular
from theory_check.problems.layers import step_of_states


def both_problems(
    layers: tuple[int, ...],
    actions: int = 3,
    *,
    seed: int = 0,
    branching: int = 2,
    discount: float = 1.0,
    masked: bool = False,
    objective: str = "cross_entropy",
    reward_scale: float = 1.0,
    features: int | None = 3,
) -> tuple[Problem, Problem]:
    """Return an ordinary episodic problem and the same one with layers.

    Successors of a state and an action are drawn from the next layer; what follows the last one is the
    first state, which is no successor of a layer but counts for nothing.
    """
    generator = np.random.default_rng([seed, *layers, actions])
    states, bounds = sum(layers), np.cumsum([0, *layers, 0])
    kernel = np.zeros((states, actions, states))
    for step, size in enumerate(layers[:-1]):
        after = np.arange(bounds[step + 1], bounds[step + 2])
        for state in range(bounds[step], bounds[step] + size):
            for action in range(actions):
                targets = generator.choice(after, size=min(branching, after.size), replace=False)
                kernel[state, action, targets] = generator.dirichlet(np.ones(targets.size))
    kernel[bounds[len(layers) - 1] :, :, 0] = 1.0
    initial = np.zeros(states)
    initial[: layers[0]] = generator.dirichlet(np.ones(layers[0]))
    mask = generator.random((states, actions)) < 0.6 if masked else np.ones((states, actions), bool)
    mask[:, 0] = True
    reference = generator.dirichlet(2 * np.ones(actions), size=states) * mask
    table = None if features is None else generator.standard_normal((states, actions, features))
    drawn = generator.standard_normal((states, actions))
    if table is not None:
        drawn = table @ generator.standard_normal(features)
    flat = tabular(
        transitions=kernel,
        initial=initial,
        true_reward=reward_scale * drawn,
        features=table,
        horizon=len(layers),
        discount=discount,
        kl_weight=0.7,
        objective=objective,
        action_mask=mask,
        reference_policy=reference / reference.sum(-1, keepdims=True),
    )
    layered = replace(flat, layers=layers, reference_policy=flat.reference_policy[:1])
    return flat, layered


def own_rows(problem: Problem, table: Tensor) -> Tensor:
    """Return the rows of a table (..., h, s, a) of the ordinary problem that its states belong to.

    Shape (..., 1, s, a), as a table of the problem with layers.
    """
    assert problem.layers is not None
    step = step_of_states(problem.layers)
    return table[..., step, torch.arange(problem.states), :].unsqueeze(-3)


def in_all_rows(problem: Problem, table: Tensor) -> Tensor:
    """Return a table (..., 1, s, a) with its rows at every step."""
    lead = table.shape[:-3]
    return table.expand(*lead, problem.horizon, *table.shape[-2:]).contiguous()


def normals(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)
