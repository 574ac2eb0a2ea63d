"""The kinds of rate that a claim may state, each with its declared bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from theory_check.claims.computed_rates import CurveRate, RatioRate
from theory_check.claims.resolving import require_resolving

__all__ = [
    "AttainedRate",
    "BoundRate",
    "CurveRate",
    "GeometricRate",
    "InequalityRate",
    "PowerRate",
    "Rate",
    "RatioRate",
    "ScheduleRate",
]


@dataclass(frozen=True)
class PowerRate:
    """``y`` behaves like ``x ** exponent``, or like ``(1/x) ** exponent`` when ``reciprocal``.

    Attributes
    ----------
    name
        Short name of the dependence, such as ``"gradient"`` or ``"1/sigma"``.
    x, y
        Columns of the experiment's table.
    exponent
        Predicted exponent of ``y`` in ``x`` (in ``1/x`` when ``reciprocal``).
    reciprocal
        Whether the exponent refers to ``1/x``.
    limit
        Where the statement is asymptotic: ``x`` towards ``"zero"`` or ``"infinity"``.
    better
        The side of the predicted exponent on which the measured rate beats the bound.
    resolution
        Half-width of the band around ``exponent`` inside which a difference is not judged:
        what finite range and curvature may explain. Declared before measuring; at most a quarter
        of the gap to the nearest rival.
    rivals
        Exponents, in the same variable, that alternatives to the statement predict: at least the
        nearest on each side where there is one.
    y_units
        ``"norm"`` or ``"squared norm"`` for gradient-like quantities (an exponent p in squared
        units is p/2 in norm units); ``"value"`` where the distinction has no meaning.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    where
        Rows of the table that this rate is about: column name to required value.
    floor
        What a curve that flattens at the limit means: ``"allowed"`` where the statement has a
        floor of its own, ``"unjudged"`` where it has none but the experiment may (rounding, a
        batch size), ``"refutes"`` where the experiment leaves no other explanation.
    correction
        Order up to which the departure from the power law is expanded in the variable that vanishes
        at the limit, x or 1/x (``docs/theory.md`` section 6.6): ``"linear"`` fits
        ``y = C x**p (1 + c x)`` to second order. For statements about the limit only: the exponent
        of ``"none"`` is the mean slope of the range.
    """

    name: str
    x: str
    y: str
    exponent: float
    reciprocal: bool
    limit: Literal["zero", "infinity"]
    better: Literal["larger", "smaller"]
    resolution: float
    rivals: tuple[float, ...]
    y_units: Literal["norm", "squared norm", "value"]
    x_symbol: str
    y_symbol: str
    where: Mapping[str, object] = field(default_factory=dict)
    floor: Literal["allowed", "unjudged", "refutes"] = "unjudged"
    correction: Literal["none", "linear", "quadratic"] = "none"

    def __post_init__(self) -> None:
        """Refuse a band that could not tell the exponent from its nearest rival.

        Raises
        ------
        InvalidArgumentError
            Without rivals, with a rival that is the exponent itself, or with a resolution above a
            quarter of the gap to the nearest.
        """
        require_resolving("resolution", self.resolution, self.exponent, self.rivals)


@dataclass(frozen=True)
class UpperBoundRate(PowerRate):
    """``y`` grows at most like ``x ** exponent`` towards the limit, or like ``(1/x) ** exponent``.

    A bound says nothing of the shape of the curve below it, so that no straight line is asked for: what
    is judged is the exponent of the mean curve over the half of the points next to the limit.
    Attributes are those of :class:`PowerRate`, of which ``floor`` and ``correction`` have no meaning
    here.
    """


@dataclass(frozen=True)
class GeometricRate:
    """``y`` decays like ``rho ** x`` with some ``rho < 1``, rather than like a power of ``x``.

    Attributes are those of :class:`PowerRate`; ``minimum_decades`` is the range of ``y`` over
    which the decay must have been seen before it is judged. Below ``resolved``, as a share of its
    start, the measurement is not exact enough to tell a floor from its own error.
    """

    name: str
    x: str
    y: str
    minimum_decades: float
    x_symbol: str
    y_symbol: str
    where: Mapping[str, object] = field(default_factory=dict)
    resolved: float = 1e-20


@dataclass(frozen=True)
class ScheduleRate:
    """A schedule suffices: the accuracy it reaches stays below a multiple of every target.

    The experiment fixes the samples, so their exponent is an identity and is not judged. Judged is
    the ratio of accuracy to target: a schedule with a wrong exponent lets it grow like a power of
    1/target of at least ``rival``, however small it is at first.

    Attributes
    ----------
    name
        Short name of the dependence.
    x
        Column of the target epsilon, a squared norm.
    y
        Column of the accuracy reached, a squared norm.
    noise
        Column of the squared sampling error of the estimates; where it is 0 the run says nothing
        about samples.
    multiple
        What the ratio must not exceed at any target. Declared before measuring.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    where
        Rows of the table that this rate is about: column name to required value.
    rival
        Exponent in 1/epsilon of the ratio under the nearest wrong schedule.
    resolution
        Largest exponent of the ratio that still counts as none: at most a quarter of ``rival``.
    minimum_decades
        Decades of targets that are needed.
    """

    name: str
    x: str
    y: str
    noise: str
    multiple: float
    x_symbol: str
    y_symbol: str
    where: Mapping[str, object] = field(default_factory=dict)
    rival: float = 0.5
    resolution: float = 0.125
    minimum_decades: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a band that reaches towards the rival."""
        require_resolving("resolution", self.resolution, 0.0, (self.rival,))


