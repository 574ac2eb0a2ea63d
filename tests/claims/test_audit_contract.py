"""Every audit in the room, and the claims that rest on them."""

import re

import pytest

from theory_check.catalogue import Catalogue
from theory_check.claims import audits
from theory_check.claims.audits import Audit, DominationRule, GrowthRule, LevelRule, StepRule
from theory_check.errors import InvalidArgumentError
from theory_check.recording.audits import MEASURED

AUDITS = Catalogue.shipped().audits
EXPERIMENTS = Catalogue.shipped().experiments.keys()


def test_the_room_is_not_empty_and_ids_are_unique() -> None:
    defined = [value.id for value in vars(audits).values() if isinstance(value, Audit)]
    assert len(defined) == len(set(defined)) == len(AUDITS)
    assert set(AUDITS) == {
        "error-bound",
        "inner-step",
        "lower-pl",
        "outer-step",
        "policy-support",
        "weak-gradient-domination",
    }


@pytest.mark.parametrize("name", AUDITS)
def test_declaration_is_complete(name: str) -> None:
    audit = AUDITS[name]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", audit.id)
    assert audit.statement.strip()
    assert re.search(r"docs/theory\.md section \d", audit.source)
    assert audit.symbol.startswith("$")
    assert audit.experiments
    assert set(audit.experiments) <= EXPERIMENTS
    rule = audit.rule
    # What the rule reads is recorded: its measured columns, or an axis of the experiments' grid.
    assert rule.columns
    assert all(column in MEASURED or "." in column for column in rule.columns)
    if isinstance(rule, GrowthRule):
        assert 0 < rule.resolution <= 0.1
        assert rule.resolved > 0
        assert rule.columns[:2] == (rule.x, rule.y)
        assert (rule.uniform_in in rule.columns) == (rule.uniform_in is not None)
    elif isinstance(rule, DominationRule):
        assert 0 < rule.negligible <= 0.01
    elif isinstance(rule, LevelRule):
        assert rule.level > 0
    else:
        assert isinstance(rule, StepRule)
        assert rule.limit == 2.0


@pytest.mark.parametrize("claim", Catalogue.shipped().claims.values(), ids=lambda claim: claim.id)
def test_claims_name_audits_that_exist(claim) -> None:  # type: ignore[no-untyped-def]
    assert set(claim.audits) <= set(AUDITS)
    assert len(set(claim.audits)) == len(claim.audits)
    # A statement that is false has to be found so, not excused.
    if claim.expected == "violated":
        assert claim.audits == ()


def test_unknown_audit_is_refused_with_the_nearest_name() -> None:
    assert Catalogue.shipped().audit("lower-pl") is AUDITS["lower-pl"]
    with pytest.raises(InvalidArgumentError, match="did you mean 'error-bound'"):
        Catalogue.shipped().audit("error-bounds")
