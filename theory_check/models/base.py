"""What a parametric class is: parameters to tables, and gradients of tables to gradients.

Sampled and exact estimators work on tables (a reward for every state and action, a log-probability
for every step, state and action). A model is the only thing that knows about parameters, so
tabular, linear and neural classes share one code path. A *class* is what a user names (its width,
its activation); binding it to what it may see of a problem gives a *model*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.settings import Settings

ABSENT = -1e3
"""Logarithm that policy tables have for an action that does not exist in a state.

Below that of every positive number, so that its exponential is 0; finite, so that what is multiplied by
that 0, or subtracted from the entry of another policy, is 0.
"""


def log_probabilities(
    policy: Float[Tensor, "*lead a"],
) -> Float[Tensor, "*lead a"]:
    """Return the logarithm of probabilities, ``ABSENT`` where one is 0."""
    return torch.where(policy > 0, policy.log(), ABSENT)


def absent_actions(log_reference: Float[Tensor, "h s a"]) -> Bool[Tensor, "h s a"] | None:
    """Return which actions do not exist, of a reference policy's table; None where all do."""
    absent = log_reference <= ABSENT
    return absent if bool(absent.any()) else None


def log_policy_of(
    logits: Float[Tensor, "*lead h s a"], absent: Bool[Tensor, "h s a"] | None
) -> Float[Tensor, "*lead h s a"]:
    """Return the log-softmax of logits over the actions that exist, ``ABSENT`` for the others."""
    if absent is None:
        return torch.log_softmax(logits, dim=-1)
    over_present = torch.log_softmax(logits.masked_fill(absent, -torch.inf), dim=-1)
    return over_present.masked_fill(absent, ABSENT)


def pull_back_to_logits(
    logits: Float[Tensor, "replicate h s a"],
    cotangent: Float[Tensor, "replicate h s a"],
    absent: Bool[Tensor, "h s a"] | None,
) -> Float[Tensor, "replicate h s a"]:
    """Return the gradient in the logits of ``sum(cotangent * log_policy_of(logits))``."""
    if absent is not None:
        logits = logits.masked_fill(absent, -torch.inf)
        cotangent = cotangent.masked_fill(absent, 0.0)
    policy = torch.softmax(logits, dim=-1)
    return torch.addcmul(cotangent, policy, cotangent.sum(-1, keepdim=True), value=-1)


@dataclass(frozen=True, eq=False)
class Prefixes:
    """What is written in every state of a sequence problem: a prompt, and tokens behind it.

    A state that is not one of writing any more, behind an end token, has no prompt and no tokens.

    Attributes
    ----------
    prompts
        Number of the prompt of every state, -1 where nothing more is written, shape (states,).
    tokens
        Tokens in the order they were written, -1 from the first that is not written on, shape (states,
        length - 1). The prefixes of a prefix are states as well.
    vocabulary
        Number of tokens: actions are tokens.
    length
        Tokens of a sequence at most.
    end
        The token behind which nothing is written; None where all sequences have ``length`` tokens.
    """

    prompts: Int[Tensor, " s"]
    tokens: Int[Tensor, "s position"]
    vocabulary: int
    length: int
    end: int | None = None

    def to(self, device: torch.device | str) -> Prefixes:
        """Return the same on ``device``."""
        return replace(self, prompts=self.prompts.to(device), tokens=self.tokens.to(device))


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a reward or policy class may see of a problem.

    Attributes
    ----------
    observations
        Feature vector of every state, shape (states, observation): all that log-linear and neural
        classes see of a state.
    features
        Features of linear rewards, shape (states, actions, parameter).
    log_reference
        ``log pi_ref``, shape (steps, states, actions); one step for a stationary policy. ``ABSENT`` for
        actions that do not exist in a state, to which no policy gives a positive probability.
    prefixes
        What is written in every state, for classes that read sequences; None where states are no
        prefixes.
    """

    observations: Float[Tensor, "s observation"]
    features: Float[Tensor, "s a parameter"]
    log_reference: Float[Tensor, "h s a"]
    prefixes: Prefixes | None = None

    def to(self, device: torch.device | str) -> ModelInputs:
        """Return the same on ``device``."""
        return ModelInputs(
            observations=self.observations.to(device),
            features=self.features.to(device),
            log_reference=self.log_reference.to(device),
            prefixes=None if self.prefixes is None else self.prefixes.to(device),
        )


@runtime_checkable
class RewardModel(Protocol):
    """A reward class bound to a problem, ``phi -> r_phi``."""

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        ...

    def table(self, phi: Float[Tensor, "replicate parameter"]) -> Float[Tensor, "replicate s a"]:
        """Return the reward of every state and action."""
        ...

    def pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * table(phi))``."""
        ...

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return where a run starts, from standard normal ``noise`` of each replicate."""
        ...


@runtime_checkable
class PolicyModel(Protocol):
    """A policy class bound to a problem, ``lambda -> pi_lambda``."""

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        ...

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the normalised log-probabilities of every step, state and action.

        Those of actions that do not exist are ``ABSENT`` (:func:`log_policy_of`).
        """
        ...

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * table(parameters))``."""
        ...

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return where a run starts, from standard normal ``noise`` of each replicate.

        The policy there is the reference policy, unless the class is asked for another start.
        """
        ...


@runtime_checkable
class ReadsRows(Protocol):
    """A model that answers for some rows of its table without computing the others.

    Optional beside :class:`RewardModel` and :class:`PolicyModel`: what is drawn names far fewer states
    than a problem of sequences has. Rows of a policy are the log-probabilities of a state's actions, and
    are named by the number of the state; rows of a reward are single numbers, and are named by
    ``state * actions + action``. Every replicate names its own, in any order, also several times.
    """

    def rows(
        self, parameters: Float[Tensor, "replicate parameter"], index: Int[Tensor, "replicate row"]
    ) -> Float[Tensor, "replicate row *a"]:
        """Return the rows of the table that ``index`` names."""
        ...

    def rows_pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        index: Int[Tensor, "replicate row"],
        cotangent: Float[Tensor, "replicate row *a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``parameters`` of ``sum(cotangent * rows(parameters, index))``."""
        ...


class RewardClass(Settings, ABC):
    """A reward class by its settings; a concrete one is a frozen dataclass.

    Attributes
    ----------
    name
        Name of the class in experiment files.
    reads_prefixes
        Whether it reads sequences, and is bound to problems of sequences only.
    """

    name: ClassVar[str]
    reads_prefixes: ClassVar[bool] = False

    @abstractmethod
    def bind(self, inputs: ModelInputs) -> RewardModel:
        """Return the model of this class on a problem's states and actions."""


class PolicyClass(Settings, ABC):
    """A policy class by its settings; a concrete one is a frozen dataclass.

    Attributes
    ----------
    name
        Name of the class in experiment files.
    reads_prefixes
        Whether it reads sequences, and is bound to problems of sequences only.
    """

    name: ClassVar[str]
    reads_prefixes: ClassVar[bool] = False

    @abstractmethod
    def bind(self, inputs: ModelInputs) -> PolicyModel:
        """Return the model of this class on a problem's steps, states and actions."""
