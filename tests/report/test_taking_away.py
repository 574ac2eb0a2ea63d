"""Tables, drawings and references that are taken away say what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib import pyplot
from planted_study import judged_in

import theory_check as tc
from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.recording.recorder import COLUMNS
from theory_check.recording.run import Trace
from theory_check.report.export import BIBLIOGRAPHY, CITATION, export_study
from theory_check.runs import Store, load_experiment
from theory_check.runs.load import experiment_of
from theory_check.runs.tables import load_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.mark.slow
def test_a_table_is_loaded_by_any_of_its_names_and_says_its_columns(tmp_path: Path) -> None:
    results, _ = judged_in(tmp_path)
    here, store = results.options.catalogue, results.options.store
    expected = load_table("straight", store, catalogue=here)
    for name in ("straight", "line", "enough/3"):
        table = tc.load(name, store, catalogue=here)
        pd.testing.assert_frame_equal(table, expected)
        assert table.attrs["experiment"] == "straight"
        assert table.attrs["description"] == "Curves of a planted power."
        assert "line" in table.attrs["claims"]
        assert "line-fails" not in table.attrs["claims"]
        assert table.attrs["columns"]["seed"] == COLUMNS["seed"]
        assert table.attrs["units"]["seed"] == "1"
    with pytest.raises(InvalidArgumentError, match="straight"):
        tc.load("strait", store, catalogue=here)


def test_a_schedule_stands_for_the_claim_that_judges_it() -> None:
    shipped = Catalogue.shipped()
    assert experiment_of("total-3", shipped) == "schedule-3"
    assert experiment_of("attained-3", shipped) == "attained"
    with pytest.raises(InvalidArgumentError, match="total-3"):
        experiment_of("total-33", shipped)


@pytest.mark.slow
def test_the_units_of_a_traced_experiment_are_those_of_the_recorder(tmp_path: Path) -> None:
    """Stored by hand, since a run of it would take longer: one row for each cell."""
    shipped = Catalogue.shipped()
    file = shipped.experiments["outer-ergodic"]
    store = Store(tmp_path)
    store.prepare()
    for cell in load_experiment(file, shipped).cells(True):
        store.write(cell, pd.DataFrame([{"seed": 0, "stationarity": 1.0, "samples": 3}]), 0.0)
    table = tc.load("outer-ergodic", store, quick=True, catalogue=shipped)
    assert table.attrs["columns"]["stationarity"] == COLUMNS["stationarity"]
    assert "squared norm" in table.attrs["columns"]["stationarity"]
    assert table.attrs["units"]["stationarity"] == "squared norm"
    assert "theory_check.recording.recorder" in table.attrs["measured"]


@pytest.mark.slow
def test_a_verdict_is_drawn_where_somebody_wants_it(tmp_path: Path) -> None:
    _, judgements = judged_in(tmp_path)
    verdicts = {each.claim.id: each.verdict for each in judgements if each.verdict is not None}
    _, axes = pyplot.subplots()
    verdict = verdicts["line"]
    assert verdict.plot(axes) is axes
    assert axes.get_title() == "line, gradient: tight"
    lines = [container.lines[0].get_xydata() for container in axes.containers]
    for rate, drawn in zip(verdict.rates, lines, strict=True):
        np.testing.assert_allclose(drawn, np.column_stack([rate.x, rate.y.mean(axis=0)]))
    # Of a kind whose verdict keeps no observations: the judged numbers.
    numbers = verdicts["bounded"].plot()
    assert [label.get_text() for label in numbers.get_yticklabels()] == [
        "straight: holds",
        "straight-again: holds",
    ]
    assert [container.lines[0].get_xdata()[0] for container in numbers.containers] == [1.0, 1.0]
    for name, drawn in verdicts.items():
        assert drawn.plot().has_data(), name
    with pytest.raises(InvalidArgumentError, match="gradient"):
        verdict.plot(rate="gradients")


def test_a_target_that_is_missed_is_not_left_out_of_the_drawing() -> None:
    """Two of five miss the smallest target: its median is the third smallest of all five."""
    claim = tc.Catalogue.shipped().claim("attained-2")
    rate = claim.rates[0]
    targets = np.geomspace(0.001, 0.1, 5)
    rows = [
        {"problem": "p", "seed": seed, "epsilon": at, "samples": np.inf if seed > 2 and at < 0.002
         else (1 + 0.01 * seed) / at**2, **rate.where, "iterations": 1.0, "trajectories": 1.0}
        for seed in range(5) for at in targets
    ]  # fmt: skip
    verdict = judge(claim, pd.DataFrame(rows))
    if not verdict.rates[0].y.size:
        pytest.fail("nothing was kept that could be drawn")
    drawn = verdict.plot().containers[0].lines[0].get_xydata()
    (at_smallest,) = drawn[np.isclose(drawn[:, 0], 0.001)]
    assert at_smallest[1] == pytest.approx(1.02e6)


def test_a_trace_is_drawn_by_seed_with_its_median() -> None:
    """Seed 2 stops after one iteration, so that the median is that of the first alone."""
    table = pd.DataFrame(
        {
            "seed": [0, 0, 1, 1, 2],
            "iteration": [1, 10, 1, 10, 1],
            "samples": [3, 30, 3, 30, 3],
            "stationarity": [1.0, 0.1, 3.0, 0.3, 2.0],
        }
    )
    trace = Trace(table, torch.zeros(3, 1))
    _, axes = pyplot.subplots()
    assert trace.plot(axes) is axes
    drawn = [line.get_xydata().tolist() for line in axes.lines]
    assert drawn == [[[1, 1.0], [10, 0.1]], [[1, 3.0], [10, 0.3]], [[1, 2.0]], [[1, 2.0]]]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert trace.plot(x="samples").get_xlabel() == "samples"
    with pytest.raises(InvalidArgumentError, match="stationarity"):
        trace.plot(y="stationary")


def cited() -> set[str]:
    """Return every number of arXiv that the theory, a claim, an audit or a method cites."""
    here = Catalogue.shipped()
    texts = [(ROOT / "docs" / "theory.md").read_text(encoding="utf-8")]
    texts += [each.source for each in (*here.claims.values(), *here.audits.values())]
    texts += [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "theory_check" / "solvers").glob("*.py")
    ]
    return {number for text in texts for number in re.findall(r"\b\d{4}\.\d{5}\b", text)}


def entries(text: str) -> dict[str, str]:
    """Return the entries of a bibliography by key, each with its text; braces have to match."""
    found = {}
    for part in re.split(r"^@\w+\{", text, flags=re.MULTILINE)[1:]:
        key, _, body = part.partition(",")
        assert body.count("}") == body.count("{") + 1, key
        assert key not in found
        found[key] = body
    return found


def test_every_source_that_is_cited_has_an_entry() -> None:
    known = entries(BIBLIOGRAPHY.read_text(encoding="utf-8"))
    numbers = {f"arxiv-{number}" for number in cited()}
    assert numbers
    assert sorted(numbers - known.keys()) == []
    for key, body in known.items():
        assert re.search(r"\b(title|note) = ", body), key
        if key.startswith("arxiv-"):
            assert f"eprint = {{{key.removeprefix('arxiv-')}}}" in body
            assert f"year = {{20{key[6:8]}}}" in body
    # Every row of the table of references, by the first author and the number or the year.
    theory = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    table = theory.partition("## 9. References")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        number = re.search(r"\d{4}\.\d{5}", row)
        name = re.split(r"[ ,]", row.strip())[0]
        year = re.search(r"\b(?:19|20)\d\d\b(?!\.)", row)
        dated = f"year = {{{year[0]}}}" if year else ""
        by_number = number and f"arxiv-{number[0]}" in known
        by_author = (f"author = {{{name}" in body and dated in body for body in known.values())
        assert by_number or any(by_author), row


def test_a_missing_entry_and_an_open_brace_are_seen() -> None:
    assert entries("@misc{a, title = {x}}\n@misc{b, note = {y}}").keys() == {"a", "b"}
    with pytest.raises(AssertionError):
        entries("@misc{a, title = {x}")


def test_the_citation_is_what_the_format_asks_for() -> None:
    read = yaml.safe_load(CITATION.format(version="0.1.0"))
    assert {"cff-version", "message", "title", "authors"} <= read.keys()
    assert read["version"] == "0.1.0"
    assert read["references"][0]["authors"][0]["family-names"] == "Gaur"


@pytest.mark.slow
def test_an_export_has_the_verdicts_in_every_format(tmp_path: Path) -> None:
    results, judgements = judged_in(tmp_path)
    said: list[str] = []
    folder = tmp_path / "out"
    export_study(folder, results.options, said.append, overwrite=False)
    judged = [each.verdict for each in judgements if each.verdict is not None]
    assert said[-1] == f"wrote {len(judged)} verdicts and 0 figures to {folder}"
    table = pd.read_csv(folder / "verdicts.csv")
    assert len(table) == sum(len(verdict.rates) for verdict in judged)
    assert (table["claim"] == "line-fails [D]").sum() == 2
    assert r"\begin{longtable}" in (folder / "verdicts.tex").read_text()
    assert "| line [S] | tight |" in (folder / "verdicts.md").read_text()
    assert (folder / "CITATION.cff").read_text().startswith("cff-version: 1.2.0")
    assert (folder / "references.bib").read_bytes() == BIBLIOGRAPHY.read_bytes()
