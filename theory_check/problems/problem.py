"""A preference-learning problem whose truth is known: the record every family builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    UndeclaredTruthError,
    is_setting,
    require_choice,
    require_instance,
    require_positive_integer,
    require_scale,
    shortened,
    visible,
)
from theory_check.models import (
    Linear,
    ModelInputs,
    PolicyClass,
    PolicyModel,
    RewardClass,
    RewardModel,
    Tabular,
    named_classes,
)
from theory_check.models.base import Prefixes, log_probabilities
from theory_check.problems.dynamics import DenseDynamics, Dynamics, SparseDynamics
from theory_check.problems.layers import require_layers, require_prefixes
from theory_check.problems.preferences import BradleyTerry, PreferenceLaw, preference_law
from theory_check.problems.problem_tables import require_tables_of

Objective = Literal["cross_entropy", "excess_risk"]
"""The upper objective: that of the papers, or without the entropy of labels (``docs/theory.md`` 1.3)."""

_REALISABILITY_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A KL-regularised RLHF problem (``docs/theory.md`` section 1), validated.

    Attributes
    ----------
    transitions
        Kernel ``P(s'|s, a)``, shape (states, actions, states): a table, or the rows of a sparse matrix.
    initial
        Start law, shape (states,).
    features
        Features of the linear reward class, shape (states, actions, parameters).
    observations
        Feature vector of every state, shape (states, observation): all that log-linear and neural
        classes see of a state.
    true_reward
        Reward ``r*`` behind the preference labels, shape (states, actions). Known to the suite,
        never to a solver.
    horizon
        Number of steps H of an episode, 1 is the contextual bandit; None for the discounted
        version, which never ends and has a stationary policy.
    discount
        Discount ``gamma`` in (0, 1], below 1 without a horizon.
    kl_weight
        KL weight ``beta`` > 0.
    segment_length
        Steps L of a compared segment of the discounted version, whose first state follows the
        normalised occupancy; 1 for an episodic problem, which compares whole trajectories.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reference_policy
        ``pi_ref``, shape (steps, states, actions), positive for every action that exists; the number of
        steps is the horizon, or 1 without one and where states have layers.
    name
        How the problem calls itself in tables.
    reward_class, policy_class
        The classes that a solver searches.
    preferences
        The annotator's law; Bradley-Terry, which reward learners assume, unless said otherwise.
    action_mask
        Which actions exist in a state, truth values of shape (states, actions); None where all do. No
        policy takes the others, and what the tables say of them counts for nothing.
    state_names, action_names
        What tables and errors call states and actions, one text each; their numbers when None.
    layers
        Number of states of each step, of an episodic problem in which every state belongs to one step:
        the first states to the first, and so on (``theory_check.problems.layers``). A policy then has
        one row for each state. None where states may come at any step.
    prefixes
        What is written in every state, of problems that write sequences.
    instruments
        Dotted name of the oracles of this kind of problem.
    """

    instruments: ClassVar[str] = "theory_check.oracles.rlhf_instruments.RLHFInstruments"

    transitions: Float[Tensor, "s a s"] | SparseDynamics
    initial: Float[Tensor, " s"]
    features: Float[Tensor, "s a parameter"]
    observations: Float[Tensor, "s observation"]
    true_reward: Float[Tensor, "s a"]
    horizon: int | None
    discount: float
    kl_weight: float
    objective: Objective
    reference_policy: Float[Tensor, "h s a"]
    name: str
    segment_length: int = 1
    reward_class: RewardClass = field(default_factory=Linear)
    policy_class: PolicyClass = field(default_factory=Tabular)
    preferences: PreferenceLaw = field(default_factory=BradleyTerry)
    action_mask: Bool[Tensor, "s a"] | None = None
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None
    prefixes: Prefixes | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a problem, before any work."""
        _check_types(self)
        _check_scalars(self)
        require_tables_of(self)
        require_layers(self)
        require_prefixes(self)
        if self.action_mask is not None:
            _check_masked_policy(self)

    def __repr__(self) -> str:
        """Say on one line what it is, and leave out its tables."""
        ends = f"discount {self.discount:g}"
        if self.horizon is not None:
            layered = "" if self.layers is None else " with states of their own"
            ends = f"horizon {self.horizon}{layered}" + (f", {ends}" if self.discount < 1 else "")
        elif self.segment_length > 1:
            ends += f", segments of {self.segment_length}"
        return (
            f"<Problem {visible(self.name)}: {self.states} states, {self.actions} actions, {ends}, "
            f"KL weight {self.kl_weight:g}, {self.objective}, {self.reward_class} of "
            f"{self.parameters} parameters, {self.policy_class}"
            + ("" if self.preferences.standard else f", labels {self.preferences}")
            + (
                ""
                if self.action_mask is None
                else f", {int(self.action_mask.sum())} actions in all"
            )
            + ">"
        )

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.transitions.shape[0]

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return self.transitions.shape[1]

    @cached_property
    def dynamics(self) -> Dynamics:
        """The kernel, and what is asked of it, whichever way it is held."""
        held = self.transitions
        return held if isinstance(held, SparseDynamics) else DenseDynamics(held)

    @property
    def present_actions(self) -> Bool[Tensor, "s a"]:
        """Which actions exist in a state."""
        if self.action_mask is None:
            return torch.ones(self.states, self.actions, dtype=torch.bool)
        return self.action_mask

    @property
    def steps(self) -> int:
        """Number of steps of a policy table: the horizon, or 1 where a state has one row in all."""
        return 1 if self.horizon is None or self.layers is not None else self.horizon

    @property
    def steps_per_trajectory(self) -> int | float:
        """Environment steps of one rollout; expected ones where it stops at random."""
        return 1 / (1 - self.discount) if self.horizon is None else self.horizon

    @property
    def parameters(self) -> int:
        """Number of parameters of the reward class."""
        return self.reward_model.parameters

    @cached_property
    def model_inputs(self) -> ModelInputs:
        """What reward and policy classes may see."""
        return ModelInputs(
            observations=self.observations,
            features=self.features,
            log_reference=log_probabilities(self.reference_policy),
            prefixes=self.prefixes,
        )

    @cached_property
    def reward_model(self) -> RewardModel:
        """The reward class a solver searches, as a model on the CPU."""
        return self.reward_class.bind(self.model_inputs)

    @cached_property
    def policy_model(self) -> PolicyModel:
        """The policy class a solver searches, as a model on the CPU."""
        return self.policy_class.bind(self.model_inputs)

    def with_classes(
        self, *, reward: RewardClass | str | None = None, policy: PolicyClass | str | None = None
    ) -> Problem:
        """Return the same problem with other classes; None keeps its own.

        The name of a class that the package brings stands for it with its own defaults.

        Raises
        ------
        InvalidArgumentError
            For an unknown name, or what is no class of rewards or policies.
        """
        return replace(
            self,
            reward_class=self.reward_class
            if reward is None
            else _class_of("reward", reward, RewardClass),
            policy_class=self.policy_class
            if policy is None
            else _class_of("policy", policy, PolicyClass),
        )

    def with_preferences(self, law: PreferenceLaw | Mapping[str, Any] | str) -> Problem:
        """Return the same problem with other labels: a law, a name, or a table with one and settings."""
        return replace(self, preferences=preference_law("preferences", law))

    @cached_property
    def realisable(self) -> bool:
        """Whether labels are Bradley-Terry, the linear class is searched, and it contains ``r*``.

        Up to an additive constant. What a neural class contains is not declared.
        """
        if not isinstance(self.reward_class, Linear) or not self.preferences.standard:
            return False
        scale = max(1.0, self.true_reward[self.present_actions].abs().max().item())
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
                f"{self.name}: the reward class is not linear, the true reward lies outside the span "
                "of the features, or labels are not Bradley-Terry at temperature 1, so no true "
                "parameters are known; compare rewards, not parameters"
            )
        return self._true_parameters_and_residual[0]

    @property
    def optimal_hyperobjective(self) -> float:
        """Declared ``Phi*``: 0 for the excess risk of a realisable problem.

        Raises
        ------
        UndeclaredTruthError
            Where no closed form is known; :func:`theory_check.oracles.optima.optimum.find_optimum`
            searches for it instead.
        """
        if self.objective == "excess_risk" and self.realisable:
            return 0.0
        raise UndeclaredTruthError(
            f"{self.name}: the optimum of {self.objective!r} has no closed form here; "
            "use theory_check.oracles.optima.optimum.find_optimum(ExactOracle(problem))"
        )

    @cached_property
    def _true_parameters_and_residual(self) -> tuple[Tensor, float]:
        rows, target = self.features.flatten(0, 1), self.true_reward.reshape(-1)
        if rows.shape[0] == rows.shape[1] and torch.equal(rows, torch.eye(len(rows)).to(rows)):
            # The same least-norm solution without a factorisation of size (S A)^3.
            present = self.present_actions.reshape(-1)
            target = torch.where(present, target, 0.0)
            centred = target - target.sum() / (int(present.sum()) + 1)
            return torch.where(present, centred, 0.0), 0.0
        if self.action_mask is not None:
            present = self.action_mask.reshape(-1)
            rows, target = rows[present], target[present]
        design = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
        solution = torch.linalg.pinv(design) @ target
        residual = (design @ solution - target).abs().max().item()
        return solution[:-1], residual


def require_problem(problem: object) -> None:
    """Refuse what is no preference-learning problem, such as a closed-form control."""
    remedy = "pass a preference-learning problem, such as theory_check.problems.bandit(...)"
    require_instance("problem", problem, Problem, remedy)


def require_horizon(horizon: object, discount: object, segment_length: object) -> None:
    """Refuse a horizon, discount and segment length that do not go together."""
    require_positive_integer("segment_length", segment_length)
    if not is_setting(discount) or not 0 < discount <= 1:
        raise InvalidArgumentError("discount", shortened(discount), "pass a number in (0, 1]")
    if horizon is None:
        if discount == 1:
            raise InvalidArgumentError(
                "discount",
                shortened(discount),
                "pass a discount below 1, or a horizon: without either, returns do not converge",
            )
        return
    require_positive_integer("horizon", horizon)
    if segment_length != 1:
        raise InvalidArgumentError(
            "segment_length",
            segment_length,
            "leave it at 1, or pass horizon=None: an episodic problem compares whole trajectories",
        )


def _check_types(problem: Problem) -> None:
    """Refuse laws and classes that are none; tables are looked at by themselves."""
    remedy = "pass a law, such as theory_check.problems.BradleyTerry(temperature=2.0)"
    require_instance("preferences", problem.preferences, PreferenceLaw, remedy)
    for argument, kind in (("reward_class", RewardClass), ("policy_class", PolicyClass)):
        remedy = "pass an object, such as theory_check.models.Linear() or Tabular()"
        require_instance(argument, getattr(problem, argument), kind, remedy)


def _check_masked_policy(problem: Problem) -> None:
    """Refuse a policy class that gives actions that do not exist a positive probability."""
    model = problem.policy_model
    start = torch.zeros(1, model.parameters, dtype=torch.float64)
    share = (model.table(start).exp() * ~problem.present_actions).sum(-1).max().item()
    if share > 0:
        raise InvalidArgumentError(
            "policy_class",
            f"{problem.policy_class}, which gives actions that do not exist a probability of {share:g}",
            "search a class that leaves them out, such as theory_check.models.Tabular(): build its "
            "tables with theory_check.models.base.log_policy_of",
        )


def _check_scalars(problem: Problem) -> None:
    require_horizon(problem.horizon, problem.discount, problem.segment_length)
    require_scale("kl_weight", problem.kl_weight)
    require_choice("objective", problem.objective, get_args(Objective))


def _class_of(argument: str, given: Any, kind: type) -> Any:
    """Return a class of rewards or policies, that of a name with its own defaults."""
    if isinstance(given, kind) and not isinstance(given, type):
        return given
    known = named_classes(kind)
    if isinstance(given, str):
        require_choice(argument, given, known)
        return known[given]()
    remedy = f"pass an object, or one of the names {', '.join(known)}"
    raise InvalidArgumentError(argument, shortened(given), remedy)
