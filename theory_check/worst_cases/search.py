"""The search for the worst instance of a family, its second evaluation, and what is kept of it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray

from theory_check.errors import (
    CertificationError,
    InvalidArgumentError,
    StoreError,
    require_choice,
    require_positive_integer,
    require_seed,
    shortened,
)
from theory_check.problems import Problem
from theory_check.problems.stored import as_record, labels, require_label
from theory_check.worst_cases.base import Evaluation, WorstCase
from theory_check.worst_cases.spaces import Space

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


ATTEMPTS = 12
"""Instances that are evaluated a second time before the search is given up, worst first."""


@dataclass(frozen=True, eq=False)
class Worst:
    """The worst instance of a family that was found and confirmed.

    Attributes
    ----------
    case, space
        What was searched, and where.
    budget, restarts, seed
        Evaluations of the optimiser and, again, of random search; restarts; seed of both.
    optimised, random
        Everything evaluated.
    cube
        The worst instance as a point of the unit cube.
    source
        ``"optimiser"`` or ``"random"``: which search found it.
    first, second
        The quantity by the route that was searched, and by the second one.
    rejected
        Values of worse instances on which the two routes did not agree: (first, second).
    """

    case: WorstCase
    space: Space
    budget: int
    restarts: int
    seed: int
    optimised: Trials
    random: Trials
    cube: NDArray[np.float64]
    source: str
    first: Evaluation
    second: Evaluation
    rejected: tuple[tuple[float, float], ...]

    @property
    def kept(self) -> bool:
        """Whether the claim's prediction holds on the instance, as the second route sees it."""
        return self.second.kept

    @property
    def problem(self) -> Problem:
        """The instance."""
        return self.space.problem(self.cube)

    def origin(self) -> dict[str, Any]:
        """Return how the instance was found, as JSON data: all that its search needs again."""
        return {
            "quantity": self.case.id,
            "claim": self.case.claim,
            "measured": self.case.quantity,
            "unit": self.case.unit,
            "family": self.space.name,
            "sizes_and_bounds": dataclasses.asdict(self.space),
            "budget": self.budget,
            "restarts": self.restarts,
            "seed": self.seed,
            "source": self.source,
            "value": self.first.value,
            "value_by_second_route": self.second.value,
            "kept": self.kept,
            "random_median": float(np.nanmedian(self.random.values)),
            "random_maximum": float(np.nanmax(self.random.values)),
            "cube": self.cube.tolist(),
        }


def find_worst(
    case: WorstCase,
    space: Space,
    *,
    budget: int,
    restarts: int,
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> Worst:
    """Search a family for the instance on which a quantity is worst.

    The optimiser and random search have ``budget`` evaluations each. The worst of what both found is
    evaluated again by the second route; where the routes disagree it is rejected, and the next one tried.

    Parameters
    ----------
    case
        The quantity.
    space
        The family, with its sizes and bounds.
    budget, restarts, seed
        As in :func:`theory_check.worst_cases.search.maximise`.
    report
        Told how far the search has come.

    Raises
    ------
    InvalidArgumentError
        Before any work, for arguments that cannot be searched.
    CertificationError
        Where nothing has a sound value, or the routes agree on none of the worst instances.
    """
    require_choice("family", space.name, case.families)
    require_budget(budget, restarts)
    done = 0

    def value(cube: NDArray[np.float64]) -> float:
        nonlocal done
        done += 1
        if done % max(1, budget // 5) == 0:
            report(f"{done} of {2 * budget} evaluations")
        return _evaluated(case.measure, space.problem(cube)).value

    optimised = maximise(value, space.dimension, budget=budget, restarts=restarts, seed=seed)
    random = draw(value, space.dimension, number=budget, seed=seed)
    rejected: list[tuple[float, float]] = []
    for cube, source in _worst_first(optimised, random):
        problem = space.problem(cube)
        first, second = (_evaluated(route, problem) for route in (case.measure, case.confirm))
        if case.agrees(first, second):
            return Worst(
                case, space, budget, restarts, seed, optimised, random, cube, source, first, second,
                tuple(rejected),
            )  # fmt: skip
        rejected.append((first.value, second.value))
    if not rejected:
        raise CertificationError(
            f"{case.id}: none of {2 * budget} instances has a certified value; raise kl_weight_low"
        )
    raise CertificationError(
        f"{case.id}: the second route disagrees on the {len(rejected)} worst instances, at the first by "
        f"{rejected[0][0]:.4g} against {rejected[0][1]:.4g}; nothing found here is to be trusted"
    )


def _evaluated(route: Callable[[Problem], Evaluation], problem: Problem) -> Evaluation:
    """Return an evaluation; one without a value where the exact oracle cannot certify it."""
    try:
        return route(problem)
    except CertificationError:
        return Evaluation(math.nan, kept=False)


def _worst_first(*searches: Trials) -> list[tuple[NDArray[np.float64], str]]:
    """Return instances to confirm: the worst of all, and the worst of each restart, worst first."""
    found: list[tuple[float, int, int]] = []
    for number, trials in enumerate(searches):
        order = [index for index in np.argsort(-trials.values, kind="stable").tolist()
                 if not math.isnan(trials.values[index])]  # fmt: skip
        chosen = dict.fromkeys(order[: ATTEMPTS // 2])
        for run in range(int(trials.run.max()) + 1):
            chosen |= dict.fromkeys([i for i in order if trials.run[i] == run][:1])
        found += [(-float(trials.values[index]), number, index) for index in chosen]
    names = ("optimiser", "random")
    return [
        (searches[number].cubes[index], names[number])
        for _, number, index in sorted(found)[:ATTEMPTS]
    ]


def new_record(store: Path, label: str) -> Path:
    """Return where the worst instance of a label is kept, and make sure that it can be written there.

    Raises
    ------
    InvalidArgumentError
        For what is no label, or one that is taken.
    StoreError
        Where the file cannot be written.
    """
    require_label("label", label)
    file = store / "worst-cases" / f"{label}.json"
    if os.path.lexists(file) or label in labels():
        raise InvalidArgumentError(
            "label",
            shortened(label),
            f"{file} exists; pass another label"
            if os.path.lexists(file)
            else "the package brings an instance of that name; pass another label",
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        file.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write {file} ({error.strerror}); pass another folder with --store"
        ) from error
    return file


def write_record(worst: Worst, file: Path) -> None:
    """Keep the worst instance as a problem that is called like the file.

    Raises
    ------
    StoreError
        Where the file cannot be written.
    """
    try:
        file.write_text(as_record(worst.problem, file.stem, worst.origin()), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file} ({error.strerror})") from error
