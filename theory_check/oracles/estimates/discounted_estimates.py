"""Estimates for discounted problems: rollouts stopped geometrically, segments from the occupancy."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.models.base import log_probabilities
from theory_check.oracles.comparisons import DiscountedComparisons
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.resolvent import Solves
from theory_check.oracles.control.response_system import UpperTables
from theory_check.oracles.estimates.table_estimates import EnumeratedEstimates, TableEstimates
from theory_check.problems.dynamics import SparseDynamics


@dataclass(frozen=True, eq=False)
class SegmentPairs:
    """What ``2 B`` labelled pairs of segments say about ``G``.

    Attributes
    ----------
    losses, residuals
        Of the first B pairs, as for trajectories, shape (replicate, segment).
    reached
        Mean loss of the other B pairs per (s, a) through which their first segment was reached,
        shape (replicate, s, a).
    """

    losses: Float[Tensor, "replicate segment"]
    residuals: Float[Tensor, "replicate segment"]
    reached: Float[Tensor, "replicate s a"]


class StoppedEstimates(TableEstimates):
    """Gradients of ``J`` from where rollouts stop (``docs/theory.md`` sections 4.8 and 4.10)."""

    control: DiscountedControl

    @abstractmethod
    def _first_stops(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked s a"]:
        """Return weights over where rollouts of one leg stop."""

    @abstractmethod
    def _first_stop_changes(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return those weights under ``wanted`` minus those under ``drawn_from``, reweighted."""

    @abstractmethod
    def _two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        """Return the mean of ``values(s', a') 1[(s, a)]`` over rollouts of two legs."""

    @abstractmethod
    def _shared_two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        """Return the same for two policies, drawn from the first and reweighted."""

    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return the score of the first stop times the regularised reward of the final one."""
        values = self.regularised_reward(reward, policies)[:, 0]
        draw = self._two_legs if coupling == "independent" else self._shared_two_legs
        sums = draw(policies, values, samples)
        return (sums / (1 - self.control.discount) ** 2)[:, None]

    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return the difference of the frequencies of stops, over ``1 - gamma``."""
        if coupling == "independent":
            first, second = self._first_stops(policies, samples).chunk(2)
            difference = first - second
        else:
            drawn_from, wanted = policies.chunk(2)
            difference = -self._first_stop_changes(drawn_from, wanted, samples)
        return difference / (1 - self.control.discount)


class DiscountedEstimates(StoppedEstimates, EnumeratedEstimates):
    """Sums over where rollouts stop, and over segments (``docs/theory.md`` sections 4.8 to 4.10).

    Parameters
    ----------
    control, comparisons
        Those of the problem.
    """

    control: DiscountedControl
    comparisons: DiscountedComparisons

    def __init__(self, control: DiscountedControl, comparisons: DiscountedComparisons) -> None:
        super().__init__(control, comparisons)

    @abstractmethod
    def _segment_pairs(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> SegmentPairs:
        """Return what labelled pairs say."""

    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return residuals times visits, and losses times the score of both segments.

        The score of a segment is that of its own actions and that of its first state, which the
        second half of the pairs estimates.
        """
        pairs = self._segment_pairs(reward, log_policy, samples)
        shape, gamma = self.control.policy_shape, self.control.discount
        along = self.space.to_policy_table(pairs.losses, shape)
        starting = (2 * gamma / (1 - gamma)) * pairs.reached
        return UpperTables(
            in_reward=self.space.to_reward_table(pairs.residuals, shape[1:]),
            in_policy=along + starting[:, None],
        )

    def implicit_objective_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"], samples: int
    ) -> Float[Tensor, "replicate h s a"]:
        """Return both gradients of ``G`` at the reward that a stationary policy stands for."""
        beta = self.control.kl_weight
        reward = beta * (log_policy - self.control.log_reference)[:, 0]
        tables = self.upper(reward, log_policy, samples)
        return tables.in_policy + beta * tables.in_reward[:, None]


@dataclass(frozen=True, eq=False)
class StoppedRollouts:
    """The law of where rollouts of a stationary policy stop, by one S x S inverse.

    Of a sparse kernel what needs no inverse is had without: :attr:`states`, :attr:`first_stops` and
    :meth:`mean_of_arrivals`.

    Parameters
    ----------
    control
        Control of the problem.
    policy
        Action probabilities, shape (replicate, s, a).
    """

    control: DiscountedControl
    policy: Float[Tensor, "replicate s a"]

    @cached_property
    def stops_from(self) -> Float[Tensor, "replicate s s"]:
        """Law of the state of the stop given the state of the start, ``(1-gamma)(I - gamma P_pi)^-1``."""
        moves = torch.einsum("rsa,sat->rst", self.policy, self._table)
        identity = torch.eye(moves.shape[-1], dtype=moves.dtype, device=moves.device)
        gamma = self.control.discount
        # Without the check of inv: it would refuse the whole batch for one policy that is not finite.
        inverse: Tensor = torch.linalg.inv_ex(identity - gamma * moves).inverse
        # Probabilities of states out of reach come out as rounding, of either sign.
        return ((1 - gamma) * inverse).clamp_min(0.0)

    @cached_property
    def states(self) -> Float[Tensor, "replicate s"]:
        """``d^pi``: law of the state of the first stop."""
        if self._sparse is not None:
            start = self.control.initial.expand(len(self.policy), -1)
            found = self._sparse.solve_transposed(start).clamp_min(0.0)
            return (1 - self.control.discount) * found
        return self.control.initial @ self.stops_from

    @cached_property
    def first_stops(self) -> Float[Tensor, "replicate s a"]:
        """Law of (s, a)."""
        return self.states[:, :, None] * self.policy

    @cached_property
    def arrivals(self) -> Float[Tensor, "replicate s a s"]:
        """Law of the state of the final stop of rollouts that do go on from (s, a)."""
        return torch.einsum("sat,rtu->rsau", self._table, self.stops_from)

    def mean_of_arrivals(
        self, values: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return the mean of ``values`` over ``arrivals``, without tabulating their law."""
        if self._sparse is not None:
            stopped = (1 - self.control.discount) * self._sparse.solve(values)
            return self.control.dynamics.ahead(stopped)
        ahead = (self.stops_from @ values[:, :, None]).squeeze(-1)
        return (ahead @ self._table.flatten(0, 1).T).reshape(self.policy.shape)

    @cached_property
    def two_stops(self) -> Float[Tensor, "replicate pair pair"]:
        """Law of (s, a), (s', a'): with probability ``1 - gamma`` they are the same."""
        gamma = self.control.discount
        first = self.first_stops.flatten(1)
        going_on = (self.arrivals[..., None] * self.policy[:, None, None]).flatten(3).flatten(1, 2)
        joint = gamma * first[:, :, None] * going_on
        joint.diagonal(dim1=1, dim2=2).add_((1 - gamma) * first)
        return joint

    @property
    def _table(self) -> Float[Tensor, "s a t"]:
        table = self.control.dynamics.dense("the law of where rollouts stop from every state")
        return table.to(self.policy.device)

    @cached_property
    def _sparse(self) -> Solves | None:
        """What solves systems of the policy, where the kernel is sparse."""
        if not isinstance(self.control.dynamics, SparseDynamics):
            return None
        return self.control.resolvent(log_probabilities(self.policy)[:, None])
