"""Which conclusions are drawn from a sweep, and what becomes of one that refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from theory_check.analysis.conclusions import Conclusion
from theory_check.analysis.verdict import Verdict
from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.studies.verification import Judgement, Results, RunOptions, conclude

FILE = Path("experiments/planted.toml")
Tables = Mapping[str, pd.DataFrame]


class Tabled:
    """A sweep whose tables say which experiment they are of."""

    def __init__(self, known: Sequence[Conclusion]) -> None:
        self.asked: list[str] = []
        found = {conclusion.id: conclusion for conclusion in known}
        catalogue = Catalogue.of(conclusions=found, claims=Catalogue.shipped().claims)
        self.options = RunOptions(catalogue=catalogue)

    def table(self, name: str) -> pd.DataFrame:
        self.asked.append(name)
        return pd.DataFrame({"experiment": [name]})


def judgement(name: str, judged: bool = True) -> Judgement:
    claim = Catalogue.shipped().claim(name)
    return Judgement(claim, Verdict(claim, "tight", "fine", ()) if judged else None, "fine", FILE)


def sentences(verdicts: Mapping[str, Verdict], tables: Tables) -> list[str]:
    return [f"{name} is {verdicts[name].status}." for name in tables]


def experiments(verdicts: Mapping[str, Verdict], tables: Tables) -> list[str]:
    return [str(table["experiment"].iloc[0]) for table in tables.values()]


def refuse(verdicts: Mapping[str, Verdict], tables: Tables) -> list[str]:
    raise InvalidArgumentError("dear", "runs that are missing", "compare complete tables only")


def break_down(verdicts: Mapping[str, Verdict], tables: Tables) -> list[str]:
    raise ZeroDivisionError


def concluded(judgements: Sequence[Judgement], *known: Conclusion) -> tuple[list[str], list[str]]:
    done = Tabled(known)
    return conclude(cast(Results, cast(Any, done)), judgements), done.asked


def test_a_conclusion_reads_the_verdicts_and_tables_of_its_claims() -> None:
    judgements = [judgement("schedule-2"), judgement("schedule-3"), judgement("inner-linear")]
    found, asked = concluded(
        judgements,
        Conclusion("both", ("schedule-2", "schedule-3"), sentences),
        Conclusion("tables", ("schedule-3",), experiments),
    )
    assert found == ["schedule-2 is tight.", "schedule-3 is tight.", "schedule-3"]
    assert asked == [
        "schedule-2",
        "schedule-3",
        "schedule-3",
    ]


@pytest.mark.parametrize("judgements", [[], ["schedule-3"]], ids=["absent", "not judged"])
def test_without_all_of_its_claims_nothing_is_concluded(judgements: list[str]) -> None:
    given = [judgement("schedule-2"), *(judgement(name, judged=False) for name in judgements)]
    known = Conclusion("both", ("schedule-2", "schedule-3"), sentences)
    assert concluded(given, known) == ([], [])


def test_a_refusal_is_named_and_the_others_are_drawn() -> None:
    found, _ = concluded(
        [judgement("schedule-2")],
        Conclusion("refused", ("schedule-2",), refuse),
        Conclusion("drawn", ("schedule-2",), sentences),
    )
    assert found == [
        "refused: nothing concluded, dear: runs that are missing.",
        "schedule-2 is tight.",
    ]


def test_a_defect_is_not_swallowed() -> None:
    known = Conclusion("broken", ("schedule-2",), break_down)
    with pytest.raises(ZeroDivisionError):
        concluded([judgement("schedule-2")], known)
