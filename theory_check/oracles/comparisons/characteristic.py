"""The upper objective without pairs, by characteristic functions of the return.

With the sums of ``series.py`` an expectation over two independent returns is one over frequencies:
``E cos(w D) = |chi(w)|^2`` and ``E[D sin(w D*)] = 2 Im(xi(w) conj chi*(w))`` with ``chi = E exp(i w R)``,
``chi* = E exp(i w R*)`` and ``xi = E[R exp(i w R*)]`` (``docs/theory.md`` section 2.9). Values are right
to 2e-15 times the window and 45, absolutely, derivatives to 1e-15 of what a pair adds at most: an
excess risk below 1e-13 is not resolved.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.kernels.characteristic import (
    crossed_characteristic,
    extreme_returns,
    log_moments,
    squared_characteristic,
)
from theory_check.oracles.comparisons.series import (
    MODEL,
    TRUNCATION,
    Series,
    pair_series,
    window_of,
)
from theory_check.oracles.comparisons.upper import UpperEvaluation, UpperObjective, Way
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems.dynamics import Dynamics
from theory_check.problems.preferences import PreferenceLaw

Floats = NDArray[np.float64]

BLOCK_BYTES = 64 * 2**20
LARGEST_BLOCK = 64
DENSE_FROM = 0.2
"""Share of successors with positive probability from which a product of matrices is faster."""

LARGEST_RANGE = 1e5
"""Range of returns beyond which nothing is computed: frequencies are twice as many, blocks of minutes."""

WIDE = 16.0
"""Range of returns from which a window narrower than it is looked for."""

EXPONENTS = np.geomspace(1.0, 400.0, 14)
"""Exponents of Chernoff's bound that are tried, times the range of returns."""


class Transitions(NamedTuple):
    """A kernel as compiled loops take it.

    Attributes
    ----------
    dense, transposed
        Shape (s * a, s) and (s, s * a); empty where most successors have probability 0.
    bounds, columns, chances
        Rows of the sparse matrix (s * a, s).
    """

    dense: Floats
    transposed: Floats
    bounds: NDArray[np.int64]
    columns: NDArray[np.int64]
    chances: Floats

    @classmethod
    def of(cls, dynamics: Dynamics) -> Transitions:
        """Return it in the form in which products with it are fast."""
        filled = dynamics.possible > DENSE_FROM * math.prod(dynamics.shape)
        dense = np.empty((0, 0))
        if filled:
            table = dynamics.dense("a kernel with many successors")
            dense = np.ascontiguousarray(table.flatten(0, 1).cpu().numpy())
        rows = dynamics.rows
        transposed = np.ascontiguousarray(dense.T)
        return cls(dense, transposed, rows.bounds, rows.columns, rows.chances)


