"""Rewards that no comparison sees, where states belong to one step and nothing is drawn but actions.

Along every trajectory ``gamma^h (u(s) - gamma u(s'))`` adds up to u of its first state: such rewards with
one u for all first states are not seen (``docs/theory.md`` section 1.5), and no others are. The part of a
reward that is seen is what least squares over u leave of it, a sparse system with an unknown for each
state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu
from torch import Tensor

from theory_check.oracles.control.soft_control import SoftControl


@dataclass(frozen=True, eq=False)
class UnseenRewards:
    """See the module.

    Attributes
    ----------
    shaping
        ``u(s) - gamma u(s')`` where states and actions are visited, a column for every u, shape
        (s * a, column).
    visited
        Where they are, shape (s * a,).
    normal
        Factors of ``shaping^T shaping``.
    """

    shaping: sparse.csr_array
    visited: Bool[np.ndarray, " pair"]
    normal: SuperLU

    @classmethod
    def of(cls, control: SoftControl) -> UnseenRewards | None:
        """Return those of a control with layers of states; None where a successor is drawn."""
        matrix = control.onward.matrix
        reference = control.discounted_occupancy(control.log_reference[None])
        visited = (reference > 0).flatten().cpu().numpy()
        if (np.diff(matrix.indptr)[visited] > 1).any():
            return None
        pairs, states = matrix.shape
        index = np.arange(pairs)
        own = sparse.csr_array(
            (np.ones(pairs), (index, index // (pairs // states))), (pairs, states)
        )
        change = sparse.csr_array(own - control.discount * matrix)
        started = control.initial.cpu().numpy() > 0
        column = np.where(started, 0, np.arange(states) + 1)
        tied = sparse.csr_array(
            (np.ones(states), (np.arange(states), column)), (states, states + 1)
        )
        kept = sparse.csc_array(sparse.diags_array(visited.astype(np.float64)) @ change @ tied)
        kept = kept[:, np.diff(kept.indptr) > 0]
        return cls(sparse.csr_array(kept), visited, splu(sparse.csc_array(kept.T @ kept)))

    def removed(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate s a"]:
        """Return the parts of rewards that comparisons see."""
        rows = reward.flatten(1).cpu().numpy() * self.visited
        unseen = self.shaping @ self.normal.solve(self.shaping.T @ rows.T)
        seen = np.ascontiguousarray(rows - unseen.T)
        return torch.from_numpy(seen).reshape(reward.shape).to(reward.device)
