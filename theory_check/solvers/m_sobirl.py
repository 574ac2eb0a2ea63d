"""M-SoBiRL: the model-based hypergradient of soft bilevel RL, with exact dynamics.

Source: Yang, Gao and Yuan, 2405.19697, and the authors' code. One loop, everything warm-started:

    w <- w - zeta A^T (A w - b),        A = (I - gamma P_pi)^T,   b = sum_{s,a} U_{s,a} b(s, a),
    x <- x - eta [ ∂_x f + (1/beta) ( sum b(s, a) ∂_x r(s, a) - (sum_a pi ∂_x r)^T w ) ],
    N steps of soft value iteration from the last values,

with ``b(s, a) = pi(a|s) ∂f/∂pi(a|s)`` and ``U_{s,a} = e_s - gamma P(.|s, a)`` (``docs/theory.md``
section 7.5, where the adjoint of section 2.3 is this system in another unknown). It needs the
dynamics: it is compared with exact information, and its calls are counted. As in the code N = 10;
zeta is tuned.

Stated rate: O(epsilon^-1) iterations (abstract).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import AdjointOracle, ContractionOracle, Information, InnerPath
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import EstimatesHypergradient, SingleLowerState

VALUE_ITERATIONS = 10
"""Soft value iterations of one outer iteration, as in the authors' code."""


@dataclass(frozen=True, eq=False)
class MSoBiRLState(SingleLowerState):
    """State of :class:`MSoBiRL`.

    Attributes
    ----------
    adjoint
        The solution w of the linear system so far; None before the first step.
    """

    adjoint: Float[Tensor, "replicate unknown"] | None = None


class ModelOracle(ContractionOracle, AdjointOracle, Protocol):
    """Soft value iteration, and the linear system of the response."""


@dataclass(frozen=True)
class MSoBiRL(EstimatesHypergradient, Settings):
    """Descend along the model-based hypergradient of soft bilevel RL (M-SoBiRL).

    Parameters
    ----------
    value_iterations
        Contractions N of the lower variable each iteration.
    adjoint_steps, adjoint_step_size
        Least-squares steps on the linear system each iteration, and their size ``zeta`` > 0.
    step_size
        ``eta`` > 0.
    """

    name: ClassVar[str] = "m-sobirl"
    information: ClassVar[Information] = "exact"

    value_iterations: PositiveInteger
    adjoint_steps: PositiveInteger
    adjoint_step_size: Positive
    step_size: Positive

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> MSoBiRLState:
        """Return the state before the first step."""
        return MSoBiRLState.start(upper, lower)

    def step(
        self, oracle: ModelOracle, state: MSoBiRLState, path: InnerPath | None = None
    ) -> MSoBiRLState:
        """Return the state after one iteration; ``path`` takes y before every contraction."""
        upper, lower = state.next_upper, state.lower
        for _ in range(self.value_iterations):
            if path is not None:
                path.append((lower, None))
            lower = oracle.contracted_lower(upper, lower)
        system = oracle.adjoint_system(upper, lower)
        adjoint = state.adjoint
        if adjoint is None:
            adjoint = system.right_hand_side.new_zeros(system.right_hand_side.shape)
        for _ in range(self.adjoint_steps):
            residual = system.apply(adjoint) - system.right_hand_side
            adjoint = adjoint - self.adjoint_step_size * system.apply_transposed(residual)
        inner = replace(state, upper=upper, lower=lower, adjoint=adjoint)
        estimate = system.hypergradient(adjoint)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: AdjointOracle, state: MSoBiRLState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the hypergradient with the adjoint of the state in the place of the solution."""
        assert state.adjoint is not None, "the first step starts the adjoint"
        return oracle.adjoint_system(state.upper, state.lower).hypergradient(state.adjoint)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = MSoBiRL(
        value_iterations=VALUE_ITERATIONS,
        adjoint_steps=1,
        adjoint_step_size=constants["adjoint_step_size"],
        step_size=constants["step_size"] * scales.outer_step,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="m-sobirl",
    title="M-SoBiRL",
    solver=MSoBiRL,
    constants={"step_size": (0.1, 0.3, 1.0, 2.0), "adjoint_step_size": (0.1, 0.2, 0.5, 1.0)},
    plan=_plan,
    rate=StatedRate(1.0, "iterations", "2405.19697, abstract", "V"),
)
