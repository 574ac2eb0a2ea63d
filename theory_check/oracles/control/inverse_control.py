"""Inverse soft control: the reward of a class whose optimal policy is nearest to a policy.

At an optimum, ``beta log(pi*_h / pi_ref) = r + gamma P V_{h+1} - V_h`` with ``V_H = 0``
(``docs/theory.md`` section 2.1): linear in the reward parameters and the unknown values together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models import RewardModel
from theory_check.models.linear_reward import LinearReward
from theory_check.oracles.control.soft_control import SoftControl

LINEAR_ALONE = "search linear rewards: the reward of a policy is read off by linear least squares"
"""What to do about a reward class that policies imply nothing of."""


@dataclass(frozen=True, eq=False)
class InverseControl:
    """Least squares over reward parameters and values, of least norm where they are not unique.

    Attributes
    ----------
    control
        The dynamics.
    solution
        Takes ``beta log(pi / pi_ref)``, flattened, to reward parameters, shape (parameter, h * s * a).
    """

    control: SoftControl
    solution: Float[Tensor, "parameter step"]

    @classmethod
    def of(cls, control: SoftControl, reward_model: RewardModel) -> InverseControl:
        """Prepare the inverse for a linear reward class.

        Raises
        ------
        InvalidArgumentError
            For other reward classes, in which the equations are not linear.
        """
        if not isinstance(reward_model, LinearReward):
            raise InvalidArgumentError(
                "reward",
                type(reward_model).__name__,
                LINEAR_ALONE,
            )
        steps, states, actions = control.policy_shape
        unknowns = reward_model.parameters + steps * states
        purpose = f"inverse soft control for {unknowns} unknowns"
        control.dynamics.require_room(purpose, steps * states * actions * unknowns)
        features = reward_model.features.flatten(0, 1).repeat(steps, 1)
        values = _value_columns(control)
        design = torch.cat([features, values], dim=1)
        if control.absent is not None:  # a policy says nothing there, and both sides are 0
            design = design.masked_fill(control.absent.reshape(-1, 1), 0.0)
        inverse = torch.linalg.pinv(design, rtol=1e-10)
        return cls(control, inverse[: features.shape[1]])

    def reward_parameters(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the parameters for each policy."""
        implicit = self.control.kl_weight * (log_policy - self.control.log_reference)
        return implicit.flatten(1) @ self.solution.T


def _value_columns(control: SoftControl) -> Float[Tensor, "step value"]:
    """Return the coefficients of ``V_h(s)`` in ``gamma P V_{h+1} - V_h``, one column each."""
    steps, states, actions = control.policy_shape
    own = torch.eye(states, dtype=control.initial.dtype, device=control.initial.device)
    own = own.repeat_interleave(actions, dim=0)
    kernel = control.onward.dense("inverse soft control").to(own.device)
    ahead = control.discount * kernel.flatten(0, 1)
    if control.rows_are_states:
        return ahead - own
    columns = own.new_zeros(steps, states * actions, steps, states)
    for step in range(steps):
        columns[step, :, step] = -own
        if step + 1 < steps:
            columns[step, :, step + 1] = ahead
    return columns.reshape(steps * states * actions, steps * states)
