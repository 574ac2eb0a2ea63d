"""Policies whose logits are linear in a state's observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from theory_check.errors import require_table
from theory_check.models.base import ModelInputs, PolicyClass
from theory_check.models.network_policy import NetworkPolicy
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.settings import NonNegative


@dataclass(frozen=True)
class LogLinear(PolicyClass):
    """Log-linear policies: ``pi_h(a|s)`` proportional to ``pi_ref_h(a|s) exp(w_h,a . x(s))``.

    Every step has its own weights, so that with indicators of the states as observations this is
    the tabular class. There is no constant term; put a constant into the observations for one.

    Parameters
    ----------
    output_scale
        Weights start with standard deviation ``output_scale / sqrt(steps * observation)``; with 0,
        runs start at the reference policy.

    Raises
    ------
    InvalidArgumentError
        Naming the setting, its value and the remedy.
    """

    name: ClassVar[str] = "log-linear"

    output_scale: NonNegative = 0.0

    def bind(self, inputs: ModelInputs) -> NetworkPolicy:
        """Return the model of this class on a problem's steps, states and actions."""
        reference = inputs.log_reference
        horizon = reference.shape[0]
        require_table("horizon", horizon, horizon**2 * inputs.observations.numel())
        steps = torch.eye(horizon).to(inputs.observations)
        rows = torch.kron(steps, inputs.observations)
        network = StackedMLP(rows, (), reference.shape[-1], biased=False)
        return NetworkPolicy(network, reference, weight_scale=1.0, output_scale=self.output_scale)
