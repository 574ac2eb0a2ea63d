"""What a class of networks cannot represent: convex objectives of its outputs, with their curvature.

Both are 0 where the outputs represent the target, and are exact (``docs/theory.md`` section 5.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from theory_check.oracles.comparisons.pairs import LINEAR_FROM
from theory_check.oracles.control.soft_control import SoftControl


@dataclass(frozen=True, eq=False)
class LocalModel:
    """An objective near some outputs, to second order, but for its value.

    Attributes
    ----------
    gradient
        Derivative in the outputs, shape (replicate, entry).
    curvature
        A positive semidefinite matrix, the Hessian in the outputs where the value is 0, shape
        (replicate, entry, entry).
    """

    gradient: Float[Tensor, "replicate entry"]
    curvature: Float[Tensor, "replicate entry entry"]


@runtime_checkable
class OutputObjective(Protocol):
    """A function of a network's outputs, one for each replicate."""

    def value(self, outputs: Float[Tensor, "replicate entry"]) -> Float[Tensor, " replicate"]:
        """Return the objective."""
        ...

    def local_model(self, outputs: Float[Tensor, "replicate entry"]) -> LocalModel:
        """Return its derivatives."""
        ...

    def select(self, replicates: Tensor) -> OutputObjective:
        """Return the objective of some replicates, given as indices."""
        ...


@dataclass(frozen=True, eq=False)
class PolicyGap:
    """``J* - J`` of the policy with logits ``log pi_ref + outputs``, in reward units.

    Attributes
    ----------
    control
        Control of the problem.
    optimal
        ``log pi*`` of each replicate's reward, shape (replicate, h, s, a).
    """

    control: SoftControl
    optimal: Float[Tensor, "replicate h s a"]

    def value(self, outputs: Float[Tensor, "replicate entry"]) -> Float[Tensor, " replicate"]:
        """Return the gap, resolved far below the rounding of ``J`` (section 2.6)."""
        return self.control.lower_gap(_log_policy(self.control, outputs), self.optimal)

    def local_model(self, outputs: Float[Tensor, "replicate entry"]) -> LocalModel:
        """Return the derivatives of the gap.

        The gradient is that of the terms of section 2.6, occupancy included. The curvature leaves
        out what is of the order of ``log pi - log pi*``: ``beta gamma^h Pr(s_h = s) (diag(pi) -
        pi pi^T)`` for every step and state.
        """
        moving = outputs.detach().clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.value(moving).sum(), moving)
        log_policy = _log_policy(self.control, outputs)
        states = self.control.discounted_occupancy(log_policy).sum(-1)
        curvature = _softmax_curvature(log_policy.exp(), self.control.kl_weight * states)
        return LocalModel(gradient, curvature)

    def select(self, replicates: Tensor) -> PolicyGap:
        """Return the objective of some replicates."""
        return PolicyGap(self.control, self.optimal[replicates])


@dataclass(frozen=True, eq=False)
class PolicyImitation:
    """``beta E_{d*}[KL(pi* || pi)]``: imitation of the optimal policy, in reward units.

    Convex in the outputs, which the gap is not: a policy that rarely takes an action learns little
    about it, so that descent on the gap can stall where descent on this does not.

    Attributes
    ----------
    control
        Control of the problem.
    optimal
        ``log pi*`` of each replicate's reward, shape (replicate, h, s, a).
    """

    control: SoftControl
    optimal: Float[Tensor, "replicate h s a"]

    def value(self, outputs: Float[Tensor, "replicate entry"]) -> Float[Tensor, " replicate"]:
        """Return the divergence; its terms cancel, so it is resolved to about 1e-16."""
        log_policy = _log_policy(self.control, outputs)
        visits = self.control.discounted_occupancy(self.optimal)
        gap = (visits * (self.optimal - log_policy)).flatten(1).sum(-1)
        return self.control.kl_weight * gap.clamp_min(0.0)

    def local_model(self, outputs: Float[Tensor, "replicate entry"]) -> LocalModel:
        """Return its derivatives; the curvature is the Hessian in the outputs."""
        beta = self.control.kl_weight
        policy = _log_policy(self.control, outputs).exp()
        visits = self.control.discounted_occupancy(self.optimal)
        states = visits.sum(-1, keepdim=True)
        return LocalModel(
            gradient=beta * (states * policy - visits).flatten(1),
            curvature=_softmax_curvature(policy, beta * states.squeeze(-1)),
        )

    def select(self, replicates: Tensor) -> PolicyImitation:
        """Return the objective of some replicates."""
        return PolicyImitation(self.control, self.optimal[replicates])


