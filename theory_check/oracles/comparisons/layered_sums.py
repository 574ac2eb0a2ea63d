"""The upper objective over steps where every state belongs to one: each state is passed once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.characteristic import extreme_returns
from theory_check.kernels.layered_characteristic import (
    layered_crosses,
    layered_log_moments,
    layered_squares,
)
from theory_check.oracles.comparisons.characteristic import (
    BLOCK_BYTES,
    EXPONENTS,
    LARGEST_BLOCK,
    WIDE,
    CharacteristicSums,
)
from theory_check.oracles.comparisons.series import (
    MODEL,
    TRUNCATION,
    Series,
    pair_series,
    window_of,
)
from theory_check.oracles.comparisons.upper import Way
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.problems.preferences import PreferenceLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayeredSums(CharacteristicSums):
    """Over steps, at a cost linear in the number of states."""

    way: ClassVar[Way] = "steps"

    def _evaluate_one(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        policy, start = np.ascontiguousarray(policy), np.ascontiguousarray(start)
        reward, model = self._windowed(reward, policy, start, MODEL)
        true_table = self.present(self.true_reward[None])[0].cpu().numpy()
        true_reward, annotator = self._windowed(true_table, policy, start, self.law)
        # The frequency 0 carries what is constant, with the same rounding as the rest.
        frequencies = np.append(0.0, model.frequencies)
        weights = np.append(self.constant(model, annotator), -model.even)
        entropy = -annotator.entropy if self.excess else np.zeros_like(annotator.odd)
        law, discounts = self._law(start, policy), self._discounts
        parts = [
            layered_squares(*(*law, reward, discounts, frequencies[block], weights[block]))
            for block in _blocks(frequencies.size, policy)
        ]
        parts += [
            layered_crosses(
                *(
                    *(*law, reward, true_reward, discounts, annotator.frequencies[block]),
                    *(-0.5 * annotator.odd[block], entropy[block]),
                )
            )
            for block in _blocks(annotator.frequencies.size, policy)
        ]
        value, in_policy, in_reward, in_start = (sum(each) for each in zip(*parts, strict=True))
        return value, in_policy[None], in_reward, in_start

    def _law(self, start: Floats, policy: Floats) -> tuple[Any, ...]:
        return self._control.dynamics.rows, self._control.states_of[-1].start, start, policy

    def _windowed(
        self, reward: Floats, policy: Floats, start: Floats, law: PreferenceLaw
    ) -> tuple[Floats, Series]:
        """Return the reward with returns around 0, and sums for differences of its returns."""
        reward = np.ascontiguousarray(reward)
        lowest, highest = extreme_returns(self.dynamics, reward, self.discounts)
        low, high = lowest[start > 0].min(), highest[start > 0].max()
        window = high - low
        centred = np.ascontiguousarray(reward - 0.5 * (high + low) / self.discounts.sum())
        if window > WIDE:
            exponents = EXPONENTS / window
            both = np.append(exponents, -exponents)
            law_of_first = self._law(start, policy)
            moments = layered_log_moments(*(*law_of_first, centred, self._discounts, both))
            together = moments[: exponents.size] + moments[exponents.size :]
            outside = math.log(2 * (window + 1) * self.length / TRUNCATION)
            window = min(window, ((together + outside) / exponents).min())
        return centred, pair_series(window_of(window), law)

    @property
    def _control(self) -> LayeredControl:
        assert isinstance(self.control, LayeredControl)  # that of a problem with layers
        return self.control

    @property
    def _discounts(self) -> Floats:
        found: Floats = self._control.discounts.cpu().numpy()
        return found


def _blocks(number: int, policy: Floats) -> list[slice]:
    """Return slices of frequencies whose tables stay under ``BLOCK_BYTES``."""
    together = min(max(int(BLOCK_BYTES // (64 * policy.size)), 1), LARGEST_BLOCK)
    return [slice(first, first + together) for first in range(0, number, together)]
