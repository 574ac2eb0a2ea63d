"""What an audit is: an assumption of the theory, and how measurements along runs can refute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GrowthRule:
    """``y ** power >= scale * mu * x``, with a ``mu`` that does not vanish as ``x`` does.

    Attributes
    ----------
    x, y
        Columns of the audits' table, both 0 at a solution.
    power, scale
        Constants of the inequality.
    resolved
        Smallest ``x`` at which rounding leaves both columns accurate to about 1e-6.
    resolution
        By how much the exponent of ``y ** power`` in ``x``, fitted over the smaller half of the
        decades of ``x``, may exceed 1 before the inequality counts as lost. Declared before
        measuring.
    uniform_in
        Setting that ``mu`` must not vanish with, as it tends to 0; the exponent of the smallest
        ratio in it may not exceed the resolution either.
    """

    x: str
    y: str
    power: int
    scale: float
    resolved: float
    resolution: float
    uniform_in: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the audits' table that the rule reads."""
        return (self.x, self.y, *(() if self.uniform_in is None else (self.uniform_in,)))


@dataclass(frozen=True)
class DominationRule:
    """``y <= c * x + floor``, with a floor that is negligible.

    Attributes
    ----------
    x, y
        Columns of the audits' table.
    negligible
        Share of the largest ``y`` of a run below which its floor counts as none. Declared before
        measuring.
    """

    x: str
    y: str
    negligible: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the audits' table that the rule reads."""
        return (self.x, self.y)


@dataclass(frozen=True)
class LevelRule:
    """The smallest value of a column stays above a level.

    Attributes
    ----------
    column
        Column of the audits' table.
    level
        Declared before measuring.
    """

    column: str
    level: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the audits' table that the rule reads."""
        return (self.column,)


@dataclass(frozen=True)
class StepRule:
    """A step size times the largest curvature seen stays below a limit.

    Attributes
    ----------
    column
        Column of the curvatures.
    step
        Which step of the claim's own experiment is meant.
    limit
        2 by the descent lemma: ``f(x - eta grad f) <= f(x) - eta (1 - L eta / 2) |grad f|²``.
    """

    column: str
    step: Literal["outer", "inner"]
    limit: float = 2.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the audits' table that the rule reads."""
        return (self.column,)


Rule = GrowthRule | DominationRule | LevelRule | StepRule


@dataclass(frozen=True)
class Audit:
    """An assumption that is measured along runs of the reference solver.

    Attributes
    ----------
    id
        Name that claims refer to.
    statement
        One sentence, in the symbols of ``docs/theory.md``.
    source
        Section of ``docs/theory.md``, or paper.
    symbol
        The measured constant, in mathtext.
    rule
        How the assumption can fail.
    experiments
        Stems of the files in ``experiments/`` whose tables are the evidence.
    """

    id: str
    statement: str
    source: str
    symbol: str
    rule: Rule
    experiments: tuple[str, ...] = ("audits", "audits-discounted", "control-audits")
