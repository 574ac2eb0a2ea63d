"""Bilevel problems whose every quantity is a formula: the controls of ``docs/theory.md`` section 6."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import visible
from theory_check.problems.gradient_noise import GaussianNoise, GradientNoise


@dataclass(frozen=True, eq=False)
class PenalisedMinimiser:
    """A minimiser of ``sigma f + g``, and whether it is one.

    Attributes
    ----------
    lower
        Shape (replicate, lower); NaN where there is none.
    certified
        Where it exists, shape (replicate,).
    """

    lower: Float[Tensor, "replicate lower"]
    certified: Bool[Tensor, " replicate"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClosedFormProblem(ABC):
    """``min_x f(x, y*(x))`` with ``y*(x)`` a minimiser of ``g(x, .)``, all in closed form.

    Attributes
    ----------
    name
        How the problem calls itself in tables.
    upper_parameters, lower_parameters
        Dimensions of x and y.
    noise
        Standard deviation of one sample of a gradient component; 0 for exact gradients.
    instruments
        Dotted name of the oracles of this kind of problem.
    """

    instruments: ClassVar[str] = "theory_check.oracles.closed_form.ClosedFormInstruments"

    name: str
    upper_parameters: int
    lower_parameters: int
    noise: float

    def __repr__(self) -> str:
        """Say on one line what it is, and leave out its tensors."""
        numbers = [
            f"{each.name} {value:g}"
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), int | float)
        ]
        return f"<{type(self).__name__} {visible(self.name)}: {', '.join(numbers)}>"

    @cached_property
    def gradient_noise(self) -> GradientNoise:
        """Errors of sampled gradients: normal, those of g with a part that is linear in y."""
        return GaussianNoise(
            self.noise, self.upper_parameters, self.lower_parameters, along_lower=True
        )

    @property
    def start(self) -> Float[Tensor, " upper"] | None:
        """Where every run starts, with its inner loops at their solutions; None for random starts."""
        return None

    @property
    @abstractmethod
    def optimal_hyperobjective(self) -> float:
        """``min Phi``."""

    @abstractmethod
    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""

    @abstractmethod
    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""

    @abstractmethod
    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x)``."""

    @abstractmethod
    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x)``."""

    @abstractmethod
    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``argmin_y sigma f + g``, the minimiser nearest the origin.

        NaN in replicates in which there is none, as there may be at a negative sigma.
        """

    @abstractmethod
    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y) - min g(x, .)``."""

    @abstractmethod
    def pull_back_through_minimiser(
        self, x: Float[Tensor, "replicate upper"], cotangent: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``(dy*/dx)^T cotangent`` at x."""

    @abstractmethod
    def implied_upper(
        self, y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return the x of least norm whose ``y*(x)`` is nearest to y: linear in y."""

    @abstractmethod
    def pull_back_through_implied_upper(
        self, cotangent: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of ``sum(cotangent * implied_upper(y))``."""

    @abstractmethod
    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∇²_xy g v, ∇²_yy g v)``."""

    def lower_minimiser(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return a minimiser of ``g(x, .)``: here the limit of the penalised one."""
        return self.penalised_minimiser(x, 0.0)

    def penalised(self, x: Float[Tensor, "replicate upper"], sigma: float) -> PenalisedMinimiser:
        """Return the penalised minimiser, and where it exists; sigma has either sign."""
        lower = self.penalised_minimiser(x, sigma)
        return PenalisedMinimiser(lower, torch.isfinite(lower).all(-1))

    def penalised_distance(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        sigma: float,
    ) -> Float[Tensor, " replicate"]:
        """Return the distance of y to ``argmin_y sigma f + g``: here the minimiser is unique."""
        distance: Tensor = (y - self.penalised_minimiser(x, sigma)).norm(dim=-1)
        return distance

    def surrogate_gradient(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma`` (``docs/theory.md`` section 3.2)."""
        penalised = self.penalised_minimiser(x, sigma)
        direct, _ = self.upper_gradients(x, penalised)
        pulled, _ = self.lower_gradients(x, penalised)
        free, _ = self.lower_gradients(x, self.lower_minimiser(x))
        return direct + (pulled - free) / sigma


class IdentityResponse(ClosedFormProblem):
    """A problem of which the lower level follows the upper variable: ``y*(x) = x``."""

    def pull_back_through_minimiser(
        self, x: Float[Tensor, "replicate upper"], cotangent: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return the cotangent, since ``y*(x) = x``."""
        return cotangent

    def implied_upper(
        self, y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return y."""
        return y

    def pull_back_through_implied_upper(
        self, cotangent: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return the cotangent."""
        return cotangent
