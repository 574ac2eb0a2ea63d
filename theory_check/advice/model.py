"""The model of the error that the advisor minimises the cost of (``docs/theory.md`` section 8).

The ergodic mean of the stationarity after T iterations is modelled as

(1/T) sum_t ‖∇Phi(phi_t)‖²  =  a / T  +  b sigma²  +  c / n               shared batches
                               a / T  +  b sigma²  +  c / (sigma² n)      independent batches
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theory_check.bilevel import Coupling
from theory_check.oracles.estimates.counts import SampleCounts

CHECKED_SEEDS = 16
"""Runs that a plan is made for, and checked on."""

REQUIRED_SHARE = 14 / CHECKED_SEEDS
"""Of the runs that have to meet the target."""

COST_FACTOR = 2.0
"""The cost has to be within this factor of the prediction, either way."""

PLANNED_QUANTILE = 0.97
"""Of the ergodic sum over starts, for T: if each of 16 runs meets the target with this probability,
at least 14 do with probability 0.99 (binomial)."""

PREDICTED_QUANTILE = 0.84
"""Of the ergodic sum over starts, for the cost at which 14 of 16 runs are predicted to have met the
target: (14 - 0.3)/(16 + 0.4), the median of that order statistic."""

SMALLEST_BATCH = 100
"""Below it the estimates of a batch are too far from linear in their averages for c/n."""

LARGEST_PENALTY: Mapping[Coupling, float] = {"shared": 0.1, "independent": 0.5}
"""Where the expansions in sigma are trusted. A smaller sigma costs shared batches nothing."""


@dataclass(frozen=True)
class Shares:
    """How the target is divided among the three terms; the shares add up to 1.

    Attributes
    ----------
    transient, bias, noise
        Of ``a/T``, ``b sigma²`` and the term with n.
    """

    transient: float
    bias: float
    noise: float


SHARES: Mapping[Coupling, Shares] = {
    "shared": Shares(transient=0.475, bias=0.05, noise=0.475),
    "independent": Shares(transient=1 / 3, bias=1 / 3, noise=1 / 3),
}
"""The shares that minimise the cost; the bias of shared batches could have any small one."""


@dataclass(frozen=True)
class TransientSum:
    """Sum of ``‖∇Phi‖²`` over an exact run with step 1/L, squared norm.

    Attributes
    ----------
    planned, predicted
        Its quantiles over starts, :data:`PLANNED_QUANTILE` and :data:`PREDICTED_QUANTILE`.
    """

    planned: float
    predicted: float


@dataclass(frozen=True)
class MeasuredConstants:
    """What the pilot measured of a problem, for one initial scale and target.

    Attributes
    ----------
    outer_curvature
        L: largest curvature of Phi along exact descent, nats per squared unit of phi.
    inner_curvature
        Largest curvature of the lower level along it, reward units per squared logit.
    transient
        a by K.
    bias
        b: squared penalty bias over sigma², at the end of the path; mean over starts.
    noise
        c by coupling and K, squared norm (per sigma^-2 for independent batches), at step 1/L.
    pilot
        Samples of the runs that c was measured on, all replicates together.
    """

    outer_curvature: float
    inner_curvature: float
    transient: Mapping[int, TransientSum]
    bias: float
    noise: Mapping[Coupling, Mapping[int, float]]
    pilot: SampleCounts


def penalty_parameter(epsilon: float, bias: float, coupling: Coupling) -> float:
    """Return the sigma whose bias takes its share of epsilon, or the largest that is trusted."""
    allowed = SHARES[coupling].bias * epsilon
    largest = LARGEST_PENALTY[coupling]
    return largest if bias * largest**2 <= allowed else float((allowed / bias) ** 0.5)
