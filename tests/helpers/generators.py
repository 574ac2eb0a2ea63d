"""Random problems of many shapes, drawn from explicit generators."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from theory_check.problems import Problem, garnet, tabular

# States, actions, horizon: from the smallest to the largest that the naive references can take.
SIZES = (
    (1, 4, 1),
    (2, 2, 1),
    (2, 2, 2),
    (3, 2, 2),
    (2, 3, 3),
    (4, 3, 2),
    (3, 2, 3),
    (4, 3, 3),
)


def random_problem(
    seed: int,
    size: tuple[int, int, int] = (2, 2, 2),
    *,
    objective: str = "cross_entropy",
    discount: float = 1.0,
    sparse: bool = False,
    features: int | None = None,
    realisable: bool = True,
) -> Problem:
    """Draw a problem with a non-uniform, step-dependent reference policy.

    A sparse kernel leads to at most two successors, one state is never a start, and every trajectory
    of a dense one is possible. ``features=None`` is the tabular class.
    """
    generator = np.random.default_rng([seed, *size])
    states, actions, horizon = size
    kernel = generator.dirichlet(np.ones(states), size=(states, actions))
    initial = generator.dirichlet(np.ones(states))
    if sparse and states > 1:
        kernel, initial = _sparse(generator, kernel, initial)
    table = None if features is None else generator.standard_normal((states, actions, features))
    reward = generator.standard_normal((states, actions))
    if table is not None and realisable:
        reward = table @ generator.standard_normal(features) / np.sqrt(features)
    return tabular(
        transitions=kernel,
        initial=initial,
        true_reward=reward,
        features=table,
        horizon=horizon,
        discount=discount,
        kl_weight=float(generator.uniform(0.4, 1.5)),
        objective=objective,
        reference_policy=generator.dirichlet(2 * np.ones(actions), size=(horizon, states)),
    )


def random_discounted_problem(
    seed: int,
    size: tuple[int, int] = (2, 2),
    *,
    discount: float = 0.7,
    segment_length: int = 1,
    objective: str = "cross_entropy",
    sparse: bool = False,
    features: int | None = None,
    realisable: bool = True,
) -> Problem:
    """Draw a discounted problem with a non-uniform reference policy; see :func:`random_problem`."""
    generator = np.random.default_rng([seed, *size])
    states, actions = size
    table = None if features is None else generator.standard_normal((states, actions, features))
    reward = generator.standard_normal(size)
    if table is not None and realisable:
        reward = table @ generator.standard_normal(features) / np.sqrt(features)
    kernel = generator.dirichlet(np.ones(states), size=size)
    initial = generator.dirichlet(np.ones(states))
    if sparse and states > 1:
        kernel, initial = _sparse(generator, kernel, initial)
    return tabular(
        transitions=kernel,
        initial=initial,
        true_reward=reward,
        features=table,
        horizon=None,
        discount=discount,
        segment_length=segment_length,
        kl_weight=float(generator.uniform(0.4, 1.5)),
        objective=objective,
        reference_policy=generator.dirichlet(2 * np.ones(actions), size=states),
        name=f"discounted({states}x{actions}, seed {seed})",
    )


def _sparse(
    generator: np.random.Generator, kernel: np.ndarray, initial: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leave two successors to every state and action, and take one state from the start law."""
    ranks = generator.random(kernel.shape).argsort(-1)
    kernel = np.where(ranks < 2, kernel, 0.0)
    initial[generator.integers(len(initial))] = 0.0
    return kernel / kernel.sum(-1, keepdims=True), initial / initial.sum()


def varied_problems() -> list[Problem]:
    """Return 24 problems that cover sizes, objectives, discounts, kernels and reward classes."""
    made = []
    for seed in range(24):
        made.append(
            random_problem(
                seed,
                SIZES[seed % len(SIZES)],
                objective=("cross_entropy", "excess_risk")[(seed // 8) % 2],
                discount=(1.0, 0.9, 0.6)[(seed // 2) % 3],
                sparse=seed % 3 != 1,
                features=(None, 3, 4)[(seed // 3) % 3],
                realisable=seed % 5 != 0,
            )
        )
    return made


DISCOUNTED_SIZES = (
    (1, 3),
    (2, 2),
    (3, 2),
    (4, 3),
    (6, 2),
    (8, 3),
    (12, 2),
    (16, 3),
    (20, 2),
    (20, 3),
)


def varied_discounted_problems() -> list[Problem]:
    """Return 20 discounted problems up to 20 states and discount 0.95.

    Both objectives, segments of one and two steps, dense kernels up to 8 states and sparse ones,
    all reward classes.
    """
    made = []
    for seed in range(20):
        size = DISCOUNTED_SIZES[seed % len(DISCOUNTED_SIZES)]
        made.append(
            random_discounted_problem(
                seed,
                size,
                discount=(0.5, 0.8, 0.9, 0.95)[seed % 4],
                segment_length=1 + (seed // 10 + seed) % 2,
                objective=("cross_entropy", "excess_risk")[(seed // 2) % 2],
                sparse=size[0] > 8 or seed % 3 == 0,
                features=(None, 3, 4)[seed % 3],
                realisable=seed % 5 != 0,
            )
        )
    return made


def contract_garnet(objective: str = "cross_entropy", **changes: object) -> Problem:
    """Return the Garnet problem that the public interface is documented with."""
    arguments = {
        "states": 3,
        "actions": 2,
        "horizon": 3,
        "features": 4,
        "discount": 1.0,
        "kl_weight": 0.5,
        "objective": objective,
        "seed": 0,
    }
    return garnet(**{**arguments, **changes})


def random_point(seed: int, problem: Problem, *lead: int) -> Tensor:
    """Return standard normal reward parameters, shape (*lead, d)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*lead, problem.parameters, generator=generator, dtype=torch.float64)


def random_log_policy(seed: int, problem: Problem) -> Tensor:
    """Return a random log-policy table, shape (h, s, a)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (problem.steps, problem.states, problem.actions)
    return torch.randn(shape, generator=generator, dtype=torch.float64).log_softmax(-1)
