"""A preference-learning problem whose truth is known: the record every family builds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    UndeclaredTruthError,
    is_number,
    require_choice,
    require_positive,
    require_positive_integer,
)
from theory_check.models import LinearReward, RewardModel

Objective = Literal["cross_entropy", "excess_risk"]

_NORMALISATION_TOLERANCE = 1e-8
_REALISABILITY_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """An episodic KL-regularised RLHF problem (``docs/theory.md`` section 1), validated.

    Attributes
    ----------
    transitions
        Kernel ``P(s'|s, a)``, shape (states, actions, states).
    initial
        Start law, shape (states,).
    features
        Features of the linear reward class, shape (states, actions, parameters).
    true_reward
        Reward ``r*`` behind the preference labels, shape (states, actions). Known to the suite,
        never to a solver.
    horizon
        Number of steps H of an episode; 1 is the contextual bandit.
    discount
        Discount ``gamma`` in (0, 1].
    kl_weight
        KL weight ``beta`` > 0.
    segment_length
        Steps of a compared segment; 1 for an episodic problem, which compares whole trajectories.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reference_policy
        ``pi_ref``, shape (horizon, states, actions), strictly positive.
    name
        How the problem calls itself in tables.
    """

    transitions: Float[Tensor, "s a s"]
    initial: Float[Tensor, " s"]
    features: Float[Tensor, "s a parameter"]
    true_reward: Float[Tensor, "s a"]
    horizon: int
    discount: float
    kl_weight: float
    objective: Objective
    reference_policy: Float[Tensor, "h s a"]
    name: str
    segment_length: int = 1

    def __post_init__(self) -> None:
        """Refuse what is not a problem, before any work."""
        _check_scalars(self)
        _check_shapes(self)
        for argument in (
            "transitions",
            "initial",
            "features",
            "true_reward",
            "reference_policy",
        ):
            _check_finite(argument, getattr(self, argument))
        _check_stochastic("transitions", self.transitions)
        _check_stochastic("initial", self.initial)
        _check_stochastic("reference_policy", self.reference_policy)
        if not bool((self.reference_policy > 0).all()):
            raise InvalidArgumentError(
                "reference_policy",
                f"a smallest probability of {self.reference_policy.min().item():g}",
                "give every action a positive probability, or the KL term is infinite",
            )

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.transitions.shape[0]

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return self.transitions.shape[1]

    @property
    def parameters(self) -> int:
        """Number of parameters of the reward class."""
        return self.features.shape[-1]

    @cached_property
    def reward_model(self) -> RewardModel:
        """The reward class a solver searches."""
        return LinearReward(self.features)

    @cached_property
    def realisable(self) -> bool:
        """Whether some parameter gives ``r*`` up to an additive constant."""
        scale = max(1.0, self.true_reward.abs().max().item())
        return self._true_parameters_and_residual[1] <= _REALISABILITY_TOLERANCE * scale

    @property
    def true_parameters(self) -> Float[Tensor, " parameter"]:
        """Parameters of ``r*`` up to an additive constant of the reward.

        Raises
        ------
        UndeclaredTruthError
            If ``r*`` lies outside the reward class.
        """
        if not self.realisable:
            raise UndeclaredTruthError(
                f"{self.name}: the true reward lies outside the span of the features, so no true "
                "parameters exist; compare rewards, not parameters"
            )
        return self._true_parameters_and_residual[0]

    @property
    def optimal_hyperobjective(self) -> float:
        """Declared ``Phi*``: 0 for the excess risk of a realisable problem.

        Raises
        ------
        UndeclaredTruthError
            Where no closed form is known; :func:`theory_check.oracles.optimum.find_optimum`
            searches for it instead.
        """
        if self.objective == "excess_risk" and self.realisable:
            return 0.0
        raise UndeclaredTruthError(
            f"{self.name}: the optimum of {self.objective!r} has no closed form here; "
            "use theory_check.oracles.optimum.find_optimum(ExactOracle(problem))"
        )

    @cached_property
    def _true_parameters_and_residual(self) -> tuple[Tensor, float]:
        rows = self.features.reshape(-1, self.parameters)
        design = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
        target = self.true_reward.reshape(-1)
        solution = torch.linalg.pinv(design) @ target
        residual = (design @ solution - target).abs().max().item()
        return solution[:-1], residual


def require_discount(discount: object) -> None:
    """Refuse a discount that is not a number in (0, 1]."""
    if not is_number(discount) or not 0 < discount <= 1:
        raise InvalidArgumentError(
            "discount", repr(discount), "pass a number in (0, 1] for an episodic problem"
        )


def _check_scalars(problem: Problem) -> None:
    if problem.horizon is None:
        raise InvalidArgumentError(
            "horizon", None, "pass an integer of at least 1: only episodic problems are available"
        )
    require_positive_integer("horizon", problem.horizon)
    require_discount(problem.discount)
    require_positive("kl_weight", problem.kl_weight)
    require_choice("objective", problem.objective, get_args(Objective))


def _check_shapes(problem: Problem) -> None:
    shape = tuple(problem.transitions.shape)
    if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
        raise InvalidArgumentError(
            "transitions", f"shape {shape}", "pass an array of shape (states, actions, states)"
        )
    states, actions = shape[:2]
    expected = {
        "initial": (states,),
        "true_reward": (states, actions),
        "reference_policy": (problem.horizon, states, actions),
    }
    for argument, wanted in expected.items():
        got = tuple(getattr(problem, argument).shape)
        if got != wanted:
            raise InvalidArgumentError(
                argument, f"shape {got}", f"pass shape {wanted} to agree with transitions {shape}"
            )
    got = tuple(problem.features.shape)
    if len(got) != 3 or got[:2] != (states, actions) or got[2] < 1:
        raise InvalidArgumentError(
            "features",
            f"shape {got}",
            f"pass shape ({states}, {actions}, parameters) to agree with transitions {shape}",
        )


def _check_finite(argument: str, values: Tensor) -> None:
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad):
        where = tuple(bad[0].tolist())
        raise InvalidArgumentError(
            argument, f"{values[where].item()} at index {where}", "pass finite numbers only"
        )


def _check_stochastic(argument: str, values: Tensor) -> None:
    negative = (values < 0).nonzero()
    if len(negative):
        where = tuple(negative[0].tolist())
        raise InvalidArgumentError(
            argument, f"{values[where].item():g} at index {where}", "pass probabilities, at least 0"
        )
    excess = (values.sum(-1) - 1).abs()
    if excess.max().item() > _NORMALISATION_TOLERANCE:
        where = tuple(torch.unravel_index(excess.argmax(), excess.shape))
        row = tuple(int(index) for index in where)
        raise InvalidArgumentError(
            argument,
            f"a row that sums to {values.sum(-1)[where].item():.12g} (index {row})",
            "make every row sum to 1",
        )
