"""Every claim in the room, found by being there."""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from helpers.experiments import experiment_in

from theory_check.analysis import judge
from theory_check.catalogue import Catalogue, Root
from theory_check.claims.base import Claim
from theory_check.claims.rates import (
    AttainedRate,
    BoundRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    RatioRate,
    ScheduleRate,
)
from theory_check.errors import InvalidArgumentError
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.testing import check_claim, failures
from theory_check.testing.claims import planted_table

CLAIMS = Catalogue.shipped().claims


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Claims share their experiments, and several files of tests do."""
    with pytest.MonkeyPatch.context() as patched:
        read = "theory_check.testing.claims.load_experiment"
        patched.setattr(read, lambda path, catalogue: experiment_in(path))
        yield


def test_the_room_is_not_empty_and_ids_are_unique() -> None:
    defined = [
        value.id
        for name, _ in Root.shipped().module_names("claims")
        for value in vars(import_module(name)).values()
        if isinstance(value, Claim)
    ]
    assert len(defined) == len(set(defined)) == len(CLAIMS)
    assert {"penalty-bias", "gradient-noise", "gradient-noise-coupled"} <= set(CLAIMS)
    assert {"inner-linear", "outer-ergodic"} <= set(CLAIMS)


@pytest.mark.parametrize("name", [name for name in CLAIMS if not name.startswith("control-")])
def test_statement_is_in_the_table_of_the_theory(name: str) -> None:
    """``docs/theory.md`` section 5.2: id, statement, source, tag, kind, seen; controls: section 6."""
    text = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
    section = text.partition("\n### 5.2 ")[2].partition("\n### 5.3 ")[0]
    rows = re.findall(
        rf"^\| `{re.escape(name)}` \| (.+) \| (.+) \| (.+) \| (.+) \| .*\|$", section, re.M
    )
    assert len(rows) == 1
    *_, tag, kind = rows[0]
    assert CLAIMS[name].kind == kind
    assert CLAIMS[name].provenance in re.findall(r"\b[VSDR]\b", tag)


@pytest.mark.parametrize("name", CLAIMS)
def test_declaration_is_complete(name: str) -> None:
    claim = CLAIMS[name]
    slug = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
    assert slug.fullmatch(claim.id.replace("/", "-"))
    assert slug.fullmatch(claim.experiment)
    assert claim.statement.strip()
    assert re.search(r"arXiv \d{4}\.\d{5}|docs/theory\.md section \d", claim.source)
    assert claim.provenance in PROVENANCE_MEANING
    assert (claim.provenance == "D") == ("docs/theory.md" in claim.source)
    assert claim.assumptions
    assert claim.rates
    assert len({rate.name for rate in claim.rates}) == len(claim.rates)
    for rate in claim.rates:
        for column in (rate.x, rate.y, *rate.where):
            assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", column)
            assert column not in ("problem", "seed", "status")
        assert rate.x_symbol.startswith("$")
        assert rate.y_symbol.startswith("$")
        if isinstance(rate, PowerRate):
            assert 0 < rate.resolution <= 0.1
            assert rate.limit in ("zero", "infinity")
            assert rate.better in ("larger", "smaller")
        elif isinstance(rate, ScheduleRate):
            assert rate.multiple == 2
            assert (rate.resolution, rate.rival) == (0.125, 0.5)
            assert rate.minimum_decades >= 1
            assert "schedule" in rate.where
        elif isinstance(rate, AttainedRate):
            assert rate.resolution <= 0.125
            assert rate.minimum_decades >= (1 if claim.expected == "faster" else 1.5)
            assert {"method", "accuracy"} <= set(rate.where)
        elif isinstance(rate, BoundRate):
            assert rate.minimum_explained >= 0.9
            assert rate.minimum_gain >= 0.1
            assert 0 < rate.resolution <= 0.2
            assert {"optimisation", "bias", "sampling"} <= set(rate.required)
        elif isinstance(rate, InequalityRate):
            assert rate.low is not None or rate.high is not None
            assert rate.low is None or rate.high is None or rate.low < rate.high
            assert 0 <= rate.allowed_share <= 0.125
            assert rate.confidence is None or 0.9 <= rate.confidence < 1
        elif isinstance(rate, CurveRate):
            assert rate.factor == 1 or claim.expected == "violated"
            assert rate.rounding <= 1e-6
        elif isinstance(rate, RatioRate):
            assert rate.within <= 0.1
        else:
            assert isinstance(rate, GeometricRate)
            assert rate.minimum_decades >= 1


def test_open_statements_are_those_that_the_theory_names() -> None:
    """They cannot fail the suite, so that ``docs/theory.md`` section 5.2 has to say which they are."""
    text = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
    named = re.search(r"^\*Open\* are (.+?):", text, re.M | re.S)
    assert named is not None
    found = {name for name, claim in CLAIMS.items() if claim.expected == "open"}
    assert found == set(re.findall(r"`([^`]+)`", named[1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_it_keeps_the_contract(name: str) -> None:
    """The exponents' standard error, 0.05/sqrt(16)/(4 * 2.1) = 1.5e-3, is far below 0.02."""
    assert failures(check_claim(CLAIMS[name], Catalogue.shipped(), measured=False)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_clearly_worse_rate_is_violated(name: str) -> None:
    for claim in _separately(CLAIMS[name]):
        verdict = judge(claim, planted_table(claim, 0.3))
        assert [rate.status for rate in verdict.rates] == ["violated"] * len(verdict.rates)


def _separately(claim: Claim) -> list[Claim]:
    """Return one claim for each rate where several would read the same rows."""
    if not any(isinstance(rate, AttainedRate | CurveRate) for rate in claim.rates):
        return [claim]
    return [replace(claim, rates=(rate,)) for rate in claim.rates]


def test_kinds_that_contradict_the_rest_are_refused() -> None:
    claim = CLAIMS["inner-error"]
    for changes, named in (
        ({"kind": "open"}, "kind: received 'open'"),
        ({"expected": "open"}, "kind: received 'proved inequality'"),
        ({"kind": "theorem"}, "kind: received 'theorem'"),
        ({"otherwise": " "}, "otherwise: received nothing"),
        ({"identity_rates": ("1/n",)}, "identity_rates: received '1/n'"),
        ({"kind": "identity"}, "identity_rates: received '1/sigma, separate starts'"),
    ):
        with pytest.raises(InvalidArgumentError, match=re.escape(named)):
            replace(claim, **changes)


@pytest.mark.parametrize("name", CLAIMS)
def test_it_is_said_whether_it_could_have_come_out_otherwise(name: str) -> None:
    """Identities and negative controls say no, inequalities name what fails, the others say yes."""
    claim = CLAIMS[name]
    first = claim.otherwise.replace(":", " ").replace(",", " ").split()[0]
    if claim.finding:
        assert first == {"proved inequality": "Only"}.get(claim.kind, "Yes")
    else:
        assert first == "No"
    assert claim.otherwise.endswith(".")


def test_what_only_tests_the_program_is_no_finding() -> None:
    apart = {name for name, claim in CLAIMS.items() if not claim.finding}
    assert {name for name in CLAIMS if name.startswith("control-")} <= apart
    assert {"gradient-noise", "penalty-bias", "inner-error-common-start"} <= apart
    assert apart.isdisjoint({"inner-linear", "bound-terms", "weak-gradient-domination"})


def test_unknown_claim_is_refused_with_the_nearest_name() -> None:
    assert Catalogue.shipped().claim("penalty-bias") is CLAIMS["penalty-bias"]
    with pytest.raises(InvalidArgumentError, match="did you mean 'penalty-bias'"):
        Catalogue.shipped().claim("penalty-bia")
