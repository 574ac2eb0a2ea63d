"""Maximisation over the unit cube without derivatives: CMA-ES with restarts, and random search.

CMA-ES is that of the library ``cma`` (Hansen, "The CMA evolution strategy: a tutorial", arXiv
1604.00772), with its own treatment of bounds. All randomness comes from generators made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cma
import numpy as np
from numpy.typing import NDArray

from theory_check.errors import (
    InvalidArgumentError,
    require_positive_integer,
    require_seed,
)

Array = NDArray[np.float64]
Function = Callable[[Array], float]

INITIAL_SPREAD = 0.2
SCOUTED = 0.2
"""Share of a start's evaluations that are uniform draws; CMA-ES begins at the best of them."""

_OPTIMISER, _RANDOM = 0, 1


@dataclass(frozen=True, eq=False)
class Trials:
    """What a search evaluated, in order.

    Attributes
    ----------
    cubes
        The points, shape (evaluation, dimension).
    values
        The function there, shape (evaluation,); NaN where it has no sound value.
    run
        Which restart each belongs to, shape (evaluation,).
    """

    cubes: Array
    values: Array
    run: NDArray[np.int64]

    @property
    def failed(self) -> int:
        """Number of evaluations without a sound value."""
        return int(np.isnan(self.values).sum())

    def best_of_runs(self) -> Array:
        """Return the largest value of each restart, NaN where it has none."""
        return np.array(
            [
                np.nanmax(found) if np.isfinite(found := self.values[self.run == run]).any() else np.nan
                for run in range(int(self.run.max()) + 1)
            ]
        )  # fmt: skip


def maximise(
    function: Function, dimension: int, *, budget: int, restarts: int, seed: int
) -> Trials:
    """Maximise by CMA-ES from independent random starts.

    Every start first draws a fifth of its evaluations uniformly and begins at the best of them: most of
    a cube is often flat.

    Parameters
    ----------
    function
        Of a point of the unit cube. A value that is not finite counts as an evaluation and as the
        worst of its generation.
    dimension
        Dimension of the cube, at least 2.
    budget
        Evaluations in total, divided evenly; a restart that converges early passes what it leaves to a
        fresh start of its own, so that the budget is used exactly.
    restarts
        Independent restarts.
    seed
        Each start has a generator of its own, made from it.
    """
    if dimension < 2:
        raise InvalidArgumentError("dimension", dimension, "pass at least 2")
    require_budget(budget, restarts)
    require_seed("seed", seed)
    shares = [budget // restarts + (index < budget % restarts) for index in range(restarts)]
    cubes: list[Array] = []
    values: list[float] = []
    runs: list[int] = []
    for run, share in enumerate(shares):
        start = 0
        while share > 0:
            generator = np.random.default_rng([seed, _OPTIMISER, run, start])
            tried = _evolve(function, dimension, share, generator)
            for cube, value in tried:
                cubes.append(cube)
                values.append(value)
                runs.append(run)
            share -= len(tried)
            start += 1
    return Trials(np.stack(cubes), np.array(values), np.array(runs))


def draw(function: Function, dimension: int, *, number: int, seed: int) -> Trials:
    """Evaluate ``number`` uniform points of the unit cube."""
    require_positive_integer("number", number)
    require_seed("seed", seed)
    cubes = np.random.default_rng([seed, _RANDOM]).random((number, dimension))
    values = np.array([_sound(function(cube)) for cube in cubes])
    return Trials(cubes, values, np.zeros(number, dtype=np.int64))


def require_budget(budget: int, restarts: int) -> None:
    """Refuse a budget that leaves a restart nothing."""
    require_positive_integer("restarts", restarts)
    require_positive_integer("budget", budget)
    if budget < restarts:
        raise InvalidArgumentError(
            "budget", budget, f"pass at least one evaluation for each of {restarts} restarts"
        )


def _evolve(
    function: Function, dimension: int, budget: int, generator: np.random.Generator
) -> list[tuple[Array, float]]:
    """Return what one start evaluates until CMA-ES converges or the budget is used."""
    scouts = generator.random((max(1, round(SCOUTED * budget)), dimension))
    tried = [(point, _sound(function(point))) for point in scouts]
    if len(tried) == budget:
        return tried
    losses = _losses([value for _, value in tried])
    strategy = cma.CMAEvolutionStrategy(
        scouts[int(np.argmin(losses))],
        INITIAL_SPREAD,
        {
            "bounds": [0.0, 1.0],
            "verbose": -9,
            "verb_log": 0,
            # Not the global generator of numpy, and no seeding of it.
            "seed": math.nan,
            "randn": lambda *shape: generator.standard_normal(shape),
        },
    )
    while True:
        points = [np.clip(point, 0.0, 1.0) for point in strategy.ask()]
        generation = [(point, _sound(function(point))) for point in points[: budget - len(tried)]]
        tried += generation
        if len(tried) >= budget:
            return tried
        strategy.tell(points, _losses([value for _, value in generation]))
        if strategy.stop():
            return tried


def _losses(values: Sequence[float]) -> list[float]:
    """Return what is minimised; what has no value is as bad as the worst that has one, and worse."""
    sound = [value for value in values if not math.isnan(value)]
    worst = 1.0 - min(sound) if sound else 0.0
    return [worst if math.isnan(value) else -value for value in values]


def _sound(value: float) -> float:
    return value if math.isfinite(value) else math.nan
