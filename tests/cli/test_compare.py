"""The command ``compare``: what is chosen, run once, written in every format and refused."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.catalogues import with_files_of
from helpers.comparison_tables import TARGETS, method, planted
from matplotlib import pyplot

import theory_check
from theory_check.analysis.comparison import Interval, compare
from theory_check.catalogue import installed
from theory_check.claims.base import Claim
from theory_check.cli.commands import main
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.comparison import Comparison
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.report.comparison import tables
from theory_check.report.figures import load_drawing, save_figure
from theory_check.report.latex import escaped
from theory_check.report.tables import DisplayTable, Quantity
from theory_check.runs.comparisons import chosen_methods, load_comparisons
from theory_check.runs.spec import load_experiment
from theory_check.studies import Judgement, Results

Capture = pytest.CaptureFixture[str]

SMALL = """\
measurement = "comparison"
description = "Small ones."
seeds = 16

[settings]
targets = [0.3, 0.1, 0.03, 0.01]
tuning_target = 0.3

[problems.bandit-realisable-excess]
family = "bandit"
contexts = 2
actions = 2
features = 2
objective = "excess_risk"

[problems.garnet]
family = "garnet"
states = 2
actions = 2
horizon = 1
features = 2

[quick]
seeds = 2
problems = ["garnet"]
"""

SHIFT = """\
measurement = "comparison"
description = "Shift."
seeds = 16

[settings]
targets = [0.1]
tuning_target = 0.1
stop_when_reached = false

[problems."bandit-0"]
family = "bandit"
contexts = 3
actions = 2
features = 2

[problems."bandit-0.5"]
family = "bandit"
contexts = 3
actions = 2
features = 2
misspecification = 0.5

[quick]
seeds = 2
"""

FIGURE = """\
from matplotlib.figure import Figure

def draw(results):
    return None if results.shift.empty else Figure()
"""

# Of the planted tables: level and exponent of the cost.
PLANTED = {"hpgd": (50.0, 2.0), "penalty": (200.0, 3.5), "penalty-shared": (100.0, 2.0)}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two comparisons whose measurements are planted; returns what was measured."""
    folder = tmp_path / "experiments" / "comparisons"
    folder.mkdir(parents=True)
    (folder / "small.toml").write_text(SMALL)
    (folder / "shift.toml").write_text(SHIFT)
    (tmp_path / "paper_figures" / "comparison").mkdir(parents=True)
    (tmp_path / "paper_figures" / "comparison" / "shift.py").write_text(FIGURE)
    measured: list[str] = []

    def measure(
        self: Comparison, problem: Problem, seeds: Sequence[int], progress: Progress
    ) -> pd.DataFrame:
        name = self.method.id
        measured.append(f"{problem.name} {name}")
        if Path("failing").exists():
            raise RuntimeError("the file is there")
        level, exponent = PLANTED.get(name, (1000.0, 1.0))
        table = planted(
            name,
            level=level,
            exponent=exponent,
            noise=0.0,
            seeds=len(seeds),
            targets=self.targets,
            exact=name == "exact",
            failures={0.01: len(seeds)} if name == "offline" else None,
        )
        # Cells draw from blocks of seeds of their own.
        table["seed"] = np.array(seeds)[table["seed"]]
        return table.drop(columns="problem")

    monkeypatch.setattr(Comparison, "measure", measure)
    monkeypatch.chdir(tmp_path)
    return measured


def run(*words: str) -> int:
    return main(["compare", *words, "--jobs", "1"], with_files_of(Path()))


@pytest.mark.slow
def test_a_second_run_executes_nothing(journal: list[str], capsys: Capture) -> None:
    assert run("--solvers", "hpgd,penalty", "--problems", "garnet") == 0
    assert len(journal) == 2
    first = capsys.readouterr()
    assert "2 cells: 2 run, 0 reused, 0 failed" in first.err
    assert run("--solvers", "hpgd,penalty", "--problems", "garnet") == 0
    second = capsys.readouterr()
    assert len(journal) == 2
    assert "2 cells: 0 run, 2 reused, 0 failed" in second.err
    assert second.out == first.out
    assert run("--solvers", "hpgd,exact", "--problems", "garnet") == 0
    assert len(journal) == 3


