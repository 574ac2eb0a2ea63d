"""The least value of an objective that networks of one width reach, searched from several starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.models.mlp_reward import MLPRewardModel
from theory_check.models.network_jacobian import widened
from theory_check.models.network_policy import NetworkPolicy
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.oracles.class_error.class_bias import OutputObjective
from theory_check.oracles.class_error.gauss_newton import NetworkFit, fit_networks
from theory_check.oracles.estimates.counts import stream_entropy

# Fits stop below this value, or where a step promises less than a thousandth of the value.
VALUE_TOLERANCE = 1e-10
DECREASE_TOLERANCE = 1e-3
# Imitation only has to bring a start near its target, and is stopped early.
IMITATION_ITERATIONS = 60
IMITATION_DECREASE = 1e-2


@dataclass(frozen=True)
class Search:
    """How hard a floor is searched for.

    Attributes
    ----------
    restarts
        Random starts of each seed and width.
    iterations
        Largest number of steps of a fit.
    """

    restarts: int
    iterations: int


@dataclass(frozen=True, eq=False)
class ClassFloor:
    """The best fits of one width, one for each seed.

    Attributes
    ----------
    network
        The networks.
    best
        Their parameters and where their fits ended, one replicate per seed.
    start
        How the best fit of each seed started: ``"random"``, ``"imitation"`` or ``"nested"``.
    median_random
        Median over the random starts, imitating ones among them, shape (seed,).
    """

    network: StackedMLP
    best: NetworkFit
    start: tuple[str, ...]
    median_random: Float[Tensor, " seed"]


def class_floors(
    models: Sequence[NetworkPolicy | MLPRewardModel],
    objective: OutputObjective,
    imitation: OutputObjective | None,
    seeds: Sequence[int],
    search: Search,
) -> Iterator[ClassFloor]:
    """Yield the floor of every model in turn.

    Parameters
    ----------
    models
        One hidden layer each, in ascending order of width.
    objective
        Of the outputs, one replicate per seed.
    imitation
        What every other random start minimises first; None for no such starts.
    seeds
        Their streams draw the starts.
    search
        How hard to search.
    """
    before: ClassFloor | None = None
    for model in models:
        network = model.network
        # Replicates are ordered (seed, start), the nested start last.
        fresh = model.initial(_noise(seeds, search.restarts + 1, model.parameters))
        fresh = fresh.reshape(len(seeds), search.restarts + 1, -1)
        starts, names = fresh[:, :-1].clone(), ["random"] * search.restarts
        if imitation is not None:
            names[1::2] = ["imitation"] * len(names[1::2])
            imitating = starts[:, 1::2]
            found = fit_networks(
                network,
                imitation.select(_repeated(len(seeds), imitating.shape[1])),
                imitating.flatten(0, 1),
                iterations=IMITATION_ITERATIONS,
                value_tolerance=VALUE_TOLERANCE,
                decrease_tolerance=IMITATION_DECREASE,
            )
            starts[:, 1::2] = found.parameters.reshape(imitating.shape)
        if before is not None:
            nested = widened(before.network, network, before.best.parameters, fresh[:, -1])
            starts, names = torch.cat([starts, nested[:, None]], dim=1), [*names, "nested"]
        fit = fit_networks(
            network,
            objective.select(_repeated(len(seeds), len(names))),
            starts.flatten(0, 1),
            iterations=search.iterations,
            value_tolerance=VALUE_TOLERANCE,
            decrease_tolerance=DECREASE_TOLERANCE,
        )
        values = fit.value.reshape(len(seeds), len(names))
        # A value that is not a number is worse than any.
        winner = torch.where(torch.isnan(values), torch.inf, values).argmin(1)
        before = ClassFloor(
            network=network,
            best=_rows(fit, torch.arange(len(seeds)) * len(names) + winner),
            start=tuple(names[index] for index in winner.tolist()),
            median_random=values[:, : search.restarts].median(1).values,
        )
        yield before


def _noise(
    seeds: Sequence[int], starts: int, parameters: int
) -> Float[Tensor, "replicate parameter"]:
    """Draw standard normal noise from each seed's own stream."""
    draws = [
        np.random.default_rng(stream_entropy("network starts", seed)).standard_normal(
            (starts, parameters)
        )
        for seed in seeds
    ]
    return torch.from_numpy(np.concatenate(draws))


def _repeated(seeds: int, times: int) -> Int[Tensor, " replicate"]:
    return torch.arange(seeds).repeat_interleave(times)


def _rows(fit: NetworkFit, chosen: Int[Tensor, " seed"]) -> NetworkFit:
    return replace(fit, **{name: entry[chosen] for name, entry in vars(fit).items()})
