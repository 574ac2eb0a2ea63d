"""Starts of runs: parameters of the two levels, each seed from its own stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.models import PolicyModel, RewardModel
from theory_check.randomness import standard_normals


def initial_upper(
    seeds: Sequence[int], parameters: int, scale: float
) -> Float[Tensor, "replicate upper"]:
    """Draw standard normal parameters times ``scale``."""
    return scale * _standard_normal("initial reward parameters", seeds, parameters)


def initial_reward(
    seeds: Sequence[int], model: RewardModel, scale: float
) -> Float[Tensor, "replicate upper"]:
    """Draw parameters of a reward class, from normal noise of standard deviation ``scale``."""
    return model.initial(initial_upper(seeds, model.parameters, scale))


def initial_policy(seeds: Sequence[int], model: PolicyModel) -> Float[Tensor, "replicate lower"]:
    """Draw parameters of a policy class, from standard normal noise."""
    return model.initial(_standard_normal("initial policy parameters", seeds, model.parameters))


def _standard_normal(
    purpose: str, seeds: Sequence[int], parameters: int
) -> Float[Tensor, "replicate parameter"]:
    return torch.from_numpy(_known(purpose, tuple(seeds), parameters).copy())


# Searches start the same runs hundreds of times, and to seed a stream takes longer than to draw a start.
@lru_cache(maxsize=32)
def _known(purpose: str, seeds: tuple[int, ...], parameters: int) -> NDArray[np.float64]:
    return np.stack(standard_normals(purpose, seeds, parameters))
