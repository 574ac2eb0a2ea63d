"""State records that solvers share; every tensor leads with the replicate dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

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
