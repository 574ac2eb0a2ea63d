"""What a hypergradient and an outer iteration cost, both ways, against horizon, states and atoms.

``make cost-figure``. Processor time of one core, median and range of several calls in one process; slopes
are those of the logarithms over the larger half of each range. A measurement of this machine: no claim
rests on it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.instruments import instruments_for
from theory_check.plotting import STYLE, column_figure, legend_below, problem_styles
from theory_check.problems import Problem, bandit, garnet
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

CALLS = 5
LONGEST = 4.0
"""Seconds of a call from which on larger sizes of its curve are left out."""

SEEDS = range(16)
SOLVER = PenaltyBilevel(0.1, 3, 0.5, 0.1, trajectories=1000, pairs=1000)


@dataclass(frozen=True)
class Curve:
    """Seconds against a size.

    Attributes
    ----------
    label
        What was timed.
    sizes, seconds
        Of equal length, sizes ascending; medians.
    ranges
        Least and most of several calls at every size.
    """

    label: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    ranges: tuple[tuple[float, float], ...]

    @property
    def slope(self) -> float:
        """Slope of the logarithms over the larger half."""
        half = len(self.sizes) // 2
        return float(np.polyfit(np.log(self.sizes[half:]), np.log(self.seconds[half:]), 1)[0])


def timed(call: Callable[[], object]) -> tuple[float, float, float]:
    """Return the least, the median and the most processor time of a call, the first one left out."""
    call()
    taken = []
    for _ in range(CALLS):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken), float(np.median(taken)), max(taken)


def curve(
    label: str, sizes: Sequence[int], call_at: Callable[[int], Callable[[], object]]
) -> Curve:
    """Return the curve of one way, up to where it takes too long."""
    found: list[tuple[float, float, float]] = []
    for size in sizes:
        found.append(timed(call_at(size)))
        if found[-1][1] > LONGEST:
            break
    least, medians, most = zip(*found, strict=True)
    return Curve(label, tuple(sizes[: len(found)]), medians, tuple(zip(least, most, strict=True)))


def hypergradient(problem: Problem, way: str) -> Callable[[], object]:
    """Return one hypergradient at a random point."""
    exact = ExactOracle(problem, way=way, enumeration_budget=10**5)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    phi = torch.randn(1, problem.parameters, dtype=torch.float64, generator=generator)
    return lambda: exact.hypergradient(phi)


def iteration(problem: Problem, budget: int) -> Callable[[], object]:
    """Return one outer iteration of 16 seeds, K = 3 and n = B = 1000, counted or followed."""
    instruments = instruments_for(problem, SEEDS, enumeration_budget=budget)
    state = instruments.initial_state(SOLVER, SEEDS, 0.5)
    return lambda: SOLVER.step(instruments.sampled, state)


def long(horizon: int, states: int = 3, actions: int = 2) -> Problem:
    """Return a Garnet of two successors."""
    return garnet(states=states, actions=actions, horizon=horizon, features=4)


def panels() -> dict[str, list[Curve]]:
    """Return the curves of every panel, by the label of its size."""
    horizons, short = (1, 2, 4, 8, 16, 32, 64, 128), (1, 2, 3, 4, 5, 6)
    atoms, few = (100, 300, 1000, 3000, 10**4, 10**5, 10**6), (100, 300, 1000, 3000, 10**4)

    def many(actions: int) -> Problem:
        return bandit(contexts=1, actions=actions, features=4)

    return {
        "horizon H (3 states, 2 actions)": [
            curve("hypergradient, pairs", short, lambda h: hypergradient(long(h), "pairs")),
            curve("hypergradient, steps", horizons, lambda h: hypergradient(long(h), "steps")),
            curve("outer iteration, counted", short, lambda h: iteration(long(h), 10**5)),
            curve("outer iteration, followed", horizons, lambda h: iteration(long(h), 1)),
        ],
        "states S (4 actions, 20 steps)": [
            curve(
                "hypergradient, steps",
                (5, 10, 20, 50, 100, 200, 400),
                lambda s: hypergradient(long(20, s, 4), "steps"),
            ),
            curve(
                "outer iteration, followed",
                (5, 10, 20, 50, 100, 200, 400),
                lambda s: iteration(long(20, s, 4), 1),
            ),
        ],
        "atoms N (one step)": [
            curve("hypergradient, pairs", few, lambda n: hypergradient(many(n), "pairs")),
            curve("hypergradient, outcomes", atoms, lambda n: hypergradient(many(n), "outcomes")),
        ],
    }


def draw(found: dict[str, list[Curve]]) -> Figure:
    """Draw a panel for every size, with slopes in the legend and a line of slope 1."""
    figure, panels_of = column_figure(rows=len(found), row_height=2.9)
    styles = problem_styles(sorted({each.label for curves in found.values() for each in curves}))
    for axes, (size, curves) in zip(panels_of, found.items(), strict=True):
        for drawn in curves:
            style = styles[drawn.label]
            medians, ranges = np.array(drawn.seconds), np.array(drawn.ranges).T
            axes.errorbar(
                drawn.sizes,
                medians,
                yerr=np.abs(ranges - medians),
                capsize=1.5,
                color=style.colour,
                marker=style.marker,
                label=f"{drawn.label}: {drawn.slope:.2f}",
            )
        longest = max(curves, key=lambda each: each.sizes[-1])
        ends = np.array([longest.sizes[0], longest.sizes[-1]], dtype=float)
        line = 3 * longest.seconds[-1] * ends / ends[-1]
        axes.plot(ends, line, color="0.35", linestyle=":", linewidth=1.3)
        axes.annotate("linear", (ends[1], line[1]), ha="right", va="bottom", fontsize=6.5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(size)
        axes.set_ylabel("processor time, s")
        legend_below(axes, "median and range of 5 calls; slope over the larger half")
    panels_of[0].set_title("What is exact, and an iteration, cost", loc="left", fontsize=7.5)
    return figure


if __name__ == "__main__":
    with mpl.rc_context(STYLE):
        draw(panels()).savefig(Path(sys.argv[1]), dpi=200, bbox_inches="tight")
