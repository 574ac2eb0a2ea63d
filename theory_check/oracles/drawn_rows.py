"""Sampled gradients that ask models for the rows of what was drawn, where that costs less."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling, LowerGradients, UpperGradients
from theory_check.models.base import ReadsRows
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.estimates.drawn_estimates import DrawnEstimates
from theory_check.oracles.estimates.drawn_walks import Walker
from theory_check.oracles.estimates.reading import Reading
from theory_check.oracles.estimates.sample_source import SampleSource
from theory_check.oracles.rlhf import RLHFOracle


class DrawnRowsOracle(RLHFOracle):
    """First-order information by rows or by tables, whichever ``reading`` says.

    What rests on tables of another kind, responses of the policy among them, is answered by tables.

    Attributes
    ----------
    reading
        What models are asked for.
    """

    reading: Reading
    _source: SampleSource

    @cached_property
    def drawn(self) -> DrawnEstimates:
        """The estimates by rows; only where ``reading`` has that way."""
        control, policies, rewards = self.control, self.policy_model, self.reward_model
        assert isinstance(control, LayeredControl)
        assert isinstance(policies, ReadsRows)
        assert isinstance(rewards, ReadsRows)
        return DrawnEstimates(Walker(control, policies), rewards, self._source)

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``-∇_lambda J``."""
        if not self.reading.by_rows(samples):
            return super().lower_gradient(upper, lower, samples)
        return -self.drawn.lower_scores(upper, lower, samples, "independent")

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``-∇_lambda J`` at ``lambda`` and ``lambda'``, in one stacked program."""
        if not self.reading.by_rows(samples):
            return super().lower_gradients(upper, lower, penalised, samples, coupling)
        both = torch.cat([lower, penalised])
        first, second = (-self.drawn.lower_scores(upper, both, samples, coupling)).chunk(2)
        return LowerGradients(at_lower=first, at_penalised=second)

    def lower_gradient_change(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        earlier_upper: Float[Tensor, "replicate upper"],
        earlier_lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> LowerGradients:
        """Return ``-∇_lambda J`` at two points, from one batch that is reweighted for the second."""
        if not self.reading.by_rows(samples):
            return super().lower_gradient_change(
                upper, lower, earlier_upper, earlier_lower, samples
            )
        uppers, both = torch.cat([upper, earlier_upper]), torch.cat([lower, earlier_lower])
        now, earlier = (-self.drawn.lower_scores(uppers, both, samples, "shared")).chunk(2)
        return LowerGradients(at_lower=now, at_penalised=earlier)

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∇_phi G`` and ``∇_lambda G``."""
        if not self.reading.by_rows(2 * samples):
            return super().upper_gradients(upper, lower, samples)
        return self.drawn.upper(upper, lower, samples)

    def upper_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇_phi G``: labelled pairs whose law is not differentiated."""
        if not self.reading.by_rows(2 * samples):
            return super().upper_gradient(upper, lower, samples)
        return self.drawn.preference_gradient(upper, lower, samples)

    def penalty_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_phi J(lambda) - ∂_phi J(lambda')``."""
        if not self.reading.by_rows(samples):
            return super().penalty_difference(upper, lower, penalised, samples, coupling)
        both = torch.cat([lower, penalised])
        return self.drawn.visit_difference(upper, both, samples, coupling)
