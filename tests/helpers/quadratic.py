"""A bilevel problem in closed form whose lower Hessian is rank-deficient (docs/theory.md 6.1).

f(x, y) = |x - a|^2 / 2 + |y - b|^2 / 2          g(x, y) = |A y - C x|^2 / 2
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from theory_check.bilevel import Coupling, LowerGradients, UpperGradients


@dataclass
class QuadraticOracle:
    """Exact gradients of both levels; remembers what it was asked for."""

    calls: list[tuple[str, int, str | None]] = field(default_factory=list)

    # A has rank 2: its third row is the sum of the first two, and (1, 1, -1) is a null direction.
    A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0]]).double() / 2
    C = torch.tensor([[1.0, 0.5], [-0.3, 1.0], [0.2, 0.4]]).double()
    a = torch.tensor([0.5, -1.0]).double()
    b = torch.tensor([1.0, 0.2, -0.7]).double()

    def in_lower(self, upper: Tensor, lower: Tensor) -> Tensor:
        return (lower @ self.A.T - upper @ self.C.T) @ self.A

    def in_upper(self, upper: Tensor, lower: Tensor) -> Tensor:
        return -(lower @ self.A.T - upper @ self.C.T) @ self.C

    def lower_gradient(self, upper: Tensor, lower: Tensor, samples: int) -> Tensor:
        self.calls.append(("lower", samples, None))
        return self.in_lower(upper, lower)

    def lower_gradients(
        self, upper: Tensor, lower: Tensor, penalised: Tensor, samples: int, coupling: Coupling
    ) -> LowerGradients:
        self.calls.append(("lower pair", samples, coupling))
        return LowerGradients(self.in_lower(upper, lower), self.in_lower(upper, penalised))

    def upper_gradients(self, upper: Tensor, lower: Tensor, samples: int) -> UpperGradients:
        self.calls.append(("upper", samples, None))
        return UpperGradients(in_upper=upper - self.a, in_lower=lower - self.b)

    def penalty_difference(
        self, upper: Tensor, lower: Tensor, penalised: Tensor, samples: int, coupling: Coupling
    ) -> Tensor:
        self.calls.append(("difference", samples, coupling))
        return self.in_upper(upper, penalised) - self.in_upper(upper, lower)

    def penalised_minimiser(self, upper: Tensor, sigma: float) -> Tensor:
        """Return ``argmin_y sigma f + g = (A^T A + sigma I)^{-1} (A^T C x + sigma b)``."""
        system = self.A.T @ self.A + sigma * torch.eye(3, dtype=torch.float64)
        return torch.linalg.solve(system, (upper @ self.C.T @ self.A + sigma * self.b).T).T

    def penalised_value(self, upper: Tensor, sigma: float) -> Tensor:
        """Return ``Phi_sigma`` of section 3.1, by values alone."""
        lower = self.penalised_minimiser(upper, sigma)
        least = torch.linalg.lstsq(self.A, (upper @ self.C.T).T, driver="gelsd").solution.T

        def g(y: Tensor) -> Tensor:
            return (y @ self.A.T - upper @ self.C.T).square().sum(-1) / 2

        f = ((upper - self.a).square().sum(-1) + (lower - self.b).square().sum(-1)) / 2
        return f + (g(lower) - g(least)) / sigma

    def penalised_gradient(self, upper: Tensor, sigma: float) -> Tensor:
        """Return ``∇Phi_sigma``; ``C^T (I - A A^†) C x`` is what every minimiser of g leaves."""
        outside = torch.eye(3, dtype=torch.float64) - self.A @ torch.linalg.pinv(self.A)
        at_least = upper @ (self.C.T @ outside @ self.C)
        difference = self.in_upper(upper, self.penalised_minimiser(upper, sigma)) - at_least
        return upper - self.a + difference / sigma
