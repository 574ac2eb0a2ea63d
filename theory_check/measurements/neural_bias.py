"""What networks of a given size cannot represent: the floors of policy and reward classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import ENUMERATION, PREFERENCES, STANDARD_LABELS
from theory_check.measurements.units import Units, columns
from theory_check.models import Linear, MLPPolicy, MLPReward, PolicyClass, RewardClass
from theory_check.models.sizes import of_size
from theory_check.models.stacked_mlp import ActivationName
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.class_bias import (
    OutputObjective,
    PolicyGap,
    PolicyImitation,
    PreferenceRisk,
)
from theory_check.oracles.optima.class_floor import ClassFloor, Search, class_floors
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.settings import Positive, PositiveInteger
from theory_check.thresholds import VANISHED


@dataclass(frozen=True)
class NeuralBias(Measurement):
    """The floor of both neural classes against their size, at random rewards.

    Each seed draws a reward of the problem's linear class (the tabular one where it has no features),
    standard normal parameters times ``point_scale``. The *policy* floor is ``min J*(phi) - J(phi,
    lambda)`` over networks, in reward units; the *reward* floor is the smallest excess risk of
    comparisons, in nats, where the seed's reward is the true one and the law that of its optimal
    policy (``docs/theory.md`` section 5.7). A floor is the best of several fits, hence an upper bound
    of the class error; the columns about fits tell how much optimisation may have left in it.

    Columns: ``seed, parametric_class`` (``"policy"`` or ``"reward"``), ``activation, width, floor``, and
    ``layers`` where they are listed; ``floor_ratio``, the floor over that of the next smaller size, of
    the zero network for the smallest, and 0 where the floor is at most 1e-6; ``largest_floor``, that of
    the largest size, the same in all rows of a seed, class and activation. Of the best fit: ``start``
    (``"random"``, ``"imitation"`` or ``"nested"``), ``gradient_norm, predicted_decrease,
    late_decrease`` (see :class:`theory_check.oracles.optima.class_floor.NetworkFit`). ``median_random``,
    median value over the random starts; ``hypergradient_error``, ``‖∇Phi`` with the fitted policy in
    the place of ``pi*`` minus ``∇Phi‖²``, policy class only; ``status``.

    Parameters
    ----------
    widths
        Widths of the networks, ascending; one of them where layers are listed.
    layers
        Numbers of layers, ascending, of classes with such a setting; their own when left out.
    activations
        Names of activations, of classes that have a choice; their own when left out.
    reward, policy
        The classes of networks whose sizes these are.
    restarts
        Random starts of each seed and size; every other one of the policy class imitates ``pi*``
        first. One more start is the best network of the next smaller size, grown.
    iterations
        Largest number of steps of a fit.
    point_scale
        Standard deviation of the reward parameters.
    """

    kind: ClassVar[str] = "neural-bias"
    units: ClassVar[Units] = columns(
        text="parametric_class activation start",
        one="width layers floor_ratio",
        either="floor largest_floor predicted_decrease late_decrease median_random",
        norm="gradient_norm",
        squared="hypergradient_error",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, STANDARD_LABELS, ENUMERATION)

    widths: tuple[PositiveInteger, ...]
    layers: tuple[PositiveInteger, ...] | None = None
    activations: tuple[ActivationName, ...] | None = None
    reward: RewardClass = field(default_factory=MLPReward)
    policy: PolicyClass = field(default_factory=MLPPolicy)
    restarts: PositiveInteger = 4
    iterations: PositiveInteger = 300
    point_scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Refuse sizes that do not ascend, two that vary, and what the classes have not."""
        super().__post_init__()
        for name, sizes in (("widths", self.widths), ("layers", self.layers or ())):
            if list(sizes) != sorted(set(sizes)):
                raise InvalidArgumentError(
                    name, sizes, f"pass ascending {name}, at least one, each once"
                )
        if self.layers and len(self.widths) > 1:
            raise InvalidArgumentError(
                "widths", self.widths, "pass one width where layers are listed, or leave out layers"
            )
        if len(set(self._activations)) != len(self._activations):
            raise InvalidArgumentError(
                "activations", self.activations, "pass at least one activation, each once"
            )
        for named in (self.reward, self.policy):
            for size in self._sizes:
                of_size(named, **size)
            for activation in self._activations:
                of_size(named, activation=activation)

    @property
    def _activations(self) -> tuple[ActivationName, ...]:
        return self.activations or ()

    @property
    def _sizes(self) -> list[dict[str, int]]:
        """Settings of every size, ascending."""
        if not self.layers:
            return [{"width": width} for width in self.widths]
        return [{"width": self.widths[0], "layers": layers} for layers in self.layers]

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, class, activation and size."""
        exact = ExactOracle(problem.with_classes(reward=Linear()))
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        reward = exact.reward_model.table(phi)
        optimal = exact.control.optimal_log_policy(reward)
        law = exact.space.sum_by_class(exact.enumerated.probabilities(optimal))
        searched = {
            "policy": _Searched(
                self.policy,
                PolicyGap(exact.control, optimal),
                PolicyImitation(exact.control, optimal),
            ),
            "reward": _Searched(
                self.reward,
                PreferenceRisk(exact.space.classes, exact.space.class_returns(reward), law),
                None,
            ),
        }
        frames: list[pd.DataFrame] = []
        variants = [{"activation": activation} for activation in self._activations] or [{}]
        total = len(searched) * len(variants) * len(self._sizes)
        for (kind, what), variant in product(searched.items(), variants):
            network = of_size(what.network_class, **variant)
            labels = {
                "seed": list(seeds),
                "parametric_class": kind,
                "activation": getattr(network, "activation", "none"),
            }
            rows: list[pd.DataFrame] = []
            models = [of_size(network, **sizes).bind(problem.model_inputs) for sizes in self._sizes]
            search = Search(self.restarts, self.iterations)
            floors = class_floors(models, what.objective, what.imitation, seeds, search)
            for sizes, floor in zip(self._sizes, floors, strict=True):
                error = np.full(len(seeds), np.nan)
                if kind == "policy":
                    error = _hypergradient_error(exact, phi, floor)
                before = rows[-1]["floor"].to_numpy() if rows else what.zero_network(floor)
                fitted = _columns(sizes, floor, before)
                rows.append(pd.DataFrame({**labels, **fitted, "hypergradient_error": error}))
                progress(len(frames) + len(rows), total)
            frames += [row.assign(largest_floor=rows[-1]["floor"]) for row in rows]
        return pd.concat(frames, ignore_index=True).assign(status="ok")


@dataclass(frozen=True, eq=False)
class _Searched:
    """A class of networks, and what its floor is a floor of."""

    network_class: RewardClass | PolicyClass
    objective: OutputObjective
    imitation: OutputObjective | None

    def zero_network(self, floor: ClassFloor) -> NDArray[np.float64]:
        """Return the objective of the network whose parameters are all 0."""
        outputs = floor.network.forward(torch.zeros_like(floor.best.parameters)).flatten(1)
        return np.asarray(self.objective.value(outputs).numpy(), dtype=np.float64)


def _columns(
    sizes: Mapping[str, int], floor: ClassFloor, before: NDArray[np.float64]
) -> dict[str, object]:
    value = floor.best.value.numpy()
    return {
        **sizes,
        "floor": value,
        "floor_ratio": np.where(value <= VANISHED, 0.0, value / np.maximum(before, VANISHED)),
        "start": list(floor.start),
        "gradient_norm": floor.best.gradient_norm.numpy(),
        "predicted_decrease": floor.best.predicted_decrease.numpy(),
        "late_decrease": floor.best.late_decrease.numpy(),
        "median_random": floor.median_random.numpy(),
    }


def _hypergradient_error(
    exact: ExactOracle, phi: Float[Tensor, "replicate d"], floor: ClassFloor
) -> NDArray[np.float64]:
    """Return ``‖∇Phi`` by section 2.3 with the fitted policy for ``pi*``, minus ``∇Phi‖²``."""
    reward = exact.reward_model.table(phi)
    reference = exact.control.log_reference
    outputs = floor.network.forward(floor.best.parameters).reshape(-1, *reference.shape)
    log_policy = exact.control.normalised(outputs + reference)
    upper = exact.evaluate_upper(reward, log_policy)
    response = exact.control.pull_back_through_optimum(log_policy, upper.policy_gradient)
    gradient = exact.reward_model.pullback(phi, upper.reward_gradient + response)
    error = (gradient - exact.hypergradient(phi)).square().sum(-1)
    return np.asarray(error.numpy(), dtype=np.float64)
