"""Descent along the hypergradient in its Boltzmann form, which several methods share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import ResponseOracle
from theory_check.solvers.single_lower_descent import SingleLowerDescent
from theory_check.solvers.states import SingleLowerState
from theory_check.solvers.targets import EstimatesHypergradient


@dataclass(frozen=True)
class ResponseDescent(EstimatesHypergradient, SingleLowerDescent):
    """Along ``∂_x f`` plus the response of the optimum; ``trajectories`` are those of the response too.

    Parameters are those of :class:`SingleLowerDescent`.
    """

    separate_values: ClassVar[bool] = False

    def hypergradient_estimate(
        self, oracle: ResponseOracle, state: SingleLowerState
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
