"""Which way leads to the upper objective, by a model of costs (``docs/theory.md`` section 2.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import torch

from theory_check.errors import InvalidArgumentError, require_choice
from theory_check.oracles.comparisons.characteristic import (
    CharacteristicSums,
    StepSums,
    Transitions,
)
from theory_check.oracles.comparisons.laws import Comparisons, comparisons_of
from theory_check.oracles.comparisons.layered_sums import LayeredSums
from theory_check.oracles.comparisons.outcomes import OutcomeSums, SequenceSums
from theory_check.oracles.comparisons.pairs import PairLoss
from theory_check.oracles.comparisons.possible import count_trajectories, counted
from theory_check.oracles.comparisons.series import frequencies_needed
from theory_check.oracles.comparisons.trajectories import (
    DEFAULT_ENUMERATION_BUDGET,
    enumerate_trajectories,
)
from theory_check.oracles.comparisons.upper import PairSums, UpperObjective, Way
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem

# Nanoseconds, measured on one core: a pair of trajectories, a turned phase of an outcome, a
# multiplication of a complex number with a probability, and what a pair of state and action costs beside
# its successors.
PAIR, OUTCOME, SUCCESSOR, CHOICE = 2.2, 3.0, 2.5, 12.0
OVERHEAD = 2e-4
"""Seconds that an evaluation without pairs costs at least."""

MOST_SEQUENCES = 2**20
"""Trajectories of a problem with layers beyond which they are no outcomes to be enumerated."""

LARGEST_COST = 600.0
"""Seconds of one evaluation beyond which a way is refused."""


@dataclass(frozen=True)
class Costs:
    """What one evaluation costs by each way, in seconds; infinite where a way is closed.

    Attributes
    ----------
    trajectories
        Number of what is compared.
    by_way
        The seconds.
    """

    trajectories: int
    by_way: dict[Way, float]

    @property
    def cheapest(self) -> Way:
        """The way that costs least."""
        return min(self.by_way, key=self.by_way.__getitem__)

    def __str__(self) -> str:
        """Return the costs in words."""
        seconds = ", ".join(f"{way} {cost:.2g} s" for way, cost in self.by_way.items())
        return (
            f"{counted(self.trajectories)} trajectories or segments; an evaluation costs {seconds}"
        )


def costs_of(problem: Problem, budget: int) -> Costs:
    """Return what an evaluation costs; the window of returns is taken to be that of the true reward."""
    trajectories = count_trajectories(problem)
    length = problem.horizon or problem.segment_length
    spread = problem.true_reward.max() - problem.true_reward.min()
    window = max(1.0, spread.item() * length**0.5 * 4)
    frequencies = frequencies_needed(window) + frequencies_needed(window, problem.preferences)
    pairs = problem.states * problem.actions
    successors = problem.dynamics.possible
    closed = float("inf")
    outcomes, passes = (pairs if length == 1 else 0), length
    if problem.layers is not None:  # every state is passed once, and trajectories are outcomes
        outcomes, passes = (trajectories if trajectories <= MOST_SEQUENCES else 0), 1
    by_step = frequencies * passes * (SUCCESSOR * 3 * successors + CHOICE * pairs)
    return Costs(
        trajectories,
        {
            "pairs": 1e-9 * PAIR * trajectories**2 if trajectories <= budget else closed,
            "outcomes": OVERHEAD + 1e-9 * OUTCOME * frequencies * outcomes if outcomes else closed,
            "steps": OVERHEAD + 1e-9 * by_step,
        },
    )


def upper_objective(
    problem: Problem,
    control: SoftControl,
    *,
    way: Way | None = None,
    budget: int,
    device: torch.device | str = "cpu",
) -> UpperObjective:
    """Return the upper objective by one of three ways.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    control
        Its control, on the same device.
    way
        What is summed over. When None: pairs where an excess risk can be enumerated, since they alone
        resolve small ones relatively, else what costs least.
    budget
        Largest number of trajectories or segments to enumerate.
    device
        Where the tables live.

    Raises
    ------
    EnumerationBudgetError
        If pairs are asked for and there are more trajectories.
    InvalidArgumentError
        If outcomes are asked for where comparisons have several steps, or an evaluation would take more
        than ten minutes.
    """
    if way is not None:
        require_choice("way", way, get_args(Way))
    excess = problem.objective == "excess_risk"
    if way != "pairs":
        costs = costs_of(problem, budget)
        if way is None:
            resolved = excess and costs.trajectories <= budget
            way = "pairs" if resolved else costs.cheapest
        if way != "pairs":
            _refuse(problem, way, costs)
            kind, enumerated = _kind(problem, way, device)
            return kind(
                control=control,
                dynamics=Transitions.of(control.dynamics),
                length=problem.horizon or problem.segment_length,
                true_reward=problem.true_reward.to(device),
                law=problem.preferences,
                excess=excess,
                **enumerated,
            )
    comparisons = comparisons_of(problem, control, budget=budget, device=device)
    return PairSums(comparisons, PairLoss.of(problem, comparisons.space))


def _kind(
    problem: Problem, way: Way, device: torch.device | str
) -> tuple[type[CharacteristicSums], dict[str, Any]]:
    """Return what sums without pairs, and the trajectories where these are its outcomes."""
    if problem.layers is None:
        return (StepSums if way == "steps" else OutcomeSums), {}
    if way == "steps":
        return LayeredSums, {}
    space = enumerate_trajectories(problem, budget=MOST_SEQUENCES, device=device)
    return SequenceSums, {"space": space}


def require_affordable(problem: Problem, budget: int = DEFAULT_ENUMERATION_BUDGET) -> None:
    """Refuse a problem for which every way would take more than ten minutes."""
    costs = costs_of(problem, budget)
    _refuse(problem, costs.cheapest, costs)


def _refuse(problem: Problem, way: Way, costs: Costs) -> None:
    length = problem.horizon or problem.segment_length
    if way == "outcomes" and length > 1 and problem.layers is None:
        raise InvalidArgumentError(
            "way",
            f"'outcomes', but {problem.name} compares {length} steps",
            "pass 'steps', or None; outcomes are those of a single step, or of a problem with layers",
        )
    if costs.by_way[way] > LARGEST_COST:
        raise InvalidArgumentError(
            "problem",
            f"{problem.name}: {costs}",
            "use fewer steps, states, actions or successors, or rewards of a smaller range",
        )


def compared(
    problem: Problem,
    control: SoftControl,
    *,
    budget: int,
    device: torch.device | str = "cpu",
) -> Comparisons | UpperObjective:
    """Return what a problem compares: enumerated where the budget allows, else the upper objective."""
    if count_trajectories(problem) <= budget:
        return comparisons_of(problem, control, budget=budget, device=device)
    return upper_objective(problem, control, budget=budget, device=device)