@dataclass(frozen=True, eq=False)
class CharacteristicSums(UpperObjective):
    """What both ways without pairs share.

    Attributes
    ----------
    control
        The problem's control.
    dynamics
        Its transitions.
    length
        Steps of what is compared.
    true_reward
        ``r*``, shape (s, a).
    law
        The annotator's law.
    excess
        Whether the label entropy is subtracted.
    """

    control: SoftControl
    dynamics: Transitions
    length: int
    true_reward: Float[Tensor, "s a"]
    law: PreferenceLaw
    excess: bool

    @property
    def discounts(self) -> Floats:
        """``gamma^h`` along what is compared."""
        powers: Floats = self.control.discount ** np.arange(self.length, dtype=np.float64)
        return powers

    @property
    def loss_of_equals(self) -> float:
        """What is kept out of tables of derivatives, since it cancels along policies."""
        return 0.0 if self.excess else math.log(2)

    def largest_return(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of what is compared."""
        started = self.start(self.control.log_reference[None])[0].cpu().numpy() > 0
        sizes = []
        for table in self.present(reward).cpu().numpy():
            lowest, highest = extreme_returns(
                self.dynamics, np.ascontiguousarray(table), self.discounts
            )
            sizes.append(max(-lowest[started].min(), highest[started].max()))
        return torch.from_numpy(np.array(sizes)).to(reward.device)

    def present(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate s a"]:
        """Return a reward with the smallest one of its state in the place of absent actions'.

        Nothing takes them; their rewards would widen the windows of returns.
        """
        absent = self.control.absent_anywhere
        if absent is None:
            return reward
        smallest = reward.masked_fill(absent, torch.inf).amin(-1, keepdim=True)
        return torch.where(absent, smallest, reward)

    def with_control(self, control: SoftControl) -> UpperObjective:
        """Return the same objective under another control of the same dynamics."""
        return replace(self, control=control, dynamics=Transitions.of(control.dynamics))

    def start(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, "replicate s"]:
        """Return the law of the first state of what is compared."""
        if isinstance(self.control, DiscountedControl):
            return self.control.state_occupancy(log_policy)
        return self.control.initial.expand(log_policy.shape[0], -1)

    def evaluate(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> UpperEvaluation:
        """Return ``G`` and its partial derivatives for reward and policy tables."""
        policies = self._policies(log_policy).cpu().numpy()
        starts = self.start(log_policy).cpu().numpy()
        rows = zip(self.present(reward).cpu().numpy(), policies, starts, strict=True)
        return self.assembled(log_policy, [self._resolved(*row) for row in rows])

    def _policies(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, replicate * table]:
        """Return the probabilities that are summed over: those of a stationary policy by default."""
        return log_policy[:, 0].exp()

    def assembled(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        tables: list[tuple[float, Floats, Floats, Floats]],
    ) -> UpperEvaluation:
        """Return the evaluation whose derivatives in value, steps, reward and start law are given."""
        values, steps, rewards, starts = zip(*tables, strict=True)

        def tensor(arrays: tuple[Floats, ...]) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).to(log_policy.device)

        in_policy = tensor(steps)
        if isinstance(self.control, DiscountedControl):
            through = self.control.pull_back_through_occupancy(log_policy, tensor(starts))
            in_policy = in_policy.sum(1, keepdim=True) + through
        return UpperEvaluation(
            value=tensor(tuple(np.array(each) for each in values)) + self.loss_of_equals,
            reward_gradient=tensor(rewards),
            policy_gradient=in_policy,
        )

    @abstractmethod
    def _evaluate_one(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        """Return value and derivatives in steps, reward and start law, of one replicate."""

    def _resolved(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        """Return the same, NaN for tables that are not finite or of too wide a range."""
        wide = 2 * np.abs(reward).max() * self.discounts.sum() > LARGEST_RANGE
        if np.isfinite(policy).all() and np.isfinite(start).all() and not wide:
            return self._evaluate_one(reward, policy, start)
        shape = (
            policy.shape if policy.ndim == 3 else (1, *policy.shape),
            reward.shape,
            start.shape,
        )
        steps, rewards, starts = (np.full(size, np.nan) for size in shape)
        return math.nan, steps, rewards, starts

    def constant(self, model: Series, annotator: Series) -> float:
        """Return what the sums over frequencies leave of the loss of a pair, less that of equals."""
        certain = annotator.certain if self.excess else 0.0
        return model.constant - certain - self.loss_of_equals


@dataclass(frozen=True, eq=False)
class StepSums(CharacteristicSums):
    """Over steps: dynamic programmes for all frequencies, at a cost linear in the horizon."""

    way: ClassVar[Way] = "steps"

    def _policies(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate length s a"]:
        return log_policy.exp().expand(-1, self.length, -1, -1)

    def _evaluate_one(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        policy, start = np.ascontiguousarray(policy), np.ascontiguousarray(start)
        reward, model = self._windowed(reward, policy, start, MODEL)
        true_reward, annotator = self._windowed(
            self.present(self.true_reward[None])[0].cpu().numpy(), policy, start, self.law
        )
        law = (self.dynamics, start, policy)
        found = _Sum.of(policy)
        # The frequency 0 carries what is constant, with the same rounding as the rest.
        frequencies = np.append(0.0, model.frequencies)
        weights = np.append(self.constant(model, annotator), -model.even)
        for block in self._blocks(frequencies.size, policy):
            found.add(
                squared_characteristic(
                    *law, reward, self.discounts, frequencies[block], weights[block]
                )
            )
        entropy = -annotator.entropy if self.excess else np.zeros_like(annotator.odd)
        for block in self._blocks(annotator.frequencies.size, policy):
            found.add(
                crossed_characteristic(
                    *law,
                    reward,
                    true_reward,
                    self.discounts,
                    annotator.frequencies[block],
                    -0.5 * annotator.odd[block],
                    entropy[block],
                )
            )
        return found.parts

    def _windowed(
        self, reward: Floats, policy: Floats, start: Floats, law: PreferenceLaw
    ) -> tuple[Floats, Series]:
        """Return the reward with returns around 0, and sums for differences of its returns."""
        lowest, highest = extreme_returns(
            self.dynamics, np.ascontiguousarray(reward), self.discounts
        )
        low, high = lowest[start > 0].min(), highest[start > 0].max()
        window = high - low
        centred = np.ascontiguousarray(reward - 0.5 * (high + low) / self.discounts.sum())
        if window > WIDE:
            exponents = EXPONENTS / window
            arguments = (self.dynamics, start, policy, centred, self.discounts)
            moments = log_moments(*arguments, np.append(exponents, -exponents))
            together = moments[: exponents.size] + moments[exponents.size :]
            outside = math.log(2 * (window + 1) * self.length / TRUNCATION)
            window = min(window, ((together + outside) / exponents).min())
        return centred, pair_series(window_of(window), law)

    def _blocks(self, number: int, policy: Floats) -> list[slice]:
        """Return slices of frequencies whose tables stay under ``BLOCK_BYTES``."""
        together = int(BLOCK_BYTES // (32 * policy.size))
        together = min(max(together, 1), LARGEST_BLOCK)
        return [slice(first, first + together) for first in range(0, number, together)]


@dataclass(eq=False)
class _Sum:
    """Sum of values and derivatives over blocks of frequencies."""

    parts: tuple[float, Floats, Floats, Floats]

    @classmethod
    def of(cls, policy: Floats) -> _Sum:
        shape = policy.shape
        return cls((0.0, np.zeros(shape), np.zeros(shape[1:]), np.zeros(shape[1])))

    def add(self, parts: tuple[float, Floats, Floats, Floats]) -> None:
        value, *tables = parts
        for mine, theirs in zip(self.parts[1:], tables, strict=True):
            mine += theirs
        self.parts = (self.parts[0] + value, *self.parts[1:])
