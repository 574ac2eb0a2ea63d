"""Where the upper variables of a run start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.counts import stream_entropy


def initial_upper(
    seeds: Sequence[int], parameters: int, scale: float
) -> Float[Tensor, "replicate upper"]:
    """Draw standard normal parameters times ``scale``, each seed from its own stream."""
    rows = [
        np.random.default_rng(stream_entropy("initial reward parameters", seed)).standard_normal(
            parameters
        )
        for seed in seeds
    ]
    return torch.from_numpy(scale * np.stack(rows))
