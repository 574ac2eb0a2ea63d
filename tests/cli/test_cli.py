from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import sweep_toys
from laboratory import FIGURE, Laboratory
from test_interruption import PATIENCE, start

from theory_check.analysis import verdict
from theory_check.cli import main
from theory_check.errors import InvalidArgumentError
from theory_check.report import verdict_rows
from theory_check.studies.verification import FailedCellsError, verify

HEADER = ["claim", "verdict", "measured", "predicted", "problem"]
OWN = "Experiments: those of theory-check."

Capture = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    return main([*words, "--jobs", "1"])


def test_list_shows_what_there_is(laboratory: Laboratory, capsys: Capture) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "problems:",
        "  line  Draw a line.",
        "solvers:",
        "  gradient  Descend.",
        "  newton    Solve.",
        "measurements:",
        "  careless  Forget the last seed.",
        "  values    Evaluate the line, with noise, and leave a line in ``journal``.",
        "claims, 1 claim (1 measured):",
        "  flatness [V]  measured: It is flat. (here)",
        "tests of the program, 1 claim (1 negative control):",
        "  steepness [R]  identity, negative control: It is not steep. (there)",
        "experiments:",
        "  flat   Values of flat lines.",
        "  steep  Values of steep lines.",
    ]


def test_run_takes_a_path_or_a_stem(laboratory: Laboratory, capsys: Capture) -> None:
    assert run("run", "experiments/flat.toml") == 0
    assert capsys.readouterr() == ("", "1 cells: 1 run, 0 reused, 0 failed\n")
    assert run("run", "flat") == 0
    assert capsys.readouterr() == ("", "1 cells: 0 run, 1 reused, 0 failed\n")
    assert len(list(Path("results").glob("*.parquet"))) == 1


SUMMARY = [
    "theory-check: 2 claims",
    "1 tight, 0 violated",
    "1 of 1 negative controls caught",
    "nothing failed",
]
NEXT = "next: theory-check verify NAME --verbose for all numbers, show NAME for the statement"
TABLES = [
    ["Findings, 1 claim (1 measured):"],
    HEADER,
    ["flatness [V]", "tight 2/2", "1.000 [0.900, 1.100]", "1", "flat"],
    [""],
    ["Tests of the program, no findings, 1 claim (1 negative control):"],
    HEADER,
    ["steepness [R]", "caught 2/2", "1.000 [0.900, 1.100]", "1", "steep"],
]


def test_verify_says_what_matters_and_a_line_for_each_claim(
    laboratory: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run("verify") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:6] == [*SUMMARY, NEXT, OWN]
    assert lines[6] == ""
    assert [re.split("  +", line) for line in lines[7:]] == TABLES
    assert err == "2 cells: 2 run, 0 reused, 0 failed\n"


