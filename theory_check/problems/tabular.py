"""Anyone's Markov decision process, from arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, get_args

import torch
from torch import Tensor

from theory_check.errors import (
    require_choice,
    require_non_negative,
    require_scale,
    require_seed,
)
from theory_check.problems.given_tables import (
    Layout,
    as_law,
    as_tensor,
    expected_reward,
    kernel_of,
    mask_of,
    prepared_kernel,
    reference_of,
    where_present,
)
from theory_check.problems.misspecification import MisspecifiedFor, misspecified
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.problem_tables import check_names
from theory_check.problems.sizes import require_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from scipy.sparse import sparray, spmatrix

    Sparse: TypeAlias = sparray | spmatrix


def tabular(
    *,
    transitions: ArrayLike | Tensor | Sparse | Sequence[Sparse],
    initial: ArrayLike | Tensor,
    true_reward: ArrayLike | Tensor,
    horizon: int | None,
    features: ArrayLike | Tensor | None = None,
    observations: ArrayLike | Tensor | None = None,
    discount: float = 1.0,
    kl_weight: float = 1.0,
    segment_length: int = 1,
    objective: Objective = "cross_entropy",
    reference_policy: ArrayLike | Tensor | None = None,
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    misspecification_seed: int = 0,
    layout: Layout = "state-first",
    action_mask: ArrayLike | Tensor | None = None,
    state_names: Sequence[str] | None = None,
    action_names: Sequence[str] | None = None,
    name: str = "tabular",
) -> Problem:
    """Build a problem from arrays (numpy or torch).

    Parameters
    ----------
    transitions
        Kernel ``P(s'|s, a)``, shape (S, A, S); or in sparse matrices of scipy, a list with one of shape
        (S, S) for every action, or one of shape (S A, S). Sparse ones stay sparse from 1000 states on
        where at most one in 50 of the S A S successors is possible, and become tables otherwise. Every
        row, also of ``initial`` and of ``reference_policy``, sums to 1 within 1e-6, and is divided by its
        sum; probabilities down to -1e-12 are taken for 0.
    initial
        Start law, shape (S,).
    true_reward
        Reward behind the preference labels, shape (S, A). Rewards ``R(s, a, s')``, shape (S, A, S), are
        taken in expectation over the kernel: comparisons then see the expected reward.
    horizon
        Steps of an episode, at least 1; None is the discounted version.
    features
        Features of the linear reward class, shape (S, A, d); indicator features, that is the
        tabular class, when None, which take a table of (S A)^2 numbers.
    observations
        What log-linear and neural classes see of each state, shape (S, k); an indicator of the
        state when None, S^2 numbers.
    discount
        ``gamma`` in (0, 1], below 1 for the discounted version.
    kl_weight
        ``beta`` > 0.
    segment_length
        Length L of compared segments of the discounted version; 1 for an episodic problem, which
        compares whole trajectories.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reference_policy
        ``pi_ref``, shape (S, A) or (H, S, A), H = 1 for the discounted version, positive for every
        action that exists and 0 for the others; uniform over those that exist when None.
    misspecification
        Root mean square over states and actions of a component that is added to ``true_reward`` and is
        orthogonal to every reward of the class named by ``misspecified_for`` and to the constants
        (``docs/theory.md`` section 1.6); 0 for none.
    misspecified_for
        ``"features"``, the linear class, or ``"observations"``, every function of observation and
        action. Classes are chosen after a problem is built, so the one that is meant has to be named.
    misspecification_seed
        Seed of the direction of that component.
    layout
        ``"action-first"`` where the kernel is of shape (A, S, S), and with it rewards of transitions and
        the rows of one sparse matrix.
    action_mask
        Which actions exist in a state, truth values of shape (S, A), at least one for each state; all
        when None. What kernel and reward say of the others counts for nothing.
    state_names, action_names
        What tables and errors call states and actions.
    name
        How the problem calls itself in tables.

    Raises
    ------
    InvalidArgumentError
        Before any work, naming the argument, the value received and the remedy.

    Examples
    --------
    >>> problem = tabular(
    ...     transitions=[[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.2, 0.8]]],
    ...     initial=[0.3, 0.7],
    ...     true_reward=[[0.1, -0.5], [0.9, 0.2]],
    ...     horizon=2,
    ... )
    """
    require_horizon(horizon, discount, segment_length)
    require_scale("kl_weight", kl_weight)
    require_non_negative("misspecification", misspecification)
    require_choice("misspecified_for", misspecified_for, get_args(MisspecifiedFor))
    require_seed("misspecification_seed", misspecification_seed)
    table = None if features is None else as_tensor("features", features)
    seen = None if observations is None else as_tensor("observations", observations)

    def require_sizes(states: int, actions: int, successors: int | None) -> None:
        require_tables(
            ("transitions", states),
            ("transitions", actions),
            horizon=horizon,
            features=None if table is None else table.shape[-1:].numel(),
            observations=None if seen is None else seen.shape[-1:].numel(),
            successors=successors,
        )

    kernel = kernel_of(transitions, layout, require_sizes)
    states, actions = kernel.shape[:2]
    if table is None:
        table = torch.eye(states * actions, dtype=torch.float64).reshape(states, actions, -1)
    if seen is None:
        seen = torch.eye(states, dtype=torch.float64)
    called = _named(state_names)
    check_names("state_names", called, states)
    mask = mask_of(action_mask, states, actions, called)
    kernel = prepared_kernel(kernel, mask)
    problem = Problem(
        transitions=kernel,
        initial=as_law("initial", initial),
        features=table,
        observations=seen,
        true_reward=where_present(expected_reward(true_reward, kernel, layout), mask),
        horizon=horizon,
        discount=float(discount),
        kl_weight=float(kl_weight),
        objective=objective,
        reference_policy=reference_of(
            reference_policy, 1 if horizon is None else horizon, (states, actions), mask
        ),
        segment_length=segment_length,
        action_mask=mask,
        state_names=called,
        action_names=_named(action_names),
        name=name,
    )
    reward = misspecified(
        problem.true_reward,
        features=problem.features,
        observations=problem.observations,
        size=misspecification,
        misspecified_for=misspecified_for,
        seed=misspecification_seed,
        present=mask,
    )
    return problem if reward is problem.true_reward else replace(problem, true_reward=reward)


def _named(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return names as a tuple where they are a list; a problem refuses other things."""
    return tuple(names) if isinstance(names, list) else names  # type: ignore[return-value]
