"""Which schedule reaches an accuracy with the fewest samples on a given problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from theory_check.advice.constants import measure_constants
from theory_check.advice.model import MeasuredConstants
from theory_check.advice.plan import SchedulePlan, plan_schedule
from theory_check.advice.rehearsal import REHEARSAL_SEEDS, Rehearsal, rehearse
from theory_check.errors import (
    InvalidArgumentError,
    require_callable,
)
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.problems import Problem
from theory_check.settings import PositiveInteger, Scale, Settings, Target, one_of
from theory_check.solvers.schedules import SCHEDULES

ADVISED = tuple(name for name, each in SCHEDULES.items() if each.difference == "forward")
"""The schedules that are compared: the bias of a central difference is no ``b sigma²``."""

INNER_STEPS = (1, 2, 4)
"""The K that are compared."""


@dataclass(frozen=True)
class AdviceRequest(Settings):
    """What :func:`advise` is asked for, described there."""

    epsilon: Target
    schedules: Sequence[Annotated[str, one_of(ADVISED)]] = ADVISED
    inner_steps: Sequence[PositiveInteger] = INNER_STEPS
    initial_scale: Scale = 1.0


@dataclass(frozen=True)
class Advice:
    """What was measured and what follows from it.

    Attributes
    ----------
    problem
        Name of the problem.
    epsilon
        Target for the ergodic mean of ``‖∇Phi‖²``, squared norm.
    initial_scale
        Standard deviation of the initial reward parameters.
    constants
        The measured constants of the error model.
    plans
        The schedules, each with its best settings; one or two of them rehearsed, the others
        predictions of the model.
    rehearsed
        Samples of the rehearsals, all replicates together.
    """

    problem: str
    epsilon: float
    initial_scale: float
    constants: MeasuredConstants
    plans: tuple[SchedulePlan, ...]
    rehearsed: SampleCounts

    def __repr__(self) -> str:
        """Say on one line what is advised; the constants and the other plans would fill a screen."""
        met = any(plan.rehearsal == "met" for plan in self.plans)
        advised = repr(self.best) if met else "no plan that met it"
        return f"<Advice for {self.problem} at {self.epsilon:g}: {advised}>"

    @property
    def best(self) -> SchedulePlan:
        """The plan with the fewest samples, of those whose rehearsal met the target."""
        met = [plan for plan in self.plans if plan.rehearsal == "met"]
        return min(met, key=lambda plan: plan.planned.samples)

    @property
    def pilot(self) -> SampleCounts:
        """Samples of everything that was run for the advice, all replicates together."""
        return self.constants.pilot + self.rehearsed


def advise(
    problem: Problem,
    epsilon: float,
    *,
    initial_scale: float = 1.0,
    schedules: Sequence[str] = ADVISED,
    inner_steps: Sequence[int] = INNER_STEPS,
    report: Callable[[str], None] = lambda line: None,
) -> Advice:
    """Measure an error model on pilot seeds, minimise the cost of a target, and rehearse that.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    epsilon
        Bound asked for on the ergodic mean of ``‖∇Phi‖²`` (squared norm), in (0, 1).
    initial_scale
        Standard deviation of the initial reward parameters.
    schedules
        Ids of the schedules to compare.
    inner_steps
        Numbers of inner steps K to compare.
    report
        Told, line by line, what is being measured.

    Returns
    -------
    Advice
        Its ``best`` plan has ``.iterations`` and ``.solver``, ready for ``theory_check.run``.

    Raises
    ------
    InvalidArgumentError
        Before any work for arguments that make no sense; later if the starts meet the target
        already, if not even exact information reaches it, or if no rehearsal does.
    CertificationError
        If a sampled pilot run diverges.

    Notes
    -----
    Model and optimum: ``docs/theory.md`` section 8.
    """
    require_advisable(problem)
    require_callable("report", report)
    AdviceRequest(epsilon, schedules, inner_steps, initial_scale)
    chosen = [SCHEDULES[name] for name in dict.fromkeys(schedules)]
    couplings = list(dict.fromkeys(schedule.coupling for schedule in chosen))
    constants = measure_constants(
        problem, epsilon, initial_scale, list(dict.fromkeys(inner_steps)), couplings, report
    )
    plans = [
        plan_schedule(schedule, epsilon, constants, sample_costs(problem)) for schedule in chosen
    ]

    def run(plan: SchedulePlan) -> Rehearsal:
        return rehearse(plan, problem, epsilon, constants, initial_scale, report)

    plans, rehearsed = rehearse_cheapest(plans, run)
    if not any(plan.rehearsal == "met" for plan in plans):
        failed = " and ".join(
            f"{plan.schedule.id} with K = {plan.solver.inner_steps} and n up to "
            f"{plan.solver.trajectories}"
            for plan in plans
            if plan.rehearsal == "failed"
        )
        raise InvalidArgumentError(
            "epsilon",
            f"{epsilon:g}, at which the noise carries runs away from what exact information does: "
            f"more than one of {len(REHEARSAL_SEEDS)} sampled pilot runs missed it with {failed}",
            "pass a larger epsilon, larger inner_steps, or a smaller initial_scale",
        )
    return Advice(problem.name, epsilon, initial_scale, constants, tuple(plans), rehearsed)


def rehearse_cheapest(
    plans: Sequence[SchedulePlan], run: Callable[[SchedulePlan], Rehearsal]
) -> tuple[list[SchedulePlan], SampleCounts]:
    """Rehearse the cheapest plan, and the next one if the first ends dearer than it is said to be.

    Parameters
    ----------
    plans
        Plans of the model.
    run
        The rehearsal.

    Returns
    -------
    plans
        The same in the same order, one or two of them rehearsed.
    counts
        Samples drawn, all replicates together.
    """
    order = sorted(range(len(plans)), key=lambda index: plans[index].planned.samples)
    found, drawn = list(plans), SampleCounts()
    for place, index in enumerate(order[:2]):
        rehearsal = run(plans[index])
        found[index] = rehearsal.plan
        drawn += rehearsal.counts
        if place + 1 == len(order):
            break
        next_cost = plans[order[place + 1]].planned.samples
        if rehearsal.plan.rehearsal == "met" and rehearsal.plan.planned.samples <= next_cost:
            break
    return found, drawn


def require_advisable(problem: object) -> None:
    """Refuse what has no samples to save."""
    if not isinstance(problem, Problem):
        raise InvalidArgumentError(
            "problem",
            f"a {type(problem).__name__}",
            "pass a preference-learning problem, such as theory_check.problems.bandit(...): "
            "advice is about samples, and closed-form controls draw none",
        )
