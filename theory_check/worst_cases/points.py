"""Where quantities that are a supremum over reward parameters are looked at."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import qmc
from torch import Tensor


def ball_points(number: int, parameters: int) -> Float[Tensor, "point d"]:
    """Return fixed points that fill the unit ball evenly: those of a Halton sequence that lie in it.

    The same for every problem with that many parameters, so that a quantity is a function of the
    problem; the first points of a larger number are those of a smaller one. Nothing is random, and
    there are no gaps into which a search could put a spike, as long as they are many. With features of
    norm at most 1 the rewards at these points are between -1 and 1.
    """
    sequence = qmc.Halton(parameters, scramble=False)
    sequence.fast_forward(1)  # the first one is a corner of the cube
    found = np.empty((0, parameters))
    while len(found) < number:
        drawn = 2 * sequence.random(number) - 1
        found = np.concatenate([found, drawn[np.linalg.norm(drawn, axis=1) <= 1]])
    return torch.from_numpy(found[:number])
