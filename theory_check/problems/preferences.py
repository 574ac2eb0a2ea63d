"""Laws of the annotator's labels: how often the trajectory of the higher true return wins.

A law is an odd function of the difference of true returns, ``a(D*) = P*(first wins) - P*(second wins)``
(``docs/theory.md`` section 1.9). The reward learner's own model is Bradley-Terry at temperature 1
whatever the annotator does: another law than that ends the realisable case.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError, is_setting, require_choice, shortened
from theory_check.settings import Check, NonNegative, Scale, Settings

Floats = NDArray[np.float64]


def _require_share(argument: str, value: object) -> None:
    if not is_setting(value) or not 0 <= value < 1:
        raise InvalidArgumentError(
            argument, shortened(value), "pass a share of random answers in [0, 1)"
        )


RandomShare = Annotated[float, Check(_require_share)]
"""At least 0 and below 1: with nothing but random answers there is nothing to learn."""


class PreferenceLaw(Settings, ABC):
    """How an annotator answers; a concrete one is a frozen dataclass of its settings.

    Attributes
    ----------
    name
        Name of the law in experiment files.
    random_share
        Share of the answers that are a fair coin, in [0, 1).
    """

    name: ClassVar[str]
    random_share: float

    def __post_init__(self) -> None:
        """Refuse what a setting does not take, and keep 2 as 2.0: problems are keyed by what is kept."""
        super().__post_init__()
        for setting in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, setting.name, float(getattr(self, setting.name)))

    def advantage(self, difference: Tensor) -> Tensor:
        """Return ``P*(first wins) - P*(second wins)`` at differences of true returns; any shape."""
        return torch.sign(difference) * (1 - 2 * self.upset(difference.abs()))

    def preferred(self, difference: Tensor) -> Tensor:
        """Return ``P*(first wins)`` at differences of true returns; any shape."""
        upset = self.upset(difference.abs())
        return torch.where(difference < 0, upset, 1 - upset)

    def upset(self, gap: Tensor) -> Tensor:
        """Return the probability that the smaller return wins, at gaps of at least 0; any shape."""
        return 0.5 * self.random_share + (1 - self.random_share) * self._decided_upset(gap)

    def entropy(self, difference: Tensor) -> Tensor:
        """Return the entropy of a label in nats; any shape."""
        upset = self.upset(difference.abs())
        return -torch.xlogy(upset, upset) - (1 - upset) * torch.log1p(-upset)

    def transform(self, frequencies: Floats) -> Floats:
        """Return ``∫ a'(x) cos(w x) dx`` at frequencies above 0."""
        return (1 - self.random_share) * self._decided_transform(frequencies)

    @property
    def standard(self) -> bool:
        """Whether it is the law that reward learners assume."""
        return self == BradleyTerry()

    @property
    @abstractmethod
    def compiled(self) -> tuple[int, float, float, float]:
        """For kernels: 0 (logistic) or 1 (normal), scale, half-width of ties, share of random answers."""

    @property
    @abstractmethod
    def strip(self) -> float:
        """Half the width of a strip around the real line where advantage and entropy are analytic."""

    @abstractmethod
    def settled(self, tolerance: float) -> float:
        """Return the gap beyond which an upset is rarer than ``tolerance``, random answers aside."""

    @abstractmethod
    def _decided_upset(self, gap: Tensor) -> Tensor:
        """Return :meth:`upset` where no answer is random."""

    @abstractmethod
    def _decided_transform(self, frequencies: Floats) -> Floats:
        """Return :meth:`transform` where no answer is random."""


