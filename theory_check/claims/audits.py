"""Assumptions of the theory, and how measurements along runs can refute them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from theory_check.thresholds import NEGLIGIBLE


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


LOWER_PL = Audit(
    id="lower-pl",
    statement="‖∇_lambda J‖² >= 2 mu (J* - J) along the run, with mu > 0",
    source="docs/theory.md section 5.5",
    symbol=r"$\mu_{\mathrm{PL}}$",
    # Growth of order p gives |grad|² ~ gap^(2 - 2/p): 1 at p = 2, 3/2 for the quartic. Rounding of a
    # gradient, 1e-16, is 1e-6 of one whose gap is 1e-20.
    rule=GrowthRule(
        x="lower_gap", y="lower_gradient", power=2, scale=2.0, resolved=1e-20, resolution=0.1
    ),
)


ERROR_BOUND = Audit(
    id="error-bound",
    statement="‖∇_lambda h_sigma(lambda')‖ >= mu dist(lambda', argmin h_sigma) along the run, with "
    "mu > 0 that does not vanish with sigma",
    source="docs/theory.md section 5.5",
    symbol=r"$\mu_{\mathrm{EB}}$",
    # Growth of order p gives |grad| ~ dist^(p - 1) beyond the reach of sigma G, and a constant that
    # vanishes with sigma within it. Minimisers are known to 1e-14 over mu, at worst.
    rule=GrowthRule(
        x="penalised_distance",
        y="penalised_gradient",
        power=1,
        scale=1.0,
        resolved=1e-8,
        resolution=0.1,
        uniform_in="solver.sigma",
    ),
)


WEAK_GRADIENT_DOMINATION = Audit(
    id="weak-gradient-domination",
    statement="J* - J <= c ‖∇_lambda J‖ + eps' along the run, with a negligible eps'",
    source="docs/theory.md section 5.5",
    symbol=r"$c_{\mathrm{WGD}}$",
    rule=DominationRule(x="lower_gradient", y="lower_gap", negligible=NEGLIGIBLE),
)


OUTER_STEP = Audit(
    id="outer-step",
    statement="eta L < 2 with L the largest spectral norm of ∇²Phi_sigma along the run",
    source="docs/theory.md section 5.5",
    symbol=r"$L_{\Phi_\sigma}$",
    rule=StepRule(column="outer_curvature", step="outer"),
)


INNER_STEP = Audit(
    id="inner-step",
    statement="alpha L < 2 with L the largest spectral norm of the Hessians of J and h_sigma in "
    "lambda along the run",
    source="docs/theory.md section 5.5",
    symbol=r"$L_{h_\sigma}$",
    rule=StepRule(column="inner_curvature", step="inner"),
)


POLICY_SUPPORT = Audit(
    id="policy-support",
    statement="every action keeps a probability of at least 1e-3 along the run, in both policies",
    source="docs/theory.md section 5.5",
    symbol=r"$\min\,\pi(a|s)$",
    # At this level 1e4 trajectories, the batch at which the noise is measured against sigma, still
    # draw the action about ten times.
    rule=LevelRule(column="min_policy_probability", level=1e-3),
)
