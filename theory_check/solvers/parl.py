"""PARL: the implicit hypergradient, with a linear solve in the Hessian of the lower level.

Source: Chakraborty et al., 2308.02585 (A-PARL). K policy gradient steps, then

    v ~ [∇²_yy g]^-1 ∂_y f,      estimate = ∂_x f - ∇²_xy g v,

then ``x <- x - eta estimate`` with constant steps. Its text was not available beyond the
abstract; the form above is the implicit function formula of ``docs/theory.md`` section 2.5, which
it is known for.

Stated rate: "sample complexity bounds of order O(1/T)" (abstract), which counts outer iterations
of the averaged squared gradient, hence O(epsilon^-1) of them; trajectories are not counted. Left
open here: batches, which grow like 1/epsilon, as an unbiased estimate of order epsilon needs.

Products with second derivatives are differences of reweighted policy gradients, ``(∂_y g(x, y + t
v) - ∂_y g(x, y - t v)) / 2 t`` with the same batch at both ends, whose limit is the
score-function estimator of the Hessian. The solve is Richardson's iteration ``v <- v - rho (∇²_yy
g v - ∂_y f)``, every product with a batch of its own, so that the mean of the estimate is that of
the truncated series with exact information; tabular softmax has null directions, along which
neither side has a component (``docs/theory.md`` section 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import FirstOrderOracle
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import EstimatesHypergradient, SingleLowerDescent, SingleLowerState

DIFFERENCE = 1e-4
"""Largest change of a lower parameter in a difference quotient.

The quotient is central, so that its relative error is of order 1e-8; rounding adds 1e-12.
"""


@dataclass(frozen=True)
class PARL(EstimatesHypergradient, SingleLowerDescent):
    """Implicit differentiation through a policy optimum.

    Parameters
    ----------
    solve_steps, solve_step_size
        Steps J of the linear solve, and their size ``rho`` > 0; the others are those of
        :class:`SingleLowerDescent`, ``trajectories`` also those of both ends of every product.
    """

    name: ClassVar[str] = "parl"

    solve_steps: PositiveInteger
    solve_step_size: Positive

    def hypergradient_estimate(
        self, oracle: FirstOrderOracle, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f - ∇²_xy g v`` from fresh samples."""
        gradients = oracle.upper_gradients(state.upper, state.lower, self.pairs)
        solution = self.solve_step_size * gradients.in_lower
        for _ in range(self.solve_steps - 1):
            product = self._curvature(oracle, state, solution)
            solution = solution - self.solve_step_size * (product - gradients.in_lower)
        return gradients.in_upper - self._cross_curvature(oracle, state, solution)

    def _curvature(
        self, oracle: FirstOrderOracle, state: SingleLowerState, vector: Tensor
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∇²_yy g v``."""
        ends, width = _ends(state.lower, vector)
        slopes = [
            oracle.lower_gradients(state.upper, state.lower, end, self.trajectories, "shared")
            for end in ends
        ]
        ahead, behind = (slope.at_penalised - slope.at_lower for slope in slopes)
        return (ahead - behind) / width

    def _cross_curvature(
        self, oracle: FirstOrderOracle, state: SingleLowerState, vector: Tensor
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇²_xy g v``."""
        ends, width = _ends(state.lower, vector)
        ahead, behind = (
            oracle.penalty_difference(state.upper, state.lower, end, self.trajectories, "shared")
            for end in ends
        )
        return (ahead - behind) / width


def _ends(
    lower: Tensor, vector: Float[Tensor, "replicate lower"]
) -> tuple[list[Tensor], Float[Tensor, "replicate 1"]]:
    """Return the two ends of a difference quotient along ``vector``, and their distance."""
    size = vector.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(vector.dtype).tiny)
    step = DIFFERENCE / size
    return [lower + step * vector, lower - step * vector], 2 * step


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.response_batch(epsilon / constants["batch"])
    solver = PARL(
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=scales.inner_step,
        solve_steps=whole(constants["solve_steps"]),
        solve_step_size=scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="parl",
    title="PARL",
    solver=PARL,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (2.0, 10.0),
        "solve_steps": (4.0, 12.0),
        "batch": (0.0625, 0.5),
    },
    plan=_plan,
    rate=StatedRate(1.0, "iterations", "2308.02585, abstract", "V"),
)