def test_the_comparisons_and_figures_of_a_study_stand_beside_the_package_s(
    journal: list[str], tmp_path: Path, capsys: Capture
) -> None:
    study = tmp_path / "study"
    (study / "experiments" / "comparisons").mkdir(parents=True)
    own = SMALL.replace("problems.garnet", "problems.own").replace('["garnet"]', '["own"]')
    (study / "experiments" / "comparisons" / "mine.toml").write_text(
        own.replace("problems.bandit-realisable-excess", "problems.other")
    )
    (study / "figures" / "comparison").mkdir(parents=True)
    (study / "figures" / "comparison" / "mine.py").write_text(
        FIGURE.replace("None if results.shift.empty else ", "")
    )
    words = ["compare", "--solvers", "hpgd", "--problems", "own", "garnet", "--jobs", "1"]
    assert main(["--study", str(study), *words], with_files_of(tmp_path)) == 0
    assert len(journal) == 2
    samples = pd.read_csv("results/comparison/samples.csv")
    assert set(samples["problem"]) == {"own", "garnet"}
    assert Path("results/comparison/mine.png").is_file()
    assert f"and those of {study}" in capsys.readouterr().out


@pytest.mark.slow
def test_only_what_is_chosen_is_run_and_shown(journal: list[str], capsys: Capture) -> None:
    assert run("--solvers", "penalty-bilevel", "--problems", "bandit") == 0
    # All methods of that solver, on the problem and the two of the shift.
    of_solver = chosen_methods(["penalty-bilevel"], installed().methods)
    assert len(journal) == 3 * len(of_solver)
    samples = pd.read_csv("results/comparison/samples.csv")
    assert set(samples["problem"]) == {"bandit-realisable-excess"}
    assert list(samples["method"]) == of_solver
    assert sorted(Path("results/comparison").glob("shift.*")) != []
    assert "garnet" not in capsys.readouterr().out


