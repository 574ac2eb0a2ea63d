"""Estimates for discounted problems: rollouts stopped geometrically, segments from the occupancy."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.oracles.comparisons import DiscountedComparisons
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.estimates.table_estimates import TableEstimates, UpperTables


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


class DiscountedEstimates(TableEstimates):
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

    @abstractmethod
    def _segment_pairs(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> SegmentPairs:
        """Return what labelled pairs say."""

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
