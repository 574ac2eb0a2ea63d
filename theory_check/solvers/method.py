"""What is compared: a solver with its schedule, its tuning grid and the rate that its source states.

A module of this room that defines a :class:`Method` takes part in ``theory-check compare``; a
solver can have several, such as one for each coupling.
"""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from theory_check.errors import InvalidArgumentError, require_fraction, shortened
from theory_check.provenance import FOR_ACCURACY, StatedRate
from theory_check.settings import Positive, Settings, instance_of

__all__ = [
    "GRID_SIZE",
    "Constants",
    "KnownMethod",
    "Method",
    "Plan",
    "Scales",
    "StatedRate",
    "whole",
]

GRID_SIZE = 16
"""Settings of the grid of every method, no more and no fewer: a comparison begins in its middle, and the
measurement of the fewest samples at all of them."""

ROUNDING = 1e-9
"""A product that is an integer up to rounding stays that integer: 2 / 0.1 is 20 steps, not 21."""

Constants = Mapping[str, float]


@dataclass(frozen=True)
class Scales(Settings):
    """Units of the constants, measured exactly on the problem and equal for all methods.

    Constants of a grid are pure numbers, so that one grid serves problems whose rewards, horizons and
    KL weights differ by orders of magnitude (``docs/theory.md`` section 7.1).

    Attributes
    ----------
    outer_step
        ``1 / L`` with L the largest curvature of ``Phi`` at 16 starts that no reported run uses.
    inner_step
        ``1 / L`` with L the largest curvature of ``J`` in the policy parameters at those starts.
    kl_weight
        The KL weight, in reward units, by which a response is divided; 1 where a problem has none.
    sigma
        Unit of sigma: the KL weight, and where there is none the sigma whose penalty bias is, by its
        slope at 0, as large as a gradient in the unit of accuracies.
    batch
        Rollouts whose mean ``∂_x g`` has a noise of the size of the median ``‖∇Phi‖²`` at those starts:
        the total variance of one over that.
    """

    outer_step: Positive
    inner_step: Positive
    kl_weight: Positive
    sigma: Positive
    batch: Positive

    def direct_batch(self, share: float) -> int:
        """Return the batch of a gradient whose noise is ``share`` of the start's squared gradient."""
        return whole(self.batch / share)

    def response_batch(self, share: float) -> int:
        """Return the same for a response, which is divided by the KL weight."""
        return whole(self.batch * (1 + self.kl_weight**-2) / (2 * share))

    def penalty_batch(self, share: float, sigma: float) -> int:
        """Return the same for a difference of independent batches over sigma."""
        return whole(2 * self.batch / (share * sigma**2))


@dataclass(frozen=True)
class Plan:
    """A solver that is configured for one accuracy.

    Attributes
    ----------
    iterations
        Outer iterations after which the run has failed.
    solver
        The configured solver.
    """

    iterations: int
    solver: Any


@dataclass(frozen=True, eq=False)
class Method:
    """A contender of ``theory-check compare``.

    Attributes
    ----------
    id
        Its name in tables and on the command line.
    title
        How figures and tables call it.
    solver
        Class of the solver.
    constants
        The levels of each of its constants, pure numbers; the grid is their product, of
        ``GRID_SIZE`` settings.
    plan
        ``plan(epsilon, constants, scales)`` returns the plan for an accuracy relative to the start,
        in (0, 1).
    rate
        What its source states; None where it states none.
    trade_offs
        Pairs of constants of which one makes up for the other, so that a search has to change both;
        every two when None.
    ignores_response
        Whether it leaves out how the policy responds to the reward.
    learns_reward
        Whether it has a reward model. One without starts at the reference policy, whose implied reward
        is 0, and not where the others do.
    baseline
        Whether it is what exact information reaches, with whose iterations others are compared.
    shared_batch_of
        Id of the method that differs by independent batches alone; None where there is none.
    """

    id: str
    title: str
    solver: type[Any]
    constants: Mapping[str, tuple[float, ...]]
    plan: Callable[[float, Constants, Scales], Plan]
    rate: StatedRate | None
    trade_offs: tuple[tuple[str, str], ...] | None = None
    ignores_response: bool = False
    learns_reward: bool = True
    baseline: bool = False
    shared_batch_of: str | None = None

    def __post_init__(self) -> None:
        """Refuse a grid that is larger or smaller than those of the other methods."""
        size = math.prod(len(levels) for levels in self.constants.values())
        if size != GRID_SIZE:
            raise InvalidArgumentError(
                "constants", f"a grid of {size} settings", f"declare {GRID_SIZE}, as every method"
            )
        unknown = {name for pair in self.trade_offs or () for name in pair} - self.constants.keys()
        if unknown:
            raise InvalidArgumentError(
                "trade_offs", sorted(unknown), f"name {list(self.constants)}"
            )

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Travel by the name that its module gives it, so that it arrives as the same object."""
        for module in (self.plan.__module__, self.solver.__module__):
            for name, value in vars(sys.modules.get(module, object)).items():
                if value is self:
                    return _defined, (module, name)
        return super().__reduce__()

    @property
    def known_as(self) -> str:
        """What stands for it among the settings of a cell; its source is one of the cell's files."""
        return self.id

    def __repr__(self) -> str:
        """Say on one line what it is."""
        rate = "no stated rate"
        if self.rate is not None:
            rate = f"epsilon^-{self.rate.exponent:g} {self.rate.cost}"
            rate += f"{FOR_ACCURACY[self.rate.accuracy]} [{self.rate.provenance}]"
        constants = ", ".join(self.constants)
        return f"<Method {self.id}: {self.solver.__name__}, constants {constants}; {rate}>"

    @property
    def centre(self) -> dict[str, float]:
        """The geometric mean of the levels of each constant."""
        return {
            name: math.exp(sum(map(math.log, levels)) / len(levels))
            for name, levels in self.constants.items()
        }

    @property
    def grid(self) -> list[dict[str, float]]:
        """Every setting of the constants."""
        names = list(self.constants)
        return [
            dict(zip(names, levels, strict=True))
            for levels in itertools.product(*self.constants.values())
        ]

    def configure(self, epsilon: float, constants: Constants, scales: Scales) -> Plan:
        """Return the plan for an accuracy relative to the start.

        Raises
        ------
        InvalidArgumentError
            If ``epsilon`` is not in (0, 1), or constants are missing or unknown.
        """
        require_fraction("epsilon", epsilon)
        self.require_constants("constants", constants)
        return self.plan(epsilon, constants, scales)

    def require_constants(self, argument: str, given: Constants) -> None:
        """Refuse values of other constants than its own, and of some of them alone."""
        if given.keys() != self.constants.keys():
            raise InvalidArgumentError(
                argument, shortened(sorted(given)), f"pass {', '.join(self.constants)}"
            )

    def require_samples(self, argument: str) -> None:
        """Refuse it where samples are counted and its solver draws none."""
        if self.solver.information != "samples":
            raise InvalidArgumentError(
                argument, repr(self.id), "name one that draws samples: it asks for exact quantities"
            )


KnownMethod = Annotated[Method, instance_of(Method, "pass one of a catalogue's methods")]
"""A method, as a setting."""


def _defined(module: str, name: str) -> Method:
    found: Method = getattr(importlib.import_module(module), name)
    return found


def whole(value: float) -> int:
    """Return the smallest integer of at least ``value``, and of at least 1."""
    return max(1, math.ceil(value * (1 - ROUNDING)))