def test_all_numbers_and_reasons_stand_below_where_they_are_asked_for(
    laboratory: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run("verify", "--verbose") == 0
    _, details = capsys.readouterr().out.split("steep\n\n", 1)
    numbers = [
        "        measured 1.000 [0.900, 1.100] squared, 0.500 [0.450, 0.550] norm; predicted 1 squared, "
        "0.5 norm",
        "        interval over 2 random starts on one instance; sd 0.25 between starts",
    ]
    decay = "        measured 0.250 [0.200, 0.300]; predicted < 1"
    assert details.splitlines() == [
        "Findings, 1 claim (1 measured):",
        "",
        "flatness [V] measured: tight 2/2",
        "    It is flat. (here)",
        "    flat, bias: tight",
        *numbers,
        "    flat, decay: holds",
        decay,
        "    Could it have come out otherwise? Yes: a hill.",
        "",
        "Tests of the program, no findings, 1 claim (1 negative control):",
        "",
        "steepness [R] identity, negative control: caught 2/2",
        "    It is not steep. (there)",
        "    steep, bias: violated",
        *numbers,
        "    steep, decay: violated",
        decay,
        "    Could it have come out otherwise? No.",
        "",
        "[V] stated in the abstract or text of the source",
        "[R] reconstructed: consistent with what is known of the source, not quoted from it",
        "measured: nobody proved it: the data decide",
        "identity: follows from an identity on these problems: a test of the program, no finding",
    ]


def test_list_verify_and_the_report_call_a_claim_the_same(
    laboratory: Laboratory, capsys: Capture
) -> None:
    shown = []
    for words in (["list"], ["list", "claims"], ["show", "flatness"], ["verify"]):
        assert (run if words == ["verify"] else lambda *rest: main([*rest]))(*words) == 0
        shown.append(capsys.readouterr().out)
    assert run("verify", "--verbose") == 0
    shown.append(capsys.readouterr().out)
    assert run("reproduce") == 0
    shown.append(Path("results/verdicts.md").read_text())
    for text in shown:
        assert re.search(r"(^|claim |\| |  )flatness \[V\]( |$)", text, re.M), text
    capsys.readouterr()
    assert run("verify", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == ["flatness [V]", "steepness [R]"]


def test_verify_runs_only_the_experiment_of_the_claim(
    laboratory: Laboratory, capsys: Capture
) -> None:
    assert run("verify", "steepness", "--quick") == 0
    assert laboratory.journal.read_text() == "4.0 sum\n"
    assert "theory-check: 1 claim, small version (--quick)\n" in capsys.readouterr().out


def test_json_is_all_there_is_on_standard_output(laboratory: Laboratory, capsys: Capture) -> None:
    laboratory.measured = float("nan")
    assert run("verify", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["claim"] for record in records] == ["flatness", "steepness"]
    assert records[0]["status"] == "tight"
    assert records[0]["measured"][0]["exponent"] is None
    assert records[0]["measured"][1]["rho"] == 0.25
    assert [record["kind"] for record in records] == ["measured", "identity"]
    assert [record["finding"] for record in records] == [True, False]
    assert records[0]["otherwise"] == "Yes: a hill."
    assert records[1]["provenance"] == "R"
    assert records[1]["expected"] == "violated"
    assert records[1]["passed"] is True


@pytest.mark.parametrize(
    ("claim", "status", "code"),
    [
        ("flatness", "tight", 0),
        ("flatness", "holds", 0),
        ("flatness", "inconclusive", 0),
        ("flatness", "violated", 1),
        ("steepness", "violated", 0),
        ("steepness", "tight", 1),
    ],
)
def test_the_exit_code_says_whether_the_claims_passed(
    laboratory: Laboratory, claim: str, status: str, code: int
) -> None:
    laboratory.statuses[claim] = status
    assert run("verify", claim) == code


def test_a_failed_cell_is_exit_code_3_until_it_is_retried(
    laboratory: Laboratory, capsys: Capture
) -> None:
    laboratory.failing.touch()
    assert run("verify", "flatness") == 3
    out, err = capsys.readouterr()
    assert "FAILED: flatness (not judged)\n" in out
    assert "--retry-failed" in out
    assert re.search(r"^flatness \[V\] +not judged +- +-$", out, re.M)
    assert re.search(r"^ +1 of 1 cells of flat failed", out, re.M)
    assert re.search(r"flat/flat failed: RuntimeError: the file is there; traceback in .*json", err)
    assert err.endswith("\n1 cells: 0 run, 0 reused, 1 failed\n")
    laboratory.failing.unlink()
    assert run("verify", "flatness") == 3
    assert laboratory.executions() == 1
    assert run("verify", "flatness", "--retry-failed") == 0
    assert laboratory.executions() == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "flatnes"], "claim: received 'flatnes'; did you mean 'flatness'?"),
        (["run", "stepe"], "experiment: received 'stepe'; did you mean 'steep'?"),
        (["run", "absent.toml"], "absent.toml: experiment file: received No such file"),
        (["run", "flat", "--store", "journal/x"], "store: cannot write to journal/x"),
        (["run", "flat", "--backend", "lok"], "backend: received 'lok'; did you mean 'loky'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    laboratory: Laboratory, capsys: Capture, words: list[str], message: str
) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"theory-check: error: {message}")
    assert err.count("\n") == 1
    assert laboratory.executions() == 0


@pytest.mark.parametrize("jobs", ["0", "two"])
def test_bad_jobs_are_exit_code_2(laboratory: Laboratory, capsys: Capture, jobs: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "flat", "--jobs", jobs])
    assert caught.value.code == 2
    assert f"--jobs: received {jobs!r}; pass an integer" in capsys.readouterr().err