@dataclass(frozen=True)
class BradleyTerry(PreferenceLaw):
    """``P*(first wins) = sigmoid(D* / temperature)``.

    Attributes
    ----------
    temperature
        Unit of true returns; 1 is the law that reward learners assume.
    random_share
        As in :class:`PreferenceLaw`.
    tie
        Half-width of the band around 0 where the annotator sees a tie, in the unit of true returns; ties
        are answered by a fair coin (Rao and Kupper, JASA 62, 1967).
    """

    name: ClassVar[str] = "bradley-terry"
    temperature: Scale = 1.0
    random_share: RandomShare = 0.0
    tie: NonNegative = 0.0

    @property
    def compiled(self) -> tuple[int, float, float, float]:
        """What kernels need."""
        return 0, float(self.temperature), float(self.tie), float(self.random_share)

    @property
    def strip(self) -> float:
        """The poles of ``sigmoid`` lie at odd multiples of ``pi i``."""
        return math.pi * self.temperature

    def settled(self, tolerance: float) -> float:
        """Return where ``exp(-gap / temperature)`` is ``tolerance``, behind the ties."""
        return self.tie - self.temperature * math.log(tolerance)

    def _decided_upset(self, gap: Tensor) -> Tensor:
        if not self.tie:
            return torch.sigmoid(-gap / self.temperature)
        behind = torch.sigmoid(-(gap + self.tie) / self.temperature)
        return 0.5 * (behind + torch.sigmoid(-(gap - self.tie) / self.temperature))

    def _decided_transform(self, frequencies: Floats) -> Floats:
        scaled = math.pi * self.temperature * frequencies
        # x / sinh(x), which does not overflow.
        bell: Floats = 4 * scaled * np.exp(-scaled) / -np.expm1(-2 * scaled)
        return bell * np.cos(frequencies * self.tie)


@dataclass(frozen=True)
class Thurstone(PreferenceLaw):
    """``P*(first wins) = normal cdf(D* / deviation)``: returns are seen with normal errors.

    Thurstone, Psychological Review 34 (1927), case V; ``deviation`` is that of the difference of both
    errors.

    Attributes
    ----------
    deviation
        In the unit of true returns.
    random_share
        As in :class:`PreferenceLaw`.
    """

    name: ClassVar[str] = "thurstone"
    deviation: Scale = 1.0
    random_share: RandomShare = 0.0

    @property
    def compiled(self) -> tuple[int, float, float, float]:
        """What kernels need."""
        return 1, float(self.deviation), 0.0, float(self.random_share)

    @property
    def strip(self) -> float:
        """Below the smallest imaginary part of a zero of an upset's probability.

        ``erfc`` has zeros at -1.3548 ± 1.9915 i, and takes small negative values, which a share of random
        answers lifts to 0, nearer to the real line: a bound that a test compares with the zeros.
        """
        zero = 1.9915
        if self.random_share:
            zero = min(zero, math.pi / (2 * math.sqrt(1 - math.log(self.random_share))))
        return zero * math.sqrt(2) * self.deviation

    def settled(self, tolerance: float) -> float:
        """Return where ``exp(-gap^2 / (2 deviation^2))`` is ``tolerance``."""
        return self.deviation * math.sqrt(-2 * math.log(tolerance))

    def _decided_upset(self, gap: Tensor) -> Tensor:
        upset: Tensor = 0.5 * torch.special.erfc(gap / (math.sqrt(2) * self.deviation))
        return upset

    def _decided_transform(self, frequencies: Floats) -> Floats:
        found: Floats = 2 * np.exp(-0.5 * np.square(self.deviation * frequencies))
        return found


LAWS: dict[str, type[PreferenceLaw]] = {law.name: law for law in (BradleyTerry, Thurstone)}


def preference_law(argument: str, given: Any) -> PreferenceLaw:
    """Return a law, that of a name with its defaults, or that of a table with ``name`` and settings.

    Raises
    ------
    InvalidArgumentError
        If it names no law, a setting that the law does not have, or a value that a setting does not
        take, as ``preferences.random_share``.
    """
    if isinstance(given, PreferenceLaw):
        return given
    settings = {"name": given} if isinstance(given, str) else given
    if not isinstance(settings, dict) or "name" not in settings:
        raise InvalidArgumentError(
            argument,
            shortened(given),
            f"pass a law, or a table with `name`, one of {', '.join(LAWS)}, and its settings",
        )
    require_choice(argument, settings["name"], LAWS)
    law = LAWS[settings["name"]]
    known = {each.name for each in fields(law)}  # type: ignore[arg-type]
    for setting in settings.keys() - known - {"name"}:
        raise InvalidArgumentError(
            f"{argument}.{setting}",
            shortened(settings[setting]),
            f"{law.name} has the settings {', '.join(sorted(known))}",
        )
    try:
        return law(**{key: value for key, value in settings.items() if key != "name"})
    except InvalidArgumentError as error:
        where = f"{argument}.{error.argument}"
        raise InvalidArgumentError(where, error.received, error.remedy) from error
