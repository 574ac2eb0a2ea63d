"""Settings side by side: every replicate does what it does alone, for each solver that can be stacked."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import plateau, quadratic, valley
from theory_check.solvers import PenaltyBilevel
from theory_check.solvers.method import Scales
from theory_check.solvers.stacked import can_be_stacked, join, same_program, stack

SEEDS = [11, 4, 7]
SCALES = Scales(outer_step=0.3, inner_step=0.5, kl_weight=1.0, sigma=1.0, batch=20.0)
STACKABLE = sorted(
    {method.solver for method in installed().methods.values() if can_be_stacked(method.solver)},
    key=lambda solver: solver.__name__,
)


def configured(solver: type, factor: float) -> object:
    """Return a solver with all of its stackable settings multiplied by ``factor``."""
    plan = next(
        method.configure(0.1, method.grid[0], SCALES)
        for method in installed().methods.values()
        if method.solver is solver
    )
    found = plan.solver
    changes = {}
    for name in solver.stackable:  # type: ignore[attr-defined]
        value = getattr(found, name)
        changes[name] = round(value / factor) + 1 if isinstance(value, int) else value * factor
    return replace(found, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("solver", STACKABLE)
@pytest.mark.parametrize("problem", [plateau(), valley(), quadratic()], ids=lambda each: each.name)
def test_replicates_of_a_stacked_solver_do_what_they_do_alone(
    solver: type, problem: object
) -> None:
    settings = [configured(solver, factor) for factor in (1.0, 0.6, 0.25)]
    together = instruments_for(problem, SEEDS * 3)
    alone = [instruments_for(problem, SEEDS) for _ in settings]
    assert together.differing_batches
    states = [
        tools.initial_state(each, SEEDS, 0.5)  # type: ignore[arg-type]
        for tools, each in zip(alone, settings, strict=True)
    ]
    stacked, state = stack(settings, len(SEEDS)), join(states)
    for _ in range(4):
        state = stacked.step(together.sampled, state)  # type: ignore[attr-defined]
        states = [
            each.step(tools.sampled, at)  # type: ignore[attr-defined]
            for each, tools, at in zip(settings, alone, states, strict=True)
        ]
    expected = join(states)
    for field in fields(expected):
        torch.testing.assert_close(
            getattr(state, field.name), getattr(expected, field.name), rtol=1e-12, atol=1e-14
        )
    counts = np.repeat([tools.sampled.counts.samples for tools in alone], len(SEEDS))
    np.testing.assert_array_equal(together.sampled.counts.samples, counts)
    assert len(np.unique(counts)) == len(settings)


def test_there_is_a_solver_to_stack() -> None:
    assert PenaltyBilevel in STACKABLE


def test_settings_of_several_programs_are_refused() -> None:
    first = PenaltyBilevel(0.1, 2, 0.5, 0.1, 10, 10)
    assert same_program(first) == same_program(replace(first, sigma=0.2, pairs=7))
    for change in ({"inner_steps": 3}, {"coupling": "shared"}):
        other = replace(first, **change)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="solvers: received settings of several"):
            stack([first, other], 2)


def test_a_budget_holds_for_every_replicate_of_differing_batches() -> None:
    problem = plateau()
    solvers = [PenaltyBilevel(0.1, 1, 0.5, 0.1, n, n) for n in (10, 100)]
    tools = instruments_for(problem, [3, 3], sample_budget=500)
    state = join([tools.initial_state(each, [3], 1.0) for each in solvers])
    stacked = stack(solvers, 1)
    with pytest.raises(SampleBudgetExhausted, match="sample_budget: 500 allows no further"):
        stacked.step(tools.sampled, state)


def test_trade_offs_name_constants_of_the_method() -> None:
    method = installed().methods["penalty"]
    with pytest.raises(InvalidArgumentError, match=r"trade_offs: received \['sigmas'\]"):
        replace(method, trade_offs=(("sigmas", "batch"),))
