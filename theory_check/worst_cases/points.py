"""Where quantities that are a supremum over reward parameters are looked at."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def ball_points(number: int, parameters: int) -> Float[Tensor, "point d"]:
    """Return fixed points, uniform in the unit ball.

    The same for every problem with that many parameters, so that a quantity is a function of the
    problem; the first points of a larger number are those of a smaller one. With features of norm at
    most 1 the rewards at these points are between -1 and 1.
    """
    generator = np.random.default_rng([20_000 + parameters])
    # One row a point, so that more points do not move the first ones.
    drawn = generator.standard_normal((number, parameters + 2))
    # The first d of d + 2 coordinates of a uniform point of the sphere are uniform in the ball.
    return torch.from_numpy(drawn[:, :-2] / np.linalg.norm(drawn, axis=1, keepdims=True))