def test_the_quick_version_is_smaller(
    journal: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refused(self: Results, claim: Claim) -> Judgement:
        raise AssertionError(f"{claim.id} is judged, and no claim is shown")

    monkeypatch.setattr(Results, "judge", refused)
    assert run("--quick", "--solvers", "hpgd", "--output", "there") == 0
    page = Path("there/report.html").read_text(encoding="utf-8")
    assert "theory-check compare --quick" in page
    assert "Small version of the experiments" in page
    assert "wrote there/report.html; theory-check report writes" in capsys.readouterr().err
    assert len(journal) == 3
    samples = pd.read_csv("there/samples.csv")
    assert list(samples["problem"]) == ["garnet"]
    assert list(samples["0.01 reached"]) == ["2/2"]


def test_the_tables_hold_the_planted_numbers(journal: list[str]) -> None:
    assert run("--solvers", "hpgd,penalty,offline,exact", "--problems", "garnet") == 0
    samples = pd.read_csv("results/comparison/samples.csv").set_index("method")
    assert samples.loc["hpgd", "0.1"] == pytest.approx(50 * 0.1**-2)
    assert samples.loc["hpgd", "0.1 reached"] == "16/16"
    assert samples.loc["exact", "cost"] == "exact calls"
    assert samples.loc["hpgd", "cost"] == "samples"
    assert samples.loc["offline", "0.01"] == float("inf")
    assert samples.loc["offline", "0.01 spent"] == pytest.approx(2 * 1000 / 0.01)
    assert ">2e5 [>2e5, >2e5] (0/16)" in Path("results/comparison/samples.md").read_text()
    summary = pd.read_csv("results/comparison/summary.csv").set_index("method")
    assert summary.loc["penalty", "verdict"] == "violated"
    assert summary.loc["penalty", "p (squared norm)"] == pytest.approx(3.5)
    assert summary.loc["penalty", "2p (norm)"] == pytest.approx(7.0)
    assert summary.loc["hpgd", "judged"] == "iterations"
    # The planted iterations have exponent 1, stated is 2; costs have the 2 that was planted.
    assert summary.loc["hpgd", "verdict"] == "faster"
    assert summary.loc["hpgd", "p (squared norm)"] == pytest.approx(2.0)
    assert summary.loc["exact", "exact calls"] == 2e5
    assert pd.isna(summary.loc["hpgd", "exact calls"])
    assert summary.loc["hpgd", "stated p tag"] == "S"
    assert summary.loc["offline", "verdict"] == "assumption not met"
    assert "cross_entropy" in summary.loc["offline", "remarks"]
    assert summary.loc["hpgd", "ms per iteration"] == pytest.approx(2.0)
    # Without a stated rate there is no number, and the column is one of numbers all the same.
    assert summary["judged p (squared norm)"].dtype == float
    tuning = pd.read_csv("results/comparison/tuning.csv").set_index("method")
    assert tuning.loc["hpgd", "chosen"] == "step_size: 0.5; batch: 4"
    assert tuning.loc["hpgd", "target"] == 0.01
    assert tuning.loc["hpgd", "settings"] == 12
    assert tuning.loc["hpgd", "ended"] == "inside"
    assert tuning.loc["hpgd", "runs"] == 16
    assert tuning.loc["hpgd", "spent"] == pytest.approx(5678, rel=1e-2)


@pytest.mark.slow
def test_a_failed_cell_is_exit_code_3_and_the_others_are_shown(
    journal: list[str], capsys: Capture
) -> None:
    assert run("--solvers", "hpgd", "--problems", "garnet") == 0
    Path("failing").touch()
    words = ("--solvers", "hpgd,penalty", "--problems", "garnet")
    assert run(*words) == 3
    assert list(pd.read_csv("results/comparison/samples.csv")["method"]) == ["hpgd"]
    findings = Path("results/comparison/findings.md")
    assert findings.read_text().startswith(
        "* Compared: 1 method on 1 problem, 16 seeds each, 1 repetition of tuning and runs.\n"
    )
    Path("failing").unlink()
    assert run(*words) == 3
    assert run(*words, "--retry-failed") == 0
    assert findings.read_text().startswith(
        "* Compared: 2 methods on 1 problem, 16 seeds each, 1 repetition of tuning and runs.\n"
    )


def test_nothing_but_failures_is_exit_code_3(journal: list[str]) -> None:
    Path("failing").touch()
    assert run("--solvers", "hpgd", "--problems", "garnet") == 3
    assert list(Path("results/comparison").iterdir()) == []


def test_the_findings_stand_in_the_output_folder_and_nowhere_else(journal: list[str]) -> None:
    words = ("--solvers", "hpgd,penalty", "--problems", "garnet", "--output", "written")
    before = set(Path().rglob("*"))
    assert run(*words) == 0
    found = Path("written/findings.md").read_text()
    assert "cheapest alone are HPGD on 4" in found
    added = {path for path in Path().rglob("*") if path.is_file()} - before
    # What Python keeps of an imported script is no finding.
    added = {path for path in added if "__pycache__" not in path.parts}
    assert {path.parts[0] for path in added} <= {"written", "results", "journal"}
    assert run(*words) == 0
    assert Path("written/findings.md").read_text() == found


def test_python_returns_what_the_command_writes(journal: list[str]) -> None:
    assert run("--solvers", "hpgd,penalty-shared,exact", "--quick") == 0
    here, wanted = with_files_of(Path()), ["exact", "hpgd", "penalty-shared"]
    found = theory_check.compare(wanted[::-1], quick=True, catalogue=here)
    # One problem to an accuracy and two under shift, and nothing is measured again.
    assert len(journal) == 9
    assert str(found.report) == "9 cells: 0 run, 9 reused, 0 failed"
    folder = Path("results/quick/comparison")
    shown = tables(found.results, found.tuning_runs)
    assert {table.name: table.csv() for table in shown} == {
        file.stem: file.read_text() for file in folder.glob("*.csv")
    }
    bullets = "".join(f"* {sentence}\n" for sentence in found.findings)
    assert bullets == (folder / "findings.md").read_text()
    assert list(found.results.methods) == wanted
    assert found.results.accuracies["stationarity"].costs["problem"].unique().tolist() == ["garnet"]
    # 3 methods, 2 seeds, 4 targets; and 2 problems with 1 target.
    assert (len(found.runs), len(found.shift_runs)) == (24, 12)
    assert repr(found) == (
        f"<Compared: 3 methods on 3 problems, {len(found.findings)} findings, 0 failed cells>"
    )
    one = theory_check.compare(["penalty"], ["garnet"], quick=True, catalogue=here)
    assert len(journal) == 10
    assert set(one.runs["method"]) == {"penalty"}
    assert one.shift_runs.empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solvers": ["hpdg"]}, "solvers: received 'hpdg'; did you mean 'hpgd'?"),
        ({"problems": ["garnett"]}, "problems: received 'garnett'; did you mean 'garnet'?"),
        ({"solvers": "hpgd"}, "solvers: received 'hpgd'; pass a list, as in ['hpgd']"),
        ({"jobs": 0}, "jobs: received 0"),
        (
            {"quick": True, "problems": ["bandit-realisable-excess"]},
            "problems: received 'bandit-realisable-excess', which has no small version; ask for the",
        ),
    ],
)
def test_python_refuses_before_any_work(
    journal: list[str], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{re.escape(message)}"):
        theory_check.compare(**arguments, catalogue=with_files_of(Path()))
    assert journal == []
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--solvers", "hpdg"], "--solvers: received 'hpdg'; did you mean 'hpgd'?"),
        (["--problems", "garnett"], "--problems: received 'garnett'; did you mean 'garnet'?"),
        (["--problems", "band"], "--problems: received 'band'; did you mean 'bandit'?"),
        (
            ["--quick", "--problems", "bandit-realisable-excess"],
            "--problems: received 'bandit-realisable-excess', which has no small version",
        ),
    ],
)
def test_unknown_names_are_refused_before_any_work(
    journal: list[str], capsys: Capture, words: list[str], message: str
) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"theory-check: error: {message}")
    assert journal == []


