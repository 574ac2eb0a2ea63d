"""Pages of ``docs/``: what they show runs, what they quote is what the code has, and links lead on."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from helpers.pages import ROOT, commands, dead, examples

import theory_check as tc
from theory_check.analysis.rate_verdict import Status
from theory_check.analysis.replicates import MINIMUM_BOOTSTRAP_REPLICATES
from theory_check.analysis.target_verdicts import (
    FEWEST_FOR_AN_EXPONENT,
    FEWEST_TARGETS,
    MOST_MISSED,
)
from theory_check.analysis.verdict import JUDGES, WORST_FIRST
from theory_check.analysis.window import CLEAN, FAR, SIGNIFICANCE, SIGNIFICANCE_OF_FEW
from theory_check.claims.base import KIND_MEANING
from theory_check.claims.rates import AttainedRate, BoundRate, ScheduleRate
from theory_check.cli.commands import COMMANDS
from theory_check.cli.words import parser

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.name != "findings.md")


def text_of(name: str) -> str:
    """Return a page with all white space as single blanks."""
    return re.sub(r"\s+", " ", (DOCS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_linked_file_and_heading_exists(page: Path) -> None:
    assert dead(page) == []


def test_a_planted_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n[a](#a-page) [b](#another) [c](none.md) `[d](code)` [e](https://x)\n"
    )
    assert dead(page) == ["#another", "none.md"]


@pytest.mark.slow
def test_the_examples_of_python_run_one_after_the_other() -> None:
    first, second = examples(DOCS / "python.md")
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(first, "python.md", "exec"), names)
    value = float(re.search(r"true reward: (\S+)", printed.getvalue())[1])  # type: ignore[index]
    quoted = float(re.search(r"it is not \((\S+) there\)", text_of("results.md"))[1])  # type: ignore[index]
    assert value == pytest.approx(quoted, abs=5e-4)
    table = names["trace"].table
    assert set(table["seed"]) == {0, 1, 2, 3}
    assert table["iteration"].max() == 100
    exec(compile(second, "python.md", "exec"), names)
    assert names["trace"].table["iteration"].max() == 50
    assert names["trace"].final_upper.shape == (
        4,
        names["problem"].with_classes(**names["classes"]).parameters,
    )
    probabilities = names["policy"].exp().sum(-1)
    torch.testing.assert_close(probabilities, torch.ones(16, dtype=torch.float64))


def test_the_two_sentences_about_the_objectives() -> None:
    gradients = {
        objective: tc.ExactOracle(problem).hypergradient(problem.true_parameters).norm().item()
        for objective in ("excess_risk", "cross_entropy")
        for problem in [
            tc.problems.garnet(
                states=3,
                actions=2,
                horizon=3,
                features=4,
                kl_weight=0.5,
                objective=objective,
                seed=0,
            )
        ]
    }
    assert gradients["excess_risk"] < 1e-12
    assert gradients["cross_entropy"] > 1e-2


def test_the_findings_are_those_that_were_written_and_each_has_a_number() -> None:
    """The page includes the file that ``theory-check compare`` writes; nobody copies it."""
    page = (DOCS / "comparison" / "index.md").read_text(encoding="utf-8")
    assert page.count("\n```{include} findings.md\n```\n") == 1
    sentences = (DOCS / "comparison" / "findings.md").read_text(encoding="utf-8").splitlines()
    assert len(sentences) >= 5
    for sentence in sentences:
        assert sentence.startswith("* ")
        assert any(character.isdigit() for character in sentence), sentence


def test_the_page_of_commands_names_them_all_and_they_can_be_given() -> None:
    given = commands(DOCS / "commands.md")
    assert {words.split()[0] for words in given} >= COMMANDS.keys() - {"new", "check"}
    assert {"new", "check"} <= set(re.findall(r"`theory-check (\w+) DIR`", text_of("commands.md")))
    for words in given:
        # Of what is optional, or one of several, the first is taken.
        chosen = re.sub(r"\[(\S+?)(?:[| ].*?)?\]+", r"\1", words)
        parser(COMMANDS).parse_args(chosen.replace("NAME ...", "NAME").split())


def test_the_page_of_verdicts_has_every_word_and_every_kind_of_rate() -> None:
    page = (DOCS / "verdicts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)
    assert set(rows) == set(get_args(Status))
    order = ", ".join(f"`{status}`" for status in WORST_FIRST)
    assert f"in the order {order}." in text_of("verdicts.md")
    headings = re.findall(r"^### .*$", page, re.MULTILINE)
    named = {name for heading in headings for name in re.findall(r"`(\w+)`", heading)}
    assert named == {kind.__name__ for kind in JUDGES}
    for kind, meaning in KIND_MEANING.items():
        assert re.search(rf"^\| {kind} \| {re.escape(meaning[:30])}", page, re.MULTILINE), kind


def test_the_page_of_verdicts_has_the_levels_of_the_code() -> None:
    page = text_of("verdicts.md")
    levels = {
        field: AttainedRate.__dataclass_fields__[field].default
        for field in ("minimum_decades", "widest_interval")
    }
    schedule = {
        field: ScheduleRate.__dataclass_fields__[field].default
        for field in ("rival", "resolution", "minimum_decades")
    }
    bound = {
        field: BoundRate.__dataclass_fields__[field].default
        for field in ("minimum_explained", "minimum_points")
    }
    assert (SIGNIFICANCE, SIGNIFICANCE_OF_FEW, FAR, CLEAN) == (0.01, 0.1, 4.0, 0.3)
    assert (
        "1 %; 10 % with fewer than 8 replicates, or where local exponents differ by more than four"
        in page
    )
    assert MINIMUM_BOOTSTRAP_REPLICATES == 8
    assert "with 8 of them or more" in page
    assert (FEWEST_TARGETS, FEWEST_FOR_AN_EXPONENT, MOST_MISSED) == (3, 4, 0.25)
    assert "fewer than three targets" in page
    assert "more than a quarter of the replicates miss a target; fewer than four targets" in page
    assert schedule == {"rival": 0.5, "resolution": 1 / 8, "minimum_decades": 1.0}
    assert "lies above 1/8 (the nearest wrong exponent makes it 1/2)" in page
    assert levels == {"minimum_decades": 2.0, "widest_interval": 0.4}
    assert "no wider than 0.4" in page
    assert bound == {"minimum_explained": 0.9, "minimum_points": 4}
    assert "half of the error at four design points or more" in page


def test_the_page_of_verdicts_repeats_the_calibration() -> None:
    """Its numbers are those of docs/theory.md, 6.7, which ``make calibrate`` measures."""
    page, theory = text_of("verdicts.md"), text_of("theory.md")
    section = theory.partition("### 6.7 ")[2].partition("## 7. ")[0]
    assert "3.34 [3.26, 3.42]" in page
    assert "3.34 [3.26, 3.42]" in section
    assert "6.0 % [4.8, 7.5]" in page
    assert "6.0 % [4.8, 7.5]" in section
    assert "`violated` at the truth in 0 (at most 0.3 %)" in page
    assert "| the prediction | 1260 | *violated* | 0 [0, 0.3 %] |" in section
    assert "in 0 to 0.2 % of them, 95 % interval up to 1.1 %" in page
    at_prediction = re.findall(r"\| (0(?:\.\d)?) \[0, (\d\.\d)\] \|", section)
    assert len(at_prediction) == 6
    assert max(at_prediction, key=lambda pair: float(pair[1])) == ("0.2", "1.1")
    assert "92 % of clean tables and in 20 % of heavy-tailed ones" in page
    assert "| clean | 0 [0, 0.7] | 99.0 | 92.2 |" in section
    assert "| heavy tails | 0.2 [0, 1.1] | 1.2 | 19.6 |" in section
