"""The smallest probability of an action."""

from theory_check.claims.audits.base import Audit, LevelRule

AUDIT = Audit(
    id="policy-support",
    statement="every action keeps a probability of at least 1e-3 along the run, in both policies",
    source="docs/theory.md section 5.5",
    symbol=r"$\min\,\pi(a|s)$",
    # At this level 1e4 trajectories, the batch at which the noise is measured against sigma, still
    # draw the action about ten times.
    rule=LevelRule(column="min_policy_probability", level=1e-3),
)