def test_an_empty_name_is_bad_usage(journal: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--solvers", "hpgd,,penalty")
    assert ended.value.code == 2


def test_one_label_in_two_files_is_refused(journal: list[str], capsys: Capture) -> None:
    file = Path("experiments/comparisons/shift.toml")
    file.write_text(SHIFT.replace("bandit-0.5", "garnet"))
    assert run() == 2
    assert "problems.garnet: received this label in shift.toml and in small.toml" in (
        capsys.readouterr().err
    )
    assert journal == []


def test_solvers_and_methods_are_told_apart() -> None:
    known = dict(sorted(installed().methods.items()))
    assert chosen_methods(["penalty"], known) == ["penalty"]
    of_penalty = ["penalty", "penalty-central", "penalty-central-shared", "penalty-shared"]
    assert chosen_methods(["penalty-bilevel"], known) == of_penalty
    assert chosen_methods(["pbrl"], known) == ["pbrl-bellman", "pbrl-value"]
    assert chosen_methods([], known) == list(known)
    assert chosen_methods(["sobirl", "aho"], known) == ["aho", "sobirl"]


def test_the_axis_of_methods_is_not_for_the_file(journal: list[str]) -> None:
    file = Path("experiments/comparisons/small.toml")
    for table in ("grid", "quick.grid"):
        file.write_text(f'{SMALL}\n[{table}]\nmethod = ["hpgd"]\n')
        with pytest.raises(InvalidArgumentError, match=rf"{table}.method: received \['hpgd'\]"):
            load_experiment(file, axes={"method": ["penalty"]})


def test_another_measurement_is_refused(journal: list[str], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="method"):
        load_experiment("experiments/comparisons/small.toml")
    for path in (tmp_path / "experiments" / "comparisons").iterdir():
        path.unlink()
    with pytest.raises(InvalidArgumentError, match="a catalogue without any"):
        load_comparisons(["hpgd"], with_files_of(tmp_path))


def test_a_file_leaves_out_the_methods_that_its_problems_cannot_run_and_no_others(
    journal: list[str],
) -> None:
    """Shipped comparisons: what is left out is refused, what is too slow is not, the rest is loaded."""
    catalogue = installed()
    for path in catalogue.comparisons.values():
        text = path.read_text()
        file = tomllib.loads(text)
        refused, slow = file.get("without", []), file.get("too_slow", [])
        loaded = load_experiment(path, catalogue, {"method": list(catalogue.methods)})
        assert {cell.measurement.method.id for cell in loaded.full} == {
            name for name in catalogue.methods if name not in (*refused, *slow)
        }
        copy = Path(path.name)
        copy.write_text(re.sub(r"(?ms)^(without|too_slow) = \[.*?\]$", "", text))
        Path("problems.toml").write_text((path.parents[1] / "problems.toml").read_text())
        for name in slow:
            assert load_experiment(copy, catalogue, {"method": [name]}).full
        for name in refused:
            with pytest.raises(
                InvalidArgumentError,
                match=f"received solver '{catalogue.methods[name].solver.name}'",
            ):
                load_experiment(copy, catalogue, {"method": [name]})


def test_unknown_methods_are_not_left_out_and_not_everything_is(journal: list[str]) -> None:
    file = Path("experiments/comparisons/small.toml")
    file.write_text(f'without = ["hpgdd"]\n{SMALL}')
    with pytest.raises(
        InvalidArgumentError, match=r"without: received 'hpgdd'; did you mean 'hpgd'"
    ):
        load_experiment(file, axes={"method": ["penalty"]})
    file.write_text(f'without = ["hpgd"]\n{SMALL}')
    assert list(load_comparisons(["hpgd"], with_files_of(Path.cwd()))) == ["shift"]
    assert set(load_comparisons(["hpgd", "penalty"], with_files_of(Path.cwd()))) == {
        "shift",
        "small",
    }
    Path("experiments/comparisons/shift.toml").unlink()
    with pytest.raises(
        InvalidArgumentError, match="add one that some comparison does not leave out"
    ):
        load_comparisons(["hpgd"], with_files_of(Path.cwd()))


TABLE = DisplayTable(
    "t",
    "Of a_b & c",
    ("who", "cost"),
    [
        ("a_1", Quantity(Interval(1.5, 1.25, 2e7), 1.0, ("reached", "3/4"))),
        ("b|2", Quantity(Interval(0.125, float("nan"), float("nan")))),
    ],
    ("50 % of it",),
)


def numbers(text: str) -> list[float]:
    """Return the numbers of a row, without its first cell."""
    found = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", text)
    return [float(each) for each in found]


def test_the_formats_agree() -> None:
    """Value, ends and remark of every row are the same in CSV, Markdown and LaTeX."""
    records = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert records[0] == {
        "who": "a_1",
        "cost": "1.5",
        "cost low": "1.25",
        "cost high": "2e7",
        "cost spent": "1",
        "cost reached": "3/4",
    }
    assert records[1]["cost"] == "0.125"
    assert records[1]["cost low"] == ""
    markdown = [line for line in TABLE.markdown().splitlines() if line.startswith("|")][2:]
    latex = [line for line in TABLE.latex().splitlines() if line.endswith(r"\\")][2:]
    for record, row, line in zip(records, markdown, latex, strict=True):
        values = [record[name] for name in ("cost", "cost low", "cost high", "cost reached")]
        expected = numbers(" ".join(values))
        shown = row.rpartition(" | ")[2] if "|" in record["who"] else row.split(" | ")[1]
        assert numbers(shown) == expected
        assert numbers(line.split(" & ")[1]) == expected
    assert r"b\|2" in markdown[1]


def test_latex_is_escaped() -> None:
    assert escaped("a_b & 5 % $x^2$ {#} > \\") == (
        r"a\_b \& 5 \% \$x\textasciicircum{}2\$ \{\#\} \textgreater{} \textbackslash{}"
    )
    text = TABLE.latex()
    assert r"\caption{Of a\_b \& c} \\" in text
    assert r"a\_1 & 1.5 [1.25, 2e7] (3/4) \\" in text
    assert r"\toprule" in text
    assert "% 50 % of it" in text  # a comment


FIGURES = Path(__file__).resolve().parents[2] / "paper_figures" / "comparison"


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FIGURES.glob("*.py")), ids=lambda path: path.stem)
def test_the_figures_draw_planted_results(path: Path, tmp_path: Path) -> None:
    """Failures, exact methods, several problems and methods of which some are missing somewhere."""
    known = {name: method(name, 2.0) for name in ("a", "b", "c")}
    costs = [
        planted("a", level=10.0),
        planted("b", failures={0.01: 9, 0.003: 16}),
        planted("c", exact=True),
        planted("b", problem="dale", failures=dict.fromkeys(TARGETS, 16)),
        planted("a", problem="dale", noise=0.0).assign(ended=np.nan, true_return=np.nan),
    ]
    shift = [
        planted(name, problem=f"bandit-{distance}", targets=(0.1,), reward_distance=distance)
        for name in known
        for distance in (0.0, 0.5)
    ]
    table, shifted = pd.concat(costs, ignore_index=True), pd.concat(shift, ignore_index=True)
    results = compare(table, shifted, known, {"hill": "", "dale": ""})
    draw = load_drawing(path, "draw(results)").draw
    files = save_figure(draw(results), path.stem, tmp_path)
    assert [file.stat().st_size > 5000 for file in files] == [True, True]
    empty = pd.DataFrame()
    assert draw(compare(empty, empty, known, {})) is None


