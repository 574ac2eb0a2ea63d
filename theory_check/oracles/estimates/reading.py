"""Whether models are asked for whole tables, or for the rows of what was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from theory_check.errors import InvalidArgumentError, require_choice
from theory_check.models.base import PolicyModel, ReadsRows, RewardModel
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl

Read = Literal["auto", "table", "rows"]
"""What models are asked for: what costs less, whole tables, or the rows of what was drawn."""


@dataclass(frozen=True)
class Reading:
    """What an oracle's models are asked for.

    Attributes
    ----------
    read
        As it was chosen.
    states
        Rows of a policy's table.
    steps
        States of a trajectory.
    possible
        Whether there is a way by rows.
    """

    read: Read
    states: int
    steps: int
    possible: bool

    @classmethod
    def of(
        cls, read: Read, control: SoftControl, reward: RewardModel, policy: PolicyModel
    ) -> Reading:
        """Return that of a problem's control and models.

        Raises
        ------
        InvalidArgumentError
            For no such choice, or rows where a model has tables alone or states belong to no step.
        """
        require_choice("read", read, get_args(Read))
        layered = isinstance(control, LayeredControl)
        possible = layered and isinstance(reward, ReadsRows) and isinstance(policy, ReadsRows)
        if read == "rows" and not possible:
            missing = [
                f"a {kind} class of whole tables"
                for kind, model in (("reward", reward), ("policy", policy))
                if not isinstance(model, ReadsRows)
            ]
            if not layered:
                missing.append("states that belong to no step")
            raise InvalidArgumentError(
                "read",
                f"'rows' with {' and '.join(missing)}",
                "pass 'auto' or 'table', or transformers as both classes, on a problem of sequences",
            )
        steps = len(control.layers) if isinstance(control, LayeredControl) else 1
        return cls(read, control.policy_shape[1], steps, possible)

    def by_rows(self, trajectories: int) -> bool:
        """Return whether so many trajectories of each policy are drawn by rows.

        They cost less until trajectories pass as many states as the table has (``docs/performance.md``).
        """
        if not self.possible or self.read == "table":
            return False
        return self.read == "rows" or trajectories * self.steps <= self.states
