"""A problem on which every setting of a method has squared gradients and samples that a test states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from theory_check.bilevel import Information
from theory_check.errors import SampleBudgetExhausted
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments
from theory_check.solvers.method import Method, Plan, Scales

UNITS = Scales(1.0, 1.0, 1.0, 1.0, 1.0)

Curve = Callable[[int], float]
"""Squared gradient after an iteration."""


class Truth:
    """``Phi(x) = |x|² / 2``, so that the squared gradient is ``|x|²``."""

    optimal_hyperobjective = 0.0

    def hypergradient(self, upper: Tensor) -> Tensor:
        return upper

    def hyperobjective(self, upper: Tensor) -> Tensor:
        return upper.square().sum(-1) / 2

    def surrogate_gradient(self, upper: Tensor, sigma: float) -> Tensor:
        raise AssertionError

    def diagnostics(self, *arguments: object) -> dict[str, Tensor]:
        return {}

    def penalised_distance(self, *arguments: object) -> Tensor:
        raise AssertionError


class Counter:
    """Counts what a solver says that it draws, up to a budget."""

    def __init__(self, budget: int | None) -> None:
        self.budget, self.drawn = budget, 0

    def draw(self, samples: int) -> None:
        if self.budget is not None and self.drawn + samples > self.budget:
            raise SampleBudgetExhausted("planted")
        self.drawn += samples

    @property
    def counts(self) -> SampleCounts:
        return SampleCounts(trajectories=self.drawn)


class PlantedInstruments(Instruments):
    """Nothing but a counter and the truth; runs start at 1."""

    sampled_kind: ClassVar[type] = Counter
    exact_kind: ClassVar[type] = Counter

    def __init__(self, problem: Any, seeds: Sequence[int], *, sample_budget: Any, **_: Any) -> None:
        self.truth: Any = Truth()
        self.sampled: Any = Counter(sample_budget)
        self.information: Any = self.sampled
        self.upper_parameters = 1

    def initial_upper(self, seeds: Sequence[int], scale: float) -> Tensor:
        return torch.ones(len(seeds), 1, dtype=torch.float64)

    def initial_lower(self, seeds: Sequence[int]) -> Tensor:
        return torch.zeros(len(seeds), 1, dtype=torch.float64)


class PlantedProblem:
    """What names the instruments."""

    name = "planted"
    instruments = PlantedInstruments


@dataclass(frozen=True)
class PlantedState:
    upper: Tensor
    lower: Tensor
    estimate: Tensor
    next_upper: Tensor
    iteration: int = 0
    lower_penalised: None = None


@dataclass(frozen=True)
class PlantedSolver:
    """Draws ``samples`` an iteration; its squared gradients are ``curve``, of replicates ``curves``."""

    curves: tuple[Curve, ...]
    samples: int
    name: ClassVar[str] = "planted"
    information: ClassVar[Information] = "samples"
    penalty: ClassVar[None] = None

    def init(self, upper: Tensor, lower: Tensor) -> PlantedState:
        return PlantedState(upper, lower, upper, upper)

    def step(self, oracle: Counter, state: PlantedState) -> PlantedState:
        oracle.draw(self.samples)
        iteration = state.iteration + 1
        replicates = len(state.upper)
        values = [self.curves[at % len(self.curves)](iteration) for at in range(replicates)]
        upper = torch.tensor(values, dtype=torch.float64).sqrt()[:, None]
        return PlantedState(upper, state.lower, upper, upper, iteration)


@dataclass(frozen=True)
class FallsAt:
    """A curve that is ``above`` before an iteration, and ``below`` from there on."""

    iteration: int
    above: float = 30.0
    below: float = 0.0

    def __call__(self, at: int) -> float:
        """Return the squared gradient."""
        return self.above if at < self.iteration else self.below


def planted_method(plan: Callable[[float, Mapping[str, float]], Plan]) -> Method:
    """Return a method of two constants whose grid lies between 1 and 8."""
    levels = (1.0, 2.0, 4.0, 8.0)
    return Method(
        id="planted",
        title="planted",
        solver=PlantedSolver,
        constants={"a": levels, "b": levels},
        plan=lambda epsilon, constants, scales: plan(epsilon, constants),
        rate=None,
    )