def test_the_heat_map_shows_ratios_misses_and_winners() -> None:
    """Costs of b are ten times those of a, which misses the smallest target, where b is the best."""
    tables = [
        planted("a", noise=0.0, level=10.0, failures={0.003: 16}),
        planted("b", noise=0.0, level=100.0),
    ]
    known = {name: method(name, 1.0) for name in ("a", "b")}
    results = compare(pd.concat(tables), pd.DataFrame(), known, {"hill": ""})
    figure = load_drawing(FIGURES / "comparison_accuracy.py", "draw(results)").draw(results)
    axes = figure.axes[0]
    # By targets met, so that b stands first; targets fall to the right.
    assert [each.get_text() for each in axes.get_yticklabels()] == ["Method b", "Method a"]
    missed, shown = (image.get_array().filled(np.nan) for image in axes.images)
    np.testing.assert_allclose(shown, [[1, 1, 1, 1, 0], [0, 0, 0, 0, np.nan]], atol=1e-12)
    np.testing.assert_array_equal(np.isfinite(missed), np.isnan(shown))
    dots = sorted(tuple(point) for line in axes.lines for point in line.get_xydata().tolist())
    assert dots[:5] == [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 0.0)]
    pyplot.close(figure)


def test_distances_that_differ_by_rounding_are_one() -> None:
    """Rewards of two families at the same distance from the class: one marker, named once."""
    distances = {"bandit-0": 0.0, "bandit-1": 1.0, "grid-0": 7e-16, "grid-1": 1.0 + 2e-16}
    shift = [
        planted("a", problem=name, targets=(0.1,), reward_distance=distance)
        for name, distance in distances.items()
    ]
    results = compare(pd.DataFrame(), pd.concat(shift), {"a": method("a", 2.0)}, {})
    figure = load_drawing(FIGURES / "comparison_shift.py", "draw(results)").draw(results)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1"]
    pyplot.close(figure)


@pytest.mark.slow
def test_a_small_comparison_runs_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing planted: the methods, the measurement and the scripts of the figures."""
    folder = tmp_path / "experiments" / "comparisons"
    folder.mkdir(parents=True)
    settings = "targets = [0.5, 0.3]\ntuning_runs = 2\niterations = 30\nsample_budget = 100000\n"
    small = SMALL.replace("targets = [0.3, 0.1, 0.03, 0.01]\n", settings)
    (folder / "small.toml").write_text(small)
    (tmp_path / "paper_figures").mkdir()
    (tmp_path / "paper_figures" / "comparison").symlink_to(FIGURES)
    monkeypatch.chdir(tmp_path)
    words = ("--solvers", "exact,penalty-shared", "--problems", "bandit")
    assert run(*words) == 0
    written = {path.name for path in Path("results/comparison").iterdir()}
    assert {"samples.tex", "summary.md", "tuning.csv", "findings.md"} <= written
    assert {"comparison_accuracy.pdf", "comparison_profile.png"} <= written
    assert not any(name.startswith("comparison_shift") for name in written)