@dataclass(frozen=True)
class AttainedRate:
    """``epsilon ** -exponent`` samples are what an accuracy costs a tuned method.

    Attributes
    ----------
    name
        Short name of the dependence.
    x
        Column of the target epsilon, a squared norm.
    y
        Column of the fewest samples found.
    exponent
        Exponent of the samples in 1/epsilon, for accuracy as a squared norm; twice that in norm
        units.
    rivals
        Exponents of other bounds, from which the data have to tell this one.
    resolution
        Half-width of the band around ``exponent``, at most a quarter of the gap to the nearest rival.
        Declared before measuring.
    schedule
        Exponents in 1/epsilon that the bound pays for, by column of the settings found
        (``iterations``, ``trajectories``, ...): where the cost is less, the report names those that
        are not needed.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    where
        Rows of the table that this rate is about: column name to required value.
    minimum_decades
        Decades of targets that are needed.
    widest_interval
        An interval of the exponent wider than this contains too much to agree.
    """

    name: str
    x: str
    y: str
    exponent: float
    rivals: tuple[float, ...]
    resolution: float
    schedule: Mapping[str, float]
    x_symbol: str
    y_symbol: str
    where: Mapping[str, object] = field(default_factory=dict)
    minimum_decades: float = 2.0
    widest_interval: float = 0.4

    def __post_init__(self) -> None:
        """Refuse a band that reaches towards a rival."""
        require_resolving("resolution", self.resolution, self.exponent, self.rivals)


@dataclass(frozen=True)
class BoundRate:
    """A sum of terms explains an error over a factorial design, each with its exponents.

    The terms (``docs/theory.md`` sections 3.3, 3.4, 4.3, 4.4 and 5.3) are ``"optimisation"`` a/T,
    ``"bias"`` b sigma², ``"sampling"`` c/(sigma² n), or c/n when ``coupled``, and ``"inner"``
    d rho^K/sigma². All numbers below are declared before measuring.

    Attributes
    ----------
    name
        Short name of the dependence.
    x
        Column of T; sigma, n and K are in ``sigma``, ``trajectories`` and ``inner_steps``.
    y
        Column of the error, a squared norm.
    coupled
        Whether the batch is shared.
    required
        Terms without which nothing is decided: each must hold at least half of the error at
        ``minimum_points`` design points.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    minimum_explained
        Share of the variance of the log mean error that the bound must explain.
    minimum_gain
        By how much that must exceed what the best term explains alone.
    minimum_points
        Design points a term must dominate before its exponents are judged.
    resolution
        Half-width of the band around each exponent inside which a difference is not judged; a
        quarter of the gap to the nearest rival (``docs/theory.md`` section 5.6) where that is
        smaller.
    widest_interval
        An interval of an exponent wider than this contains too much to judge.
    where
        Rows of the table that this rate is about: column name to required value.
    """

    name: str
    x: str
    y: str
    coupled: bool
    required: tuple[str, ...]
    x_symbol: str
    y_symbol: str
    minimum_explained: float = 0.9
    minimum_gain: float = 0.1
    minimum_points: int = 4
    resolution: float = 0.2
    widest_interval: float = 0.8
    where: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class InequalityRate:
    """``low <= y <= high`` in every row of a seed, for all seeds but a declared share.

    Attributes
    ----------
    name
        Short name of the inequality.
    x
        Column that tells the rows of a seed apart.
    y
        Column that is bounded; an infinite value keeps no inequality.
    low, high
        The bounds, None on a side without one.
    allowed_share
        Largest share of the seeds that may break the inequality, in [0, 1): of those measured, or, with
        a ``confidence``, of all that there could be.
    x_symbol, y_symbol
        Labels for figures, in mathtext.
    where
        Rows of the table that this rate is about: column name to required value.
    confidence
        Level at which the share has to be shown, by the one-sided Clopper-Pearson end; None where the
        seeds measured are all that the statement is about.
    """

    name: str
    x: str
    y: str
    low: float | None
    high: float | None
    allowed_share: float
    x_symbol: str
    y_symbol: str
    where: Mapping[str, object] = field(default_factory=dict)
    confidence: float | None = None


Rate = (
    PowerRate
    | GeometricRate
    | ScheduleRate
    | AttainedRate
    | BoundRate
    | InequalityRate
    | CurveRate
    | RatioRate
)
