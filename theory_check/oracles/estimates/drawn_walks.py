"""Trajectories drawn step by step from the rows of a policy where they are, and from no others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.kernels.drawn_walks import first_states, next_states, taken_actions
from theory_check.kernels.walks import next_states_of, starts_of
from theory_check.models.base import ReadsRows
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.estimates.kernel_inputs import as_array


@dataclass(frozen=True, eq=False)
class Walks:
    """Trajectories of some policies, and what policies say of the states on them.

    Where two policies read what one of them drew, they are stacked: all replicates of the one that was
    followed come first.

    Attributes
    ----------
    policies
        Parameters of the policies that read, shape (read, parameter).
    index
        The states that each reads, step by step, shape (read, step * trajectory).
    rows
        Their log-probabilities, shape (read, step * trajectory, a).
    actions
        What was taken, shape (followed, step, trajectory).
    """

    policies: Float[Tensor, "read parameter"]
    index: Int[Tensor, "read row"]
    rows: Float[Tensor, "read row a"]
    actions: Int[Tensor, "followed step trajectory"]

    @cached_property
    def pairs(self) -> Int[Tensor, "read row"]:
        """Numbers of the pairs of state and action on the way."""
        return self.index * self.rows.shape[2] + self._taken.flatten(1)

    @cached_property
    def log_taken(self) -> Float[Tensor, "read step trajectory"]:
        """Log-probabilities of the actions that were taken."""
        return self.rows.gather(2, self._taken.flatten(1)[..., None]).view(self._taken.shape)

    @cached_property
    def log_ratio(self) -> Float[Tensor, "followed trajectory"]:
        """``log(rho_wanted / rho_followed)`` of two policies that read the same."""
        followed, wanted = self.log_taken.chunk(2)
        return (wanted - followed).sum(1)

    @cached_property
    def share(self) -> Float[Tensor, " followed"]:
        """Weight of a trajectory in a mean; NaN for a replicate with a number that is not finite."""
        stacked = self.rows.view(-1, self.actions.shape[0], *self.rows.shape[1:])
        finite = stacked.isfinite().all(-1).all(-1).all(0)
        share = self.rows.new_full(finite.shape, 1 / self.actions.shape[2])
        return share.masked_fill(~finite, torch.nan)

    def scores(
        self, model: ReadsRows, weights: Float[Tensor, "read step trajectory"]
    ) -> Float[Tensor, "read parameter"]:
        """Return the gradient in the policies of the weighted sum of ``log_taken``."""
        cotangent = torch.zeros_like(self.rows)
        cotangent.scatter_(2, self._taken.flatten(1)[..., None], weights.flatten(1)[..., None])
        return model.rows_pullback(self.policies, self.index, cotangent)

    @cached_property
    def _taken(self) -> Int[Tensor, "read step trajectory"]:
        return self.actions.repeat(self.index.shape[0] // self.actions.shape[0], 1, 1)


@dataclass(frozen=True, eq=False)
class Walker:
    """Who follows policies that answer for rows.

    Attributes
    ----------
    control
        That of the problem.
    model
        The policies.
    """

    control: LayeredControl
    model: ReadsRows

    @property
    def steps(self) -> int:
        """Number of steps of an episode."""
        return len(self.control.layers)

    def follow(
        self,
        followed: Float[Tensor, "followed parameter"],
        read: Float[Tensor, "read parameter"],
        uniform: Float[np.ndarray, "followed number trajectory"],
    ) -> Walks:
        """Return trajectories of policies, and what those of ``read`` say of their states.

        The policies are asked once a step, for the states that were reached; those of ``read``, which
        begin with ``followed``, in place of the last time, for all states on the way.

        Parameters
        ----------
        followed, read
            Parameters, the same where nobody else reads.
        uniform
            Numbers of every trajectory: for its first state, and for each action and successor in turns.
        """
        replicates, _, trajectories = uniform.shape
        state = first_states(self._starts, np.ascontiguousarray(uniform[:, 0]))
        states, actions = [], []
        for step in range(self.steps):
            states.append(torch.from_numpy(state).to(followed.device))
            last = step == self.steps - 1
            index = torch.cat(states, dim=1).repeat(len(read) // len(followed), 1)
            rows = self.model.rows(read, index) if last else self.model.rows(followed, states[-1])
            here = rows[:replicates, -trajectories:].flatten(0, 1)
            numbers = np.ascontiguousarray(uniform[:, 1 + 2 * step])
            action = taken_actions(as_array(here.exp()), numbers.ravel()).reshape(numbers.shape)
            actions.append(torch.from_numpy(action).to(followed.device))
            if not last:
                onward = np.ascontiguousarray(uniform[:, 2 + 2 * step])
                state = next_states(self._moves, state * rows.shape[2] + action, onward)
        return Walks(read, index, rows, torch.stack(actions, dim=1))

    @cached_property
    def _starts(self) -> Any:
        return starts_of(as_array(self.control.initial))

    @cached_property
    def _moves(self) -> Any:
        rows = self.control.dynamics.rows
        return next_states_of(rows.bounds, rows.columns, rows.chances)
