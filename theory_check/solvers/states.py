"""State records that solvers share; every tensor leads with the replicate dimension."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    BilevelTruth,
    FirstOrderOracle,
    HypergradientOracle,
    ImplicitDataOracle,
    ImplicitUpperOracle,
    Information,
    InnerPath,
    LowerOracle,
    PenaltyLoop,
    SolverState,
    data_shortcut,
    lower_shortcut,
    penalty_shortcut,
)
from theory_check.settings import Positive, PositiveInteger, Settings


class EstimatesHypergradient:
    """A solver whose estimate tends to ``∇Phi`` itself as its inner loop converges."""

    penalty: ClassVar[None] = None

    def surrogate_gradient(
        self, truth: BilevelTruth, state: SolverState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``."""
        return truth.hypergradient(state.upper)


class CountsIterations(SolverState, Protocol):
    """A state that knows how many iterations led to it."""

    @property
    def iteration(self) -> int:
        """Iterations so far."""
        ...


class FallingPenalty(ABC):
    """A solver whose estimate follows ``Phi_sigma`` with a sigma that falls with the iterations."""

    penalty: ClassVar[None] = None

    @abstractmethod
    def sigma_at(self, iteration: int) -> float:
        """Return sigma after a number of iterations."""

    def surrogate_gradient(
        self, truth: BilevelTruth, state: CountsIterations
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma`` at the sigma of the iteration that formed the estimate."""
        return truth.surrogate_gradient(state.upper, self.sigma_at(max(state.iteration - 1, 0)))


@dataclass(frozen=True)
class InnerLoopSettings(Settings):
    """Settings of solvers that take steps on ``g(x, .)`` from samples, and then one of x.

    Parameters
    ----------
    inner_steps, inner_step_size
        Policy gradient steps K of each outer iteration, and their size ``alpha`` > 0.
    step_size
        ``eta`` > 0 of x.
    trajectories
        Lower-level samples n of every lower gradient.
    pairs
        Upper-level samples B of the upper gradients.
    """

    information: ClassVar[Information] = "samples"

    inner_steps: PositiveInteger
    inner_step_size: Positive
    step_size: Positive
    trajectories: PositiveInteger
    pairs: PositiveInteger


@dataclass(frozen=True)
class SingleLowerDescent(InnerLoopSettings, ABC):
    """Inner steps on ``g(x, .)``, then one step of x along the estimate that a subclass defines.

    Parameters are those of :class:`InnerLoopSettings`.
    """

    penalty: ClassVar[None] = None

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SingleLowerState:
        """Return the state before the first step."""
        return SingleLowerState.start(upper, lower)

    def step(
        self, oracle: LowerOracle, state: SingleLowerState, path: InnerPath | None = None
    ) -> SingleLowerState:
        """Return the state after one outer iteration; ``path`` takes y before every inner step."""
        upper = state.next_upper
        lower = descend_lower(
            oracle,
            upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
            path=path,
        )
        inner = replace(state, upper=upper, lower=lower)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    # Any: each subclass declares what it asks for beside the lower gradients of ``step``.
    @abstractmethod
    def hypergradient_estimate(
        self, oracle: Any, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the estimate at the state's iterates, from fresh samples."""


# Not Self: the type checker of the tests looks at methods, not at classes.
Single = TypeVar("Single", bound="SingleLowerState")
Penalised = TypeVar("Penalised", bound="PenaltyState")


@dataclass(frozen=True, eq=False)
class SingleLowerState:
    """State of a solver with one lower variable, after an outer iteration.

    Attributes
    ----------
    upper, next_upper
        ``x_t`` where the estimate was formed, and ``x_{t+1}``, shape (replicate, upper).
    lower
        ``y`` that belongs to ``x_t``, shape (replicate, lower).
    estimate
        The hypergradient estimate the step used, shape (replicate, upper).
    lower_penalised
        None: there is no penalised variable.
    """

    upper: Float[Tensor, "replicate upper"]
    next_upper: Float[Tensor, "replicate upper"]
    lower: Float[Tensor, "replicate lower"]
    estimate: Float[Tensor, "replicate upper"]
    lower_penalised: None = None

    @classmethod
    def start(
        cls: type[Single],
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Single:
        """Return the state before the first step."""
        return cls(
            upper=upper, next_upper=upper, lower=lower, estimate=upper.new_zeros(upper.shape)
        )


@dataclass(frozen=True, eq=False)
class PenaltyState:
    """State of a penalty method after an outer iteration.

    Attributes
    ----------
    upper, next_upper
        ``x_t`` where the estimate was formed, and ``x_{t+1}``, shape (replicate, upper).
    lower, lower_penalised
        ``y`` and ``y'`` that belong to ``x_t``, shape (replicate, lower).
    estimate
        The hypergradient estimate the step used, shape (replicate, upper).
    """

    upper: Float[Tensor, "replicate upper"]
    next_upper: Float[Tensor, "replicate upper"]
    lower: Float[Tensor, "replicate lower"]
    lower_penalised: Float[Tensor, "replicate lower"]
    estimate: Float[Tensor, "replicate upper"]

    @classmethod
    def start(
        cls: type[Penalised],
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Penalised:
        """Return the state before the first step, both lower variables at ``lower``."""
        return cls(
            upper=upper,
            next_upper=upper,
            lower=lower,
            lower_penalised=lower,
            estimate=upper.new_zeros(upper.shape),
        )


@dataclass(frozen=True)
class PolicySettings(Settings):
    """Settings of methods that move a policy and have no upper variable of their own.

    Parameters
    ----------
    step_size
        ``alpha`` > 0 of the policy parameters.
    pairs
        Labelled pairs B of every iteration.
    """

    information: ClassVar[Information] = "samples"
    penalty: ClassVar[None] = None

    step_size: Positive
    pairs: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SingleLowerState:
        """Return the state before the first step; the start of the upper variable is not used."""
        return SingleLowerState.start(upper, lower)

    def hypergradient_estimate(self, oracle: object, state: SingleLowerState) -> None:
        """None: the change of the implied reward takes the place of an estimate, and is none."""
        return


def moved_policy(
    oracle: ImplicitUpperOracle,
    state: SingleLowerState,
    lower: Float[Tensor, "replicate lower"],
) -> SingleLowerState:
    """Return the state of a method without an upper variable of its own, whose y has moved to ``lower``.

    The upper variable is the one that y implies, read off for the table only; its change takes the
    place of an estimate.
    """
    following = oracle.implied_upper(lower)
    return replace(
        state,
        upper=state.next_upper,
        lower=lower,
        estimate=state.next_upper - following,
        next_upper=following,
    )


def descend_lower(
    oracle: LowerOracle,
    upper: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    *,
    steps: int,
    step_size: float,
    samples: int,
    path: InnerPath | None = None,
    penalised: Float[Tensor, "replicate lower"] | None = None,
) -> Float[Tensor, "replicate lower"]:
    """Return ``y`` after gradient steps on ``g(x, .)``: for RLHF, policy gradient ascent of J.

    ``path`` takes y before every step, beside a ``penalised`` that stands still. An oracle may have a
    shortcut.
    """
    shortcut = lower_shortcut(oracle)
    if shortcut is not None:
        told: list[Tensor] | None = None if path is None else []
        found = shortcut.lower_descent(
            upper, lower, steps=steps, step_size=step_size, samples=samples, path=told
        )
        if found is not None:
            if path is not None and told is not None:
                path.extend((point, penalised) for point in told)
            return found
    for _ in range(steps):
        if path is not None:
            path.append((lower, penalised))
        lower = lower - step_size * oracle.lower_gradient(upper, lower, samples)
    return lower


def descend_implied(
    oracle: ImplicitDataOracle,
    lower: Float[Tensor, "replicate lower"],
    data: Float[Tensor, "replicate winner loser"],
    *,
    steps: int,
    step_size: float,
) -> Float[Tensor, "replicate lower"]:
    """Return ``y`` after gradient steps on the loss of the implied upper variable on a data set.

    An oracle may have a shortcut.
    """
    shortcut = data_shortcut(oracle)
    if shortcut is not None:
        found = shortcut.implicit_data_descent(lower, data, steps=steps, step_size=step_size)
        if found is not None:
            return found
    for _ in range(steps):
        lower = lower - step_size * oracle.implicit_data_gradient(lower, data)
    return lower


def descend_both(
    oracle: FirstOrderOracle,
    upper: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    penalised: Float[Tensor, "replicate lower"],
    loop: PenaltyLoop,
    path: InnerPath | None = None,
) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]]:
    """Return ``y`` and ``y'`` after gradient steps on ``g(x, .)`` and on ``sigma f(x, .) + g(x, .)``.

    Of a central difference those of ``y`` are on ``g(x, .) - sigma f(x, .)``. ``path`` takes both before
    every step. An oracle may have a shortcut.
    """
    shortcut = penalty_shortcut(oracle)
    if shortcut is not None:
        found = shortcut.penalty_descent(upper, lower, penalised, loop, path)
        if found is not None:
            return found
    for _ in range(loop.steps):
        if path is not None:
            path.append((lower, penalised))
        gradients = oracle.lower_gradients(
            upper, lower, penalised, loop.trajectories, loop.coupling
        )
        pull = oracle.upper_gradients(upper, penalised, loop.pairs).in_lower
        at_lower = gradients.at_lower
        if loop.difference == "central":
            pushed = oracle.upper_gradients(upper, lower, loop.pairs).in_lower
            at_lower = at_lower - loop.sigma * pushed
        lower = lower - loop.step_size * at_lower
        penalised = penalised - loop.step_size * (gradients.at_penalised + loop.sigma * pull)
    return lower, penalised


def penalty_estimate(
    oracle: FirstOrderOracle, state: PenaltyState, loop: PenaltyLoop
) -> Float[Tensor, "replicate upper"]:
    """Return ``∂_x f(x, y') + (∂_x g(x, y') - ∂_x g(x, y)) / sigma``, or the central difference.

    An oracle may have a shortcut.
    """
    upper, lower, penalised = state.upper, state.lower, state.lower_penalised
    shortcut = penalty_shortcut(oracle)
    if shortcut is not None:
        found = shortcut.penalty_estimate(upper, lower, penalised, loop)
        if found is not None:
            return found
    direct, width = oracle.upper_gradients(upper, penalised, loop.pairs).in_upper, loop.sigma
    if loop.difference == "central":
        below = oracle.upper_gradients(upper, lower, loop.pairs).in_upper
        direct, width = (direct + below) / 2, 2 * loop.sigma
    difference = oracle.penalty_difference(
        upper, lower, penalised, loop.trajectories, loop.coupling
    )
    estimate: Tensor = direct + difference / width
    return estimate


@dataclass(frozen=True)
class ResponseDescent(EstimatesHypergradient, SingleLowerDescent):
    """Along ``∂_x f`` plus the response of the optimum; ``trajectories`` are those of the response too.

    Parameters are those of :class:`SingleLowerDescent`.
    """

    separate_values: ClassVar[bool] = False

    def hypergradient_estimate(
        self, oracle: HypergradientOracle, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f`` plus the response at y, from fresh samples."""
        total = oracle.total_gradient(
            state.upper,
            state.lower,
            self.pairs,
            self.trajectories,
            separate_values=self.separate_values,
        )
        return total.direct + total.response