@dataclass(frozen=True, eq=False)
class PreferenceRisk:
    """Excess risk of comparisons under a fixed law, ``E[KL(P* || P_r)]`` of outputs r, in nats.

    Attributes
    ----------
    visits
        Discounted visits of every class of trajectories, shape (class, entry).
    true_returns
        ``R*`` of every class, for each replicate's own true reward, shape (replicate, class).
    law
        Probability of every class, shape (replicate, class).
    """

    visits: Float[Tensor, "class entry"]
    true_returns: Float[Tensor, "replicate class"]
    law: Float[Tensor, "replicate class"]

    def value(self, outputs: Float[Tensor, "replicate entry"]) -> Float[Tensor, " replicate"]:
        """Return the risk; its terms cancel, so it is resolved to about 1e-16."""
        difference, true_difference = self._differences(outputs)
        risk = softplus(difference, threshold=LINEAR_FROM)
        risk = risk - softplus(true_difference, threshold=LINEAR_FROM)
        risk = risk - torch.sigmoid(true_difference) * (difference - true_difference)
        return torch.einsum("ri,rij,rj->r", self.law, risk, self.law).clamp_min(0.0)

    def local_model(self, outputs: Float[Tensor, "replicate entry"]) -> LocalModel:
        """Return its derivatives; the curvature is the Hessian in the outputs."""
        difference, true_difference = self._differences(outputs)
        modelled = torch.sigmoid(difference)
        pairs = self.law[:, :, None] * self.law[:, None, :]
        residual = 2 * (pairs * (modelled - torch.sigmoid(true_difference))).sum(-1)
        weight = 2 * pairs * modelled * (1 - modelled)
        laplacian = torch.diag_embed(weight.sum(-1)) - weight
        return LocalModel(
            gradient=residual @ self.visits,
            curvature=self.visits.T @ laplacian @ self.visits,
        )

    def select(self, replicates: Tensor) -> PreferenceRisk:
        """Return the objective of some replicates."""
        return PreferenceRisk(self.visits, self.true_returns[replicates], self.law[replicates])

    def _differences(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        returns = outputs @ self.visits.T
        true = self.true_returns
        return returns[:, :, None] - returns[:, None, :], true[:, :, None] - true[:, None, :]


def _log_policy(
    control: SoftControl, outputs: Float[Tensor, "replicate entry"]
) -> Float[Tensor, "replicate h s a"]:
    """Return the policy with logits ``log pi_ref + outputs``."""
    logits = outputs.reshape(-1, *control.policy_shape) + control.log_reference
    return control.normalised(logits)


def _softmax_curvature(
    policy: Float[Tensor, "replicate h s a"], weight: Float[Tensor, "replicate h s"]
) -> Float[Tensor, "replicate entry entry"]:
    """Return ``weight (diag(pi) - pi pi^T)`` for every step and state, as one matrix."""
    blocks = torch.diag_embed(policy) - policy[..., :, None] * policy[..., None, :]
    blocks = (weight[..., None, None] * blocks).flatten(1, 2)
    replicates, rows, actions, _ = blocks.shape
    full = blocks.new_zeros(replicates, rows, actions, rows, actions)
    index = torch.arange(rows, device=blocks.device)
    full[:, index, :, index, :] = blocks.transpose(0, 1)
    return full.reshape(replicates, rows * actions, rows * actions)
