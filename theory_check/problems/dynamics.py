"""What follows a state and an action: a table of probabilities, or the rows of a sparse matrix.

A sparse kernel is kept as one where states are many and their successors few (:func:`keeps_sparse`); what
control, occupancies, characteristic functions and rollouts ask of it takes no table of S A S numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import sparse
from torch import Tensor

from theory_check.errors import LARGEST_TABLE, InvalidArgumentError, magnitude
from theory_check.kernels.rows import Rows
from theory_check.kernels.stopped_visits import MOST_STATES, Elimination, elimination_of
from theory_check.problems.moves import DenseMoves, Moves, SparseMoves

MANY_STATES = 1000
FEW_SUCCESSORS = 0.02
"""Sparse input stays so from so many states on, where at most this share of successors is possible."""

BLOCK_NUMBERS = 2**20
"""Numbers of a table that are written out together where all of it has to be passed over."""


def keeps_sparse(states: int, actions: int, possible: int) -> bool:
    """Return whether a sparse kernel is kept sparse: the others become tables, which are faster then.

    Parameters
    ----------
    states, actions
        The sizes.
    possible
        Number of (s, a, s') with a positive probability.
    """
    return states >= MANY_STATES and possible <= FEW_SUCCESSORS * states * actions * states


class Dynamics(ABC):
    """``P(s'|s, a)``, and what is asked of it."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S)."""

    @property
    @abstractmethod
    def possible(self) -> int:
        """Number of (s, a, s') with a positive probability."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Dynamics:
        """Return the same on a device; sparse ones stay on the CPU, where they are computed with."""

    @abstractmethod
    def ahead(self, values: Float[Tensor, "replicate t"]) -> Float[Tensor, "replicate s a"]:
        """Return ``E[value(s') | s, a]``."""

    @abstractmethod
    def arriving(self, joint: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate t"]:
        """Return the law of the next state where (s, a) follows ``joint``."""

    @abstractmethod
    def ahead_of_steps(
        self, values: Float[Tensor, "replicate h t"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return :meth:`ahead` of the values of every step."""

    @abstractmethod
    def followers(
        self, absent: Bool[Tensor, "s a"] | None
    ) -> Callable[[Bool[Tensor, " s"]], Bool[Tensor, " s"]]:
        """Return what takes a set of states to those that may follow by an action that exists."""

    @abstractmethod
    def dense(self, purpose: str) -> Float[Tensor, "s a t"]:
        """Return the table.

        Raises
        ------
        InvalidArgumentError
            Where it is kept sparse and a table would be too large, naming what would need it.
        """

    @abstractmethod
    def require_room(self, purpose: str, numbers: int) -> None:
        """Refuse so many numbers of another table where the kernel is kept sparse for its size.

        Raises
        ------
        InvalidArgumentError
            Naming what would need them.
        """

    @abstractmethod
    def blocks(self) -> Iterator[Float[Tensor, "some a t"]]:
        """Yield the table by blocks of states, in their order."""

    @property
    @abstractmethod
    def moves(self) -> Moves:
        """The probabilities, for products."""

    @property
    @abstractmethod
    def changes(self) -> Moves:
        """``P(s'|s, a) - 1[s' = s]``, without subtracting from 1 where a state is hardly left."""

    @property
    @abstractmethod
    def matrix(self) -> sparse.csr_array:
        """The possible successors as a sparse matrix, shape (s * a, t)."""

    @cached_property
    def rows(self) -> Rows:
        """The same for compiled loops."""
        return Rows.of(self.matrix)

    @cached_property
    def elimination(self) -> Elimination:
        """In which order rollouts that stop have states taken out; none of too many."""
        states = self.shape[0]
        return elimination_of(self.rows, states if states <= MOST_STATES else 0)


@dataclass(frozen=True, eq=False)
class DenseDynamics(Dynamics):
    """A table.

    Attributes
    ----------
    table
        ``P(s'|s, a)``, shape (s, a, t).
    """

    table: Float[Tensor, "s a t"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S)."""
        states, actions, successors = self.table.shape
        return states, actions, successors

    @property
    def possible(self) -> int:
        """Number of (s, a, s') with a positive probability."""
        return int(torch.count_nonzero(self.table))

    def to(self, device: torch.device | str) -> Dynamics:
        """Return the same on a device."""
        moved = self.table.to(device)
        return self if moved is self.table else DenseDynamics(moved)

    def ahead(self, values: Float[Tensor, "replicate t"]) -> Float[Tensor, "replicate s a"]:
        """Return ``E[value(s') | s, a]``."""
        return torch.einsum("sat,rt->rsa", self.table, values)

    def arriving(self, joint: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate t"]:
        """Return the law of the next state where (s, a) follows ``joint``."""
        return torch.einsum("sat,rsa->rt", self.table, joint)

    def ahead_of_steps(
        self, values: Float[Tensor, "replicate h t"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return :meth:`ahead` of the values of every step."""
        return torch.einsum("sat,rht->rhsa", self.table, values)

    def followers(
        self, absent: Bool[Tensor, "s a"] | None
    ) -> Callable[[Bool[Tensor, " s"]], Bool[Tensor, " s"]]:
        """Return what takes a set of states to those that may follow by an action that exists."""
        possible = self.table > 0
        if absent is not None:
            possible = possible & ~absent[..., None]
        leads_to = possible.any(1)
        return lambda states: leads_to[states].any(0)

    def dense(self, purpose: str) -> Float[Tensor, "s a t"]:
        """Return the table."""
        return self.table

    def require_room(self, purpose: str, numbers: int) -> None:
        """Refuse nothing: families have refused tables of their own that are too large."""

    def blocks(self) -> Iterator[Float[Tensor, "some a t"]]:
        """Yield the table in one block."""
        yield self.table

    @cached_property
    def moves(self) -> DenseMoves:
        """The probabilities, for products."""
        return DenseMoves(self.table)

    @cached_property
    def changes(self) -> DenseMoves:
        """``P(s'|s, a) - 1[s' = s]``, without subtracting from 1 where a state is hardly left."""
        changes = self.table.clone()
        own = changes.diagonal(dim1=0, dim2=2)
        own.zero_()
        own.copy_(-changes.sum(-1).T)
        return DenseMoves(changes)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The possible successors as a sparse matrix, shape (s * a, t)."""
        return sparse.csr_array(self.table.flatten(0, 1).cpu().numpy())


@dataclass(frozen=True, eq=False)
class SparseDynamics(Dynamics):
    """Rows of a sparse matrix; :meth:`of` makes them of any.

    Attributes
    ----------
    probabilities
        ``P(s'|s, a)`` in the row ``s * actions + a``, float64, every possible successor once and in
        order, no others.
    actions
        Number of actions.
    """

    probabilities: sparse.csr_array
    actions: int

    def __post_init__(self) -> None:
        """Refuse rows that compiled loops would misread."""
        matrix, wanted = (
            self.probabilities,
            "pass what SparseDynamics.of(matrix, actions) makes of it",
        )
        if not isinstance(matrix, sparse.csr_array) or matrix.dtype != np.float64:
            raise InvalidArgumentError("probabilities", type(matrix).__name__, wanted)
        if matrix.shape[0] != self.actions * matrix.shape[1] or not matrix.has_canonical_format:
            raise InvalidArgumentError("probabilities", f"shape {matrix.shape}", wanted)

    @classmethod
    def of(cls, matrix: sparse.sparray | sparse.spmatrix, actions: int) -> SparseDynamics:
        """Return the dynamics of a matrix in any format; cells that are named twice are added up."""
        rows = sparse.csr_array(matrix, dtype=np.float64, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        return cls(rows, actions)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S)."""
        states = self.probabilities.shape[1]
        return states, self.actions, states

    @property
    def possible(self) -> int:
        """Number of (s, a, s') with a positive probability."""
        return int(self.probabilities.nnz)

    def to(self, device: torch.device | str) -> Dynamics:
        """Return the same, which takes tensors of any device."""
        return self

    def ahead(self, values: Float[Tensor, "replicate t"]) -> Float[Tensor, "replicate s a"]:
        """Return ``E[value(s') | s, a]``."""
        return self.moves.mean(values)

    def arriving(self, joint: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate t"]:
        """Return the law of the next state where (s, a) follows ``joint``."""
        return self.moves.pushed(joint)

    def ahead_of_steps(
        self, values: Float[Tensor, "replicate h t"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return :meth:`ahead` of the values of every step."""
        return self.moves.mean(values.flatten(0, 1)).reshape(*values.shape[:2], -1, self.actions)

    def followers(
        self, absent: Bool[Tensor, "s a"] | None
    ) -> Callable[[Bool[Tensor, " s"]], Bool[Tensor, " s"]]:
        """Return what takes a set of states to those that may follow by an action that exists."""
        pair = np.repeat(np.arange(self.probabilities.shape[0]), np.diff(self.probabilities.indptr))
        state, target = pair // self.actions, self.probabilities.indices
        if absent is not None:
            exists = ~absent.reshape(-1).cpu().numpy()[pair]
            state, target = state[exists], target[exists]

        def following(states: Bool[Tensor, " s"]) -> Bool[Tensor, " s"]:
            found = np.zeros(self.probabilities.shape[1], dtype=bool)
            found[target[states.cpu().numpy()[state]]] = True
            return torch.from_numpy(found).to(states.device)

        return following

    def dense(self, purpose: str) -> Float[Tensor, "s a t"]:
        """Return the table, or refuse it."""
        states, actions, _ = self.shape
        self.require_room(purpose, states * actions * states)
        return torch.from_numpy(self.probabilities.toarray()).reshape(self.shape)

    def require_room(self, purpose: str, numbers: int) -> None:
        """Refuse tables of more than ``LARGEST_TABLE`` numbers."""
        if numbers > LARGEST_TABLE:
            raise InvalidArgumentError(
                "problem",
                f"{self.shape[0]} states and {self.actions} actions with a sparse kernel, of which "
                f"{purpose} would take a table of {magnitude(numbers)} numbers",
                f"pass a smaller problem: at most {LARGEST_TABLE} numbers, 256 MiB",
            )

    @property
    def matrix(self) -> sparse.csr_array:
        """The possible successors as a sparse matrix, shape (s * a, t)."""
        return self.probabilities

    def blocks(self) -> Iterator[Float[Tensor, "some a t"]]:
        """Yield the table by blocks of states, in their order."""
        states, actions, _ = self.shape
        together = max(1, BLOCK_NUMBERS // (states * actions))
        for first in range(0, states, together):
            rows = self.probabilities[first * actions : (first + together) * actions].toarray()
            yield torch.from_numpy(rows).reshape(-1, actions, states)

    @cached_property
    def moves(self) -> SparseMoves:
        """The probabilities, for products."""
        return SparseMoves(self.probabilities, self.actions)

    @cached_property
    def changes(self) -> SparseMoves:
        """``P(s'|s, a) - 1[s' = s]``, without subtracting from 1 where a state is hardly left."""
        pairs, states = self.probabilities.shape
        entries = self.probabilities.tocoo()
        leaves = entries.col != entries.row // self.actions
        row, column, chance = entries.row[leaves], entries.col[leaves], entries.data[leaves]
        own = np.arange(pairs)
        data = np.concatenate([chance, -np.bincount(row, chance, minlength=pairs)])
        places = (np.concatenate([row, own]), np.concatenate([column, own // self.actions]))
        return SparseMoves(sparse.csr_array((data, places), shape=(pairs, states)), self.actions)
