"""The instances that are searched: a box of continuous parameters for each family, and their problem.

Scales are fixed, so that no quantity can be made large by choosing units: rewards lie in [0, 1], the
largest norm of a feature vector is 1, probabilities stay off 0 by bounded logits, and the KL weight has
a declared smallest value.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory_check.errors import InvalidArgumentError
from theory_check.problems import Problem
from theory_check.problems.garnet import garnet
from theory_check.problems.tabular import tabular
from theory_check.settings import Positive, PositiveInteger, Seed, Settings

Array = NDArray[np.float64]

REFERENCE_LOGIT = 4.0
KERNEL_LOGIT = 4.0
INITIAL_LOGIT = 2.0


@dataclass(frozen=True)
class Space(Settings, ABC):
    """A family of fixed sizes whose instances are the points of the unit cube.

    A random instance is uniform in the cube: rewards and features are then uniform within their
    bounds before the features are normalised, logits uniform, the KL weight log-uniform.

    Parameters
    ----------
    states, actions
        Sizes S (contexts of a bandit) and A.
    features
        Dimension of the reward features.
    kl_weight_low, kl_weight_high
        Bounds of the KL weight.
    """

    name: ClassVar[str]

    states: PositiveInteger = 3
    actions: PositiveInteger = 2
    features: PositiveInteger = 1
    kl_weight_low: Positive = 0.05
    kl_weight_high: Positive = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no family."""
        super().__post_init__()
        if self.actions < 2:
            raise InvalidArgumentError("actions", self.actions, "pass at least 2: one is no choice")
        if self.kl_weight_high <= self.kl_weight_low:
            raise InvalidArgumentError(
                "kl_weight_high",
                self.kl_weight_high,
                f"pass more than kl_weight_low = {self.kl_weight_low:g}",
            )

    @property
    @abstractmethod
    def dynamics(self) -> int:
        """Number of coordinates of the dynamics, the last ones of the cube."""

    @abstractmethod
    def _dynamics(self, cube: Array) -> tuple[Array, Array, int]:
        """Return transitions, start law and horizon."""

    @property
    def dimension(self) -> int:
        """Number of coordinates of the cube."""
        pairs = self.states * self.actions
        return 1 + pairs * (1 + self.features) + self.states * (self.actions - 1) + self.dynamics

    def problem(self, cube: Array) -> Problem:
        """Return the instance at a point of the unit cube, shape (dimension,)."""
        if cube.shape != (self.dimension,) or not ((cube >= 0) & (cube <= 1)).all():
            raise InvalidArgumentError(
                "cube",
                f"shape {cube.shape}, from {cube.min():g} to {cube.max():g}",
                f"pass {self.dimension} numbers between 0 and 1",
            )
        pairs = self.states * self.actions
        ends = np.cumsum([1, pairs, pairs * self.features, self.states * (self.actions - 1)])
        weight, reward, features, reference, dynamics = np.split(cube, ends)
        table = (2 * features - 1).reshape(self.states, self.actions, self.features)
        largest = np.linalg.norm(table, axis=-1).max()
        transitions, initial, horizon = self._dynamics(dynamics)
        low, high = math.log(self.kl_weight_low), math.log(self.kl_weight_high)
        return tabular(
            transitions=transitions,
            initial=initial,
            features=table / max(largest, np.finfo(np.float64).tiny),
            true_reward=reward.reshape(self.states, self.actions),
            reference_policy=_law(reference.reshape(self.states, -1), REFERENCE_LOGIT),
            horizon=horizon,
            # Through the logarithm, the bounds would be missed by a rounding.
            kl_weight=min(max(math.exp(low + (high - low) * weight.item()), self.kl_weight_low),
                          self.kl_weight_high),
            name=f"{self.name}({self.states}x{self.actions}, searched)",
        )  # fmt: skip


@dataclass(frozen=True)
class BanditSpace(Space):
    """Contextual bandits; ``states`` is the number of contexts, drawn uniformly."""

    name: ClassVar[str] = "bandit"

    states: PositiveInteger = 2
    actions: PositiveInteger = 3

    @property
    def dynamics(self) -> int:
        """None: contexts do not follow one another."""
        return 0

    def _dynamics(self, cube: Array) -> tuple[Array, Array, int]:
        stay = np.repeat(np.eye(self.states)[:, None, :], self.actions, axis=1)
        return stay, np.full(self.states, 1 / self.states), 1


@dataclass(frozen=True)
class GarnetSpace(Space):
    """Garnet problems: every state and action has ``branching`` successors, their weights are searched.

    Which successors they are is that of ``garnet(..., seed=support_seed)``.
    """

    name: ClassVar[str] = "garnet"

    horizon: PositiveInteger = 2
    branching: PositiveInteger = 2
    support_seed: Seed = 0

    def __post_init__(self) -> None:
        """Refuse what is no family."""
        super().__post_init__()
        self._support()  # the family's own refusals

    @property
    def dynamics(self) -> int:
        """Logits of the start law and of the successors, one less than there are."""
        return self.states - 1 + self.states * self.actions * (self.branching - 1)

    def _support(self) -> NDArray[np.bool_]:
        drawn = garnet(
            states=self.states,
            actions=self.actions,
            horizon=self.horizon,
            branching=self.branching,
            seed=self.support_seed,
        )
        return drawn.dynamics.dense("a space of instances").numpy() > 0

    def _dynamics(self, cube: Array) -> tuple[Array, Array, int]:
        initial, kernel = np.split(cube, [self.states - 1])
        support = self._support()
        transitions = np.zeros(support.shape)
        weights = kernel.reshape(self.states * self.actions, self.branching - 1)
        transitions[support] = _law(weights, KERNEL_LOGIT).ravel()
        return transitions, _law(initial, INITIAL_LOGIT), self.horizon


@dataclass(frozen=True)
class TabularSpace(Space):
    """Markov decision processes in which every state can follow every other."""

    name: ClassVar[str] = "tabular"

    horizon: PositiveInteger = 2

    @property
    def dynamics(self) -> int:
        """Logits of the start law and of the kernel, one less than there are."""
        return (self.states - 1) * (1 + self.states * self.actions)

    def _dynamics(self, cube: Array) -> tuple[Array, Array, int]:
        initial, kernel = np.split(cube, [self.states - 1])
        weights = kernel.reshape(self.states, self.actions, self.states - 1)
        return _law(weights, KERNEL_LOGIT), _law(initial, INITIAL_LOGIT), self.horizon


def _law(cube: Array, bound: float) -> Array:
    """Return probabilities whose logits against the last entry are between ``-bound`` and ``bound``."""
    last = np.zeros((*cube.shape[:-1], 1))
    logits = np.concatenate([bound * (2 * cube - 1), last], axis=-1)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


SPACES: dict[str, type[Space]] = {
    space.name: space for space in (BanditSpace, GarnetSpace, TabularSpace)
}
"""The spaces by the name of their family."""