def test_help_documents_the_exit_codes(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert re.findall(r"^  (\d+) ", out, re.M) == ["0", "1", "2", "3", "70", "130", "141", "143"]


def test_interruption_is_one_line(
    laboratory: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_toys.Values, "measure", interrupt)
    assert run("run", "flat") == 130
    assert capsys.readouterr().err.startswith("theory-check: interrupted; finished cells are kept")


def test_a_defect_is_not_a_violated_claim(
    laboratory: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object) -> None:
        raise ZeroDivisionError("nobody expects this")

    monkeypatch.setattr(verdict, "judge", break_down)
    assert run("verify", "flatness") == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: nobody expects this\ntheory-check: this is a defect" in err


def test_the_handler_of_sigterm_is_put_back(laboratory: Laboratory) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run("run", "flat") == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_defect(laboratory: Laboratory) -> None:
    program = Path(__file__).parents[1] / "runs" / "sweep_program.py"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = start([sys.executable, str(program), "list"], laboratory.folder, writer)
    finally:
        os.close(writer)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.parametrize("command", ["figures", "reproduce"])
def test_a_figure_folder_that_cannot_be_written_stops_before_any_work(
    laboratory: Laboratory, capsys: Capture, command: str
) -> None:
    Path("taken").touch()
    assert run(command, "--output", "taken") == 2
    err = capsys.readouterr().err
    assert err.startswith("theory-check: error: cannot write figures to taken (File exists)")
    assert "--output" in err
    assert laboratory.executions() == 0


def test_a_figure_that_cannot_be_written_is_exit_code_2(
    laboratory: Laboratory, capsys: Capture
) -> None:
    Path("drawn/lines.png").mkdir(parents=True)
    assert run("figures", "--output", "drawn") == 2
    err = capsys.readouterr().err
    assert "theory-check: error: cannot write drawn/lines.png (Is a directory)" in err


def test_figures_are_drawn_as_pdf_and_png(laboratory: Laboratory, capsys: Capture) -> None:
    assert run("figures", "--output", "drawn") == 0
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["lines.pdf", "lines.png"]
    assert Path("drawn/lines.pdf").read_bytes().startswith(b"%PDF")
    assert Path("drawn/lines.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err.endswith("2 cells: 2 run, 0 reused, 0 failed\n")


def test_a_figure_without_its_results_is_named(laboratory: Laboratory, capsys: Capture) -> None:
    laboratory.failing.touch()
    assert run("figures") == 3
    assert "figure lines is not drawn: 1 of 1 cells of flat failed" in capsys.readouterr().err
    assert list(Path("results/figures").iterdir()) == []


@pytest.mark.parametrize("command", ["figures", "reproduce"])
def test_a_script_that_fails_takes_nothing_else_with_it(
    laboratory: Laboratory, capsys: Capture, command: str
) -> None:
    broken = FIGURE.replace("    figure = Figure()", '    raise IndexError("no such row")')
    (laboratory.folder / "paper_figures" / "broken.py").write_text(broken)
    assert run(command) == 70
    out, err = capsys.readouterr()
    assert "IndexError: no such row" in err
    assert "figure broken is not drawn, its script failed:" in err
    assert {path.stem for path in Path("results/figures").iterdir()} == {"lines"}
    if command == "reproduce":
        assert out.startswith("\n".join([*SUMMARY, "report: results/report.html\n"]))
        assert len(json.loads(Path("results/verdicts.json").read_text())) == 2


def test_a_script_without_draw_is_refused(laboratory: Laboratory, capsys: Capture) -> None:
    Path("paper_figures/empty.py").touch()
    assert run("figures") == 2
    assert "paper_figures/empty.py: received no function draw" in capsys.readouterr().err


@pytest.mark.slow
def test_reproduce_leaves_figures_and_verdicts(laboratory: Laboratory, capsys: Capture) -> None:
    assert run("reproduce", "--quick") == 0
    out = capsys.readouterr().out
    assert out.startswith("theory-check: 2 claims, small version (--quick)\n1 tight, 0 violated\n")
    assert "\nreport: results/quick/report.html\nfigures: results/quick/figures\nnext: " in out
    records = json.loads(Path("results/quick/verdicts.json").read_text())
    assert [record["status"] for record in records] == ["tight", "violated"]
    assert all(record["small_version"] for record in records)
    lines = Path("results/quick/verdicts.md").read_text().splitlines()
    assert lines[:4] == ["Small version of the experiments (--quick).", "", OWN, ""]
    lines = lines[4:]
    assert lines[:2] == ["### Findings, 1 claim (1 measured)", ""]
    assert lines[2] == f"| {' | '.join(verdict_rows.HEADER)} |"
    assert lines[4] == "| flatness [V] measured | TIGHT |  |  |  |  |  |"
    assert lines[5].startswith("|  | tight | flat | bias | 1.000 [0.900, 1.100] squared, ")
    assert lines[5].endswith("| 2 random starts on one instance; sd 0.25 between starts |")
    assert lines[6] == "|  | holds | flat | decay | 0.250 [0.200, 0.300] | < 1 |  |"
    assert lines[8] == "### Tests of the program, no findings, 1 claim (1 negative control)"
    assert Path("results/quick/figures/lines.pdf").exists()
    assert laboratory.executions() == 2
    assert run("reproduce", "--quick") == 0
    assert laboratory.executions() == 2


def test_the_small_version_leaves_the_full_one_as_it_is(laboratory: Laboratory) -> None:
    assert run("reproduce") == 0
    paths = [
        Path("results", name) for name in ("verdicts.json", "verdicts.md", "figures/lines.pdf")
    ]
    before = [path.read_bytes() for path in paths]
    assert b'small_version": false' in before[0]
    assert b"Small version" not in before[1]
    assert run("reproduce", "--quick") == 0
    assert [path.read_bytes() for path in paths] == before
    # The figure says which it is.
    assert Path("results/quick/figures/lines.pdf").read_bytes() != before[2]


@pytest.mark.slow
def test_a_checkout_with_some_experiments_judges_and_draws_what_it_can(
    laboratory: Laboratory, capsys: Capture
) -> None:
    Path("experiments/steep.toml").unlink()
    # The one figure of the laboratory needs both.
    (laboratory.folder / "paper_figures" / "flat_only.py").write_text(
        FIGURE.replace('("steep",)', "()").replace('    axes.plot(tables["steep"]["x"]', "    # ")
    )
    claim = "theory-check: without their experiments, not judged: steepness\n"
    figure = "theory-check: figure lines is not drawn, without its experiments: steep\n"
    counted = "1 cells: {} run, {} reused, 0 failed\n"
    assert run("verify") == 0
    out, err = capsys.readouterr()
    assert err == claim + counted.format(1, 0)
    assert "flatness [V]" in out
    assert "steepness" not in out
    assert run("figures", "--output", "drawn") == 0
    err = capsys.readouterr().err
    assert err.startswith(figure)
    assert err.endswith(counted.format(0, 1))
    assert {path.stem for path in Path("drawn").iterdir()} == {"flat_only"}
    assert run("reproduce") == 0
    err = capsys.readouterr().err
    assert err.startswith(claim + figure)
    assert {path.stem for path in Path("results/figures").iterdir()} == {"flat_only"}
    (record,) = json.loads(Path("results/verdicts.json").read_text())
    assert record["claim"] == "flatness"
    # Asked for by name, what is missing is an error.
    assert run("verify", "steepness") == 2
    assert "experiment: received 'steep'" in capsys.readouterr().err


def test_experiments_are_found_by_name_from_any_folder(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("run", "flat") == 0
    assert laboratory.executions() == 1


def test_verify_is_also_a_function(laboratory: Laboratory) -> None:
    verdict = verify("flatness", store=laboratory.folder / "store")
    assert verdict.status == "tight"
    assert verify("flatness", store=laboratory.folder / "store") == verdict
    assert laboratory.executions() == 1
    with pytest.raises(InvalidArgumentError, match="did you mean 'flatness'"):
        verify("flatnes")
    laboratory.failing.touch()
    with pytest.raises(FailedCellsError, match="steepness cannot be judged: 1 of 1 cells"):
        verify("steepness", store=laboratory.folder / "store")
