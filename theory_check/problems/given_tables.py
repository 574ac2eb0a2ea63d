"""Kernels, rewards, policies and masks as somebody has them, to the tables of a problem.

What counts as an array is said in :mod:`theory_check.arrays`; kernels may also be sparse matrices of
scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from theory_check.arrays import as_floats
from theory_check.errors import LARGEST_TABLE, InvalidArgumentError, require_choice
from theory_check.problems.dynamics import SparseDynamics, keeps_sparse
from theory_check.problems.problem_tables import require_mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Floats = NDArray[np.float64]

NORMALISATION_TOLERANCE = 1e-6
"""How far from 1 a row of probabilities may sum: the rounding of a float32 softmax."""

NEGATIVE_TOLERANCE = 1e-12
"""How far below 0 a probability may be: the rounding of a difference of probabilities."""

Layout = Literal["state-first", "action-first"]
"""Order of the first two axes of a kernel: (S, A, S) or (A, S, S)."""

_AXES: dict[str, str] = {
    "state-first": "(states, actions, states)",
    "action-first": "(actions, states, states)",
}


Kernel: TypeAlias = Tensor | SparseDynamics
"""A kernel as a problem holds it: a table (s, a, t), or the rows of a sparse matrix."""


def as_tensor(argument: str, values: ArrayLike | Tensor) -> Tensor:
    """Return numbers that somebody passes as a float64 tensor of their own."""
    return torch.from_numpy(as_floats(argument, values))


def as_law(argument: str, values: ArrayLike | Tensor) -> Tensor:
    """Return probabilities whose rows sum to 1 to rounding; other rows are refused later."""
    return normalised_law(as_tensor(argument, values))


def normalised_law(law: Float[Tensor, "*row outcome"]) -> Float[Tensor, "*row outcome"]:
    """Return probabilities without what rounding left below 0, or of the sums of rows beside 1."""
    law = torch.where((law < 0) & (law >= -NEGATIVE_TOLERANCE), 0.0, law)
    total = law.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() <= NORMALISATION_TOLERANCE, law / total, law)


def kernel_of(
    values: Any, layout: Layout, require_sizes: Callable[[int, int, int | None], None]
) -> Kernel:
    """Return a kernel, its rows as they were passed; sparse ones stay sparse as ``keeps_sparse`` says.

    Parameters
    ----------
    values
        An array of three axes in the order of ``layout``; a list with a sparse (S, S) matrix for every
        action; or one sparse matrix with a row for every state and action, in the order of ``layout``.
    layout
        Order of the first two axes.
    require_sizes
        Refuses numbers of states and actions that no problem may have, and of successors that are kept,
        None where all are; asked before a sparse kernel is made dense.

    Raises
    ------
    InvalidArgumentError
        For other shapes, naming the other layout where one fits that.
    """
    require_choice("layout", layout, get_args(Layout))
    if sparse.issparse(values):
        return _from_rows(values, layout, require_sizes)
    if isinstance(values, list | tuple) and any(sparse.issparse(each) for each in values):
        return _from_matrices(values, require_sizes)
    kernel = as_tensor("transitions", values)
    shape = tuple(kernel.shape)
    square = {"state-first": (0, 2), "action-first": (1, 2)}
    fits = {
        name for name, (one, two) in square.items() if len(shape) == 3 and shape[one] == shape[two]
    }
    if layout not in fits:
        other = f"; or layout={min(fits)!r}, which this shape fits" if fits else ""
        raise InvalidArgumentError(
            "transitions", f"shape {shape}", f"pass an array of shape {_AXES[layout]}{other}"
        )
    ordered = kernel if layout == "state-first" else kernel.transpose(0, 1).contiguous()
    states, actions = ordered.shape[:2]
    require_sizes(states, actions, None)
    return ordered


def _from_rows(
    matrix: Any, layout: Layout, require_sizes: Callable[[int, int, int | None], None]
) -> Kernel:
    rows, states = matrix.shape
    if states == 0 or rows == 0 or rows % states:
        raise InvalidArgumentError(
            "transitions",
            f"a sparse matrix of shape {(rows, states)}",
            "pass shape (states * actions, states), or a list with a (states, states) matrix for every "
            "action",
        )
    actions = rows // states
    if keeps_sparse(states, actions, matrix.nnz):
        require_sizes(states, actions, matrix.nnz)
        entries = matrix.tocoo()
        row, chances = entries.row, as_floats("transitions", entries.data)
        if layout == "action-first":
            row = row % states * actions + row // states
        return _sparse(row, entries.col, chances, (states, actions))
    require_sizes(states, actions, None)
    dense = torch.from_numpy(as_floats("transitions", matrix.toarray()))
    if layout == "state-first":
        return dense.reshape(states, actions, states)
    return dense.reshape(actions, states, states).transpose(0, 1).contiguous()


def _from_matrices(
    matrices: Sequence[Any], require_sizes: Callable[[int, int, int | None], None]
) -> Kernel:
    shapes = [getattr(each, "shape", None) for each in matrices]
    states = next(each.shape[0] for each in matrices if sparse.issparse(each))
    wrong = [index for index, shape in enumerate(shapes) if shape != (states, states)]
    if states == 0 or wrong:
        found = shapes[wrong[0]] if wrong else shapes[0]
        raise InvalidArgumentError(
            f"transitions[{wrong[0] if wrong else 0}]",
            "no matrix" if found is None else f"shape {found}",
            "pass a (states, states) matrix for every action, all of one size",
        )
    actions = len(matrices)
    possible = sum(each.nnz if sparse.issparse(each) else each.size for each in matrices)
    if keeps_sparse(states, actions, possible):
        require_sizes(states, actions, possible)
        parts = [sparse.coo_array(each) for each in matrices]
        return _sparse(
            np.concatenate([part.row * actions + action for action, part in enumerate(parts)]),
            np.concatenate([part.col for part in parts]),
            np.concatenate([as_floats("transitions", part.data) for part in parts]),
            (states, actions),
        )
    require_sizes(states, actions, None)
    dense = [each.toarray() if sparse.issparse(each) else each for each in matrices]
    stacked = np.stack([as_floats("transitions", each) for each in dense], axis=1)
    return torch.from_numpy(np.ascontiguousarray(stacked))


def _sparse(
    row: NDArray[np.integer], column: NDArray[np.integer], chances: Floats, sizes: tuple[int, int]
) -> SparseDynamics:
    states, actions = sizes
    matrix = sparse.coo_array((chances, (row, column)), shape=(states * actions, states))
    return SparseDynamics.of(matrix, actions)


def prepared_kernel(kernel: Kernel, mask: Bool[Tensor, "s a"] | None) -> Kernel:
    """Return a kernel whose rows sum to 1 to rounding, those of absent actions replaced."""
    if not isinstance(kernel, SparseDynamics):
        return normalised_law(where_present(kernel, mask))
    states, actions, _ = kernel.shape
    matrix = kernel.matrix
    if mask is not None and mask.shape == (states, actions):
        index = torch.arange(states * actions).reshape(states, actions, 1)
        matrix = matrix[where_present(index, mask).reshape(-1).numpy()]
    chances = matrix.data.copy()
    chances[(chances < 0) & (chances >= -NEGATIVE_TOLERANCE)] = 0.0
    bare = SparseDynamics.of(
        sparse.csr_array((chances, matrix.indices, matrix.indptr), shape=matrix.shape), actions
    )
    total = _row_sums(bare)
    total[~(np.abs(total - 1) <= NORMALISATION_TOLERANCE)] = 1.0
    divided = bare.matrix.data / np.repeat(total, np.diff(bare.matrix.indptr))
    places = (bare.matrix.indices, bare.matrix.indptr)
    return SparseDynamics.of(sparse.csr_array((divided, *places), shape=matrix.shape), actions)


def _row_sums(dynamics: SparseDynamics) -> Floats:
    """Return the sums of rows, rounded as those of the table, where there may be one of this size."""
    states, actions, _ = dynamics.shape
    if states * actions * states > LARGEST_TABLE:
        return np.asarray(dynamics.matrix.sum(axis=1), dtype=np.float64)
    return np.concatenate([block.sum(-1).reshape(-1).numpy() for block in dynamics.blocks()])


def expected_reward(
    values: ArrayLike | Tensor, kernel: Kernel, layout: Layout
) -> Float[Tensor, "s a"]:
    """Return a reward of states and actions; one of transitions in expectation over a kernel.

    Parameters
    ----------
    values
        Shape (S, A), or that of the kernel as it was passed, in the order of ``layout``.
    kernel
        Probabilities.
    layout
        Order of the first two axes of a reward of transitions.
    """
    reward = as_tensor("true_reward", values)
    if reward.ndim != 3:
        return reward
    if layout == "action-first":
        reward = reward.transpose(0, 1)
    if reward.shape != kernel.shape:
        states, actions, _ = kernel.shape
        wanted = (states, actions, states)
        if layout == "action-first":
            wanted = (actions, states, states)
        raise InvalidArgumentError(
            "true_reward",
            f"shape {tuple(as_floats('true_reward', values).shape)}",
            f"pass shape {(states, actions)}, or {wanted} for rewards of transitions",
        )
    blocks = kernel.blocks() if isinstance(kernel, SparseDynamics) else (kernel,)
    expected, first = [], 0
    for chances in blocks:
        earned = reward[first : first + len(chances)]
        # What never happens may be anything.
        expected.append((chances * torch.where(chances > 0, earned, 0.0)).sum(-1))
        first += len(chances)
    return expected[0] if len(expected) == 1 else torch.cat(expected)


def mask_of(
    values: ArrayLike | Tensor | None,
    states: int,
    actions: int,
    state_names: tuple[str, ...] | None = None,
) -> Bool[Tensor, "s a"] | None:
    """Return which actions exist; None where all do, or nothing is said.

    Parameters
    ----------
    values
        Truth values, or numbers 0 and 1, of shape (S, A).
    states, actions
        The sizes.
    state_names
        What errors call states.

    Raises
    ------
    InvalidArgumentError
        For other numbers, another shape, or a state without an action, by its number.
    """
    if values is None:
        return None
    given = as_floats("action_mask", values, "pass an array of truth values, or of 0 and 1")
    if not np.isin(given, (0.0, 1.0)).all():
        odd = given[~np.isin(given, (0.0, 1.0))].flat[0]
        raise InvalidArgumentError("action_mask", f"{odd:g} among its entries", "pass 0 and 1 only")
    mask = torch.from_numpy(np.asarray(given == 1.0))
    require_mask(mask, (states, actions), state_names)
    return None if bool(mask.all()) else mask


def where_present(
    table: Float[Tensor, "s a *rest"], mask: Bool[Tensor, "s a"] | None
) -> Float[Tensor, "s a *rest"]:
    """Return a table with the rows of actions that do not exist like that of the first that does."""
    if mask is None or table.shape[:2] != mask.shape:
        return table
    first = mask.to(torch.int64).argmax(-1)
    index = torch.arange(len(mask))
    kept = mask.reshape(*mask.shape, *(1,) * (table.ndim - 2))
    return torch.where(kept, table, table[index, first][:, None])


def reference_of(
    given: ArrayLike | Tensor | None,
    steps: int,
    shape: tuple[int, int],
    mask: Bool[Tensor, "s a"] | None,
) -> Float[Tensor, "h s a"]:
    """Return the reference policy of every step, uniform over the actions that exist when None."""
    states, actions = shape
    if given is None and mask is not None:
        uniform = mask / mask.sum(-1, keepdim=True, dtype=torch.float64)
        return uniform.expand(steps, states, actions).clone()
    if given is None:
        return torch.full((steps, states, actions), 1 / actions, dtype=torch.float64)
    policy = as_law("reference_policy", given)
    if tuple(policy.shape) == (states, actions):
        return policy.expand(steps, states, actions).clone()
    return policy
