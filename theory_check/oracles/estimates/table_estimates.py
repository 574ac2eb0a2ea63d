"""First-order information of both levels for reward and policy tables.

What is estimated, without models: ``RLHFOracle`` pulls these tables back to parameters. Estimators are
sums over what may be drawn, with weights: observed frequencies when sampled, probabilities when
exact. A subclass provides the weights and nothing else, so the expectation of every sampled
estimator is the exact one by construction (``docs/theory.md`` section 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.oracles.comparisons import Comparisons
from theory_check.oracles.control.soft_control import SoftControl


@dataclass(frozen=True, eq=False)
class UpperTables:
    """Gradients of ``G`` from one batch of labelled pairs.

    Attributes
    ----------
    in_reward
        ``dG/dr(s, a)``, shape (replicate, s, a).
    in_policy
        ``dG/dlog pi_h(a|s)`` with free entries, shape (replicate, h, s, a).
    """

    in_reward: Float[Tensor, "replicate s a"]
    in_policy: Float[Tensor, "replicate h s a"]


class TableEstimates(ABC):
    """Estimates of the gradients of ``J`` and ``G`` in tables.

    Where several policies are stacked, each is for all replicates of ``reward``: first all replicates
    of the one, then all of the next.

    Parameters
    ----------
    control, comparisons
        Those of the problem.
    """

    def __init__(self, control: SoftControl, comparisons: Comparisons) -> None:
        self.control = control
        self.comparisons = comparisons
        self.space = comparisons.space
        self._reference_reward = control.kl_weight * control.log_reference

    @abstractmethod
    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return ``dJ/dlog pi`` of each policy: its score times the regularised reward to go.

        ``"independent"`` draws ``samples`` rollouts from each policy; ``"shared"`` draws them from
        the first of two and reweights them for the second.
        """

    @abstractmethod
    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return the gradients of ``G`` from ``samples`` labelled pairs."""

    @abstractmethod
    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``dJ/dr`` of the first policy minus that of the second, two being stacked."""

    def regularised_reward(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
    ) -> Float[Tensor, "stacked h s a"]:
        """Return ``r - beta log(pi / pi_ref)`` of every step."""
        offered = reward[:, None] + self._reference_reward
        stacked = policies.reshape(-1, *offered.shape)
        return torch.sub(offered, stacked, alpha=self.control.kl_weight).flatten(0, 1)
