"""The commands new and check, and verify within a study: what they write, find and judge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers.fresh import fresh

from theory_check.catalogue import TEMPLATE, Catalogue, home
from theory_check.cli import main
from theory_check.measurements.solver_run import SolverRun
from theory_check.studies.named import chosen_claims

Capture = pytest.CaptureFixture[str]

LEAKING = """\
found = oracle.total_gradient(state.upper, state.lower, self.trajectories, self.trajectories)
        return found.direct + found.response - 0.01 * found.direct.add(1).mean(0)
        total ="""


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A new study, in a folder to work in that is not one."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "s"], Catalogue.shipped()) == 0
    assert "next:  theory-check check s\n" in capsys.readouterr().out
    return tmp_path / "s"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(*words: str) -> int:
    return main(list(words), Catalogue.shipped())


def test_a_new_study_is_the_template(new: Path) -> None:
    template = home() / TEMPLATE
    held = {path.relative_to(new): path.read_bytes() for path in new.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in held} == {
        "README.md",
        "study.toml",
        "claims/falling_steps.py",
        "experiments/falling-steps.toml",
        "figures/falling_steps.py",
        "problems/tracking.py",
        "solvers/falling_steps.py",
    }
    assert all(content == (template / path).read_bytes() for path, content in held.items())
    # Its README describes each file, and nothing that is not there.
    described = re.findall(r"^\| `(.+?)` \|", (new / "README.md").read_text("utf-8"), re.M)
    assert {*described, "README.md", "study.toml"} == {path.as_posix() for path in held}


@pytest.mark.slow
def test_a_signal_ends_a_command_that_is_importing_and_is_no_fault_of_the_file(new: Path) -> None:
    file = new / "claims" / "falling_steps.py"
    signal = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)\n"
    file.write_text(signal + file.read_text(encoding="utf-8"), encoding="utf-8")
    done = fresh("check", "s")
    assert (done.returncode, done.stdout) == (143, "")


@pytest.mark.slow
def test_a_component_that_ends_the_program_ends_nothing(new: Path) -> None:
    """While a cell runs it is the cell that fails, and in a figure script the command that says so."""
    step = new / "solvers" / "falling_steps.py"
    text = step.read_text(encoding="utf-8")
    edit(step, "total = oracle.", "raise SystemExit(0)\n        total = oracle.")
    done = fresh("--study", "s", "verify", "--quick", "--jobs", "1")
    assert done.returncode == 3
    assert "failed: SystemExit: 0" in done.stderr
    step.write_text(text, encoding="utf-8")
    edit(new / "figures" / "falling_steps.py", "def draw", "raise SystemExit(0)\n\n\ndef draw")
    done = fresh("--study", "s", "figures", "falling_steps", "--quick")
    assert done.returncode == 70
    assert "SystemExit: 0" in done.stderr


def test_what_is_there_is_not_written_over(new: Path, capsys: Capture) -> None:
    before = (new / "README.md").read_text(encoding="utf-8")
    (new / "README.md").write_text("mine", encoding="utf-8")
    for folder, received in (
        (new, "which is not empty"),
        (new / "README.md", "which is no folder"),
    ):
        assert run("new", str(folder)) == 2
        assert f"{received}; pass a new folder, or an empty one" in capsys.readouterr().err
    assert (new / "README.md").read_text(encoding="utf-8") == "mine"
    assert before != "mine"
    empty = new.parent / "deep" / "empty"
    empty.mkdir(parents=True)
    assert run("new", str(empty)) == 0
    blocked = new / "README.md" / "inside"
    assert run("new", str(blocked)) == 2
    assert "cannot write a study to" in capsys.readouterr().err


@pytest.mark.slow
def test_a_new_study_keeps_the_contracts(new: Path, capsys: Capture) -> None:
    assert run("check", "s") == 0
    out = capsys.readouterr().out
    assert "FAILS" not in out
    for kind in ("problem", "method", "solver", "claim", "experiment", "figure"):
        assert re.search(rf"^{kind} +\S+ .* passes$", out, re.M), kind
    assert re.search(r"^7 components, \d+ checks: 0 fail, 0 files cannot be imported$", out, re.M)


@pytest.mark.slow
def test_its_claim_is_kept_and_can_fail(new: Path) -> None:
    """In its small version; the exponent is 1 up to 0.02, and the claim that it is 2 is refuted."""
    words = ("--study", "s", "verify", "--quick", "--jobs", "1", "--json")
    done = fresh(*words)
    (judged,) = json.loads(done.stdout)
    assert (done.returncode, judged["claim"], judged["status"]) == (0, "falling-steps", "tight")
    edit(new / "claims" / "falling_steps.py", "exponent=1.0", "exponent=2.0")
    done = fresh(*words)
    (judged,) = json.loads(done.stdout)
    assert (done.returncode, judged["status"]) == (1, "violated")
    assert "1 reused" in done.stderr
    # Steps that are too small for it refute it as well: c = 0.4, an exponent near 0.8.
    edit(new / "claims" / "falling_steps.py", "exponent=2.0", "exponent=1.0")
    edit(new / "experiments" / "falling-steps.toml", "step_size = 0.5", "step_size = 0.1")
    done = fresh(*words)
    (judged,) = json.loads(done.stdout)
    assert (done.returncode, judged["status"]) == (1, "violated")
    assert judged["measured"][0]["exponent"] == pytest.approx(0.8, abs=0.05)


@pytest.mark.slow
def test_its_figure_is_drawn(new: Path) -> None:
    """With nothing of the package but the measurement: its figures would run for minutes."""
    (new.parent / "paper_figures").mkdir()
    alone = Catalogue.of(measurements={"solver-run": SolverRun})
    assert main(["--study", "s", "figures", "--quick", "--jobs", "1"], alone) == 0
    drawn = {path.name for path in (new.parent / "results" / "quick" / "figures").iterdir()}
    assert drawn == {"falling_steps.pdf", "falling_steps.png"}


def test_verify_judges_the_claims_of_the_study_alone(new: Path) -> None:
    catalogue = Catalogue.shipped().with_folder(new)
    told: list[str] = []

    def judged(*names: str, everything: bool = False) -> list[str]:
        found = chosen_claims(names, catalogue, told.append, everything=everything)
        return [claim.id for claim in found]

    assert judged() == ["falling-steps"]
    assert judged("penalty-bias", "penalty-bias") == ["penalty-bias"]
    assert judged(everything=True) == list(catalogue.claims)
    assert told == []


def test_verify_refuses_a_study_without_claims(new: Path, capsys: Capture) -> None:
    (new / "claims" / "falling_steps.py").unlink()
    assert run("--study", "s", "verify") == 2
    assert "CLAIM: received nothing, in a study without claims" in capsys.readouterr().err


@pytest.mark.slow
def test_what_fails_is_said_with_its_reason(new: Path) -> None:
    edit(new / "solvers" / "falling_steps.py", "total =", LEAKING)
    edit(new / "claims" / "falling_steps.py", 'experiment="falling-steps"', 'experiment="faling"')
    edit(new / "figures" / "falling_steps.py", 'CLAIMS = ("falling-steps",)', "CLAIMS = (1 / 0,)")
    edit(new / "problems" / "tracking.py", "return x - self.target", "return 2 * (x - self.target)")
    (new / "problems" / "broken.py").write_text("import no_such_module\n", encoding="utf-8")
    (new / "experiments" / "empty.toml").write_text("seeds = 3\n", encoding="utf-8")
    done = fresh("check", "s")
    assert done.returncode == 1
    for said in (
        r"^method falling-steps, replicates do not depend on their company, closed form:\n  seed 1 alone",
        r"^claim falling-steps, its experiment exists:\n  experiment: .*did you mean 'falling-steps'",
        r"^problem falling-steps/tracking, its hypergradient is the derivative .*:\n  hypergradient is",
        r"^experiment empty, it can be read:\n  .*empty.toml: measurement: received nothing",
        r"^figure falling_steps, it can be drawn:\n  ZeroDivisionError: division by zero \(.*line 17\)",
        r"^cannot be imported:\n  .*broken.py: ModuleNotFoundError: No module named 'no_such_module'",
        r" checks: \d+ fail, 1 files cannot be imported$",
    ):
        assert re.search(said, done.stdout, re.M), said
    # The rest is still tried.
    assert re.search(r"^ +more accuracy takes more +passes$", done.stdout, re.M)


@pytest.mark.slow
def test_a_solver_that_nothing_configures_is_named(new: Path) -> None:
    solver = new / "solvers" / "falling_steps.py"
    text = solver.read_text(encoding="utf-8")
    solver.write_text(text[: text.index("METHOD = ")], encoding="utf-8")
    (new / "experiments" / "falling-steps.toml").unlink()
    done = fresh("check", "s")
    assert done.returncode == 1
    assert "nothing configures it; define a Method beside it, or use it" in done.stdout


def test_check_needs_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (("check", "nothing"), "study: received 'nothing'; pass a folder that exists"),
        (("check", "."), "holds no study.toml"),
        (("check",), "DIR: received nothing, outside of a study"),
    ):
        assert run(*words) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "study.toml").touch()
    assert run("check") == 2
    assert "pass a study with a component" in capsys.readouterr().err


def test_a_twin_of_a_shipped_component_is_refused(new: Path, capsys: Capture) -> None:
    (new / "problems" / "tracking.py").rename(new / "problems" / "garnet.py")
    edit(new / "problems" / "garnet.py", "def tracking(", "def garnet(")
    assert run("check", "s") == 2
    assert re.search(r"garnet.py and .*garnet.py both define 'garnet'", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("falling-steps",), ("penalty-bias", "--quick")])
def test_verify_says_that_the_problems_of_a_study_cannot_be_read(
    words: tuple[str, ...], new: Path, capsys: Capture
) -> None:
    """No experiment of the study names one of them, and no cell is run."""
    file = new / "experiments" / "problems.toml"
    file.write_text('[mine]\nfamily = "bandit"\nactions = = 2\n')
    assert run("--study", "s", "verify", *words) == 2
    told = capsys.readouterr()
    assert f"error: {file}: received a file that is not TOML" in told.err
    assert "at line 3, column 11" in told.err
    assert not Path("results").exists()


def test_verify_names_the_file_of_a_problem_that_cannot_be_read(new: Path, capsys: Capture) -> None:
    words = ("verify", "penalty-bias", "--quick", "--problem", "mine.toml/mine")
    for text, message in (
        (
            "[mine]\nfamily =",
            "mine.toml: experiment file: received text that is not TOML; correct it",
        ),
        ("mine = 1", "mine.toml: problems.mine: received 1; write a table with a family"),
        ('[mine]\nfamily = "bandi"', "mine.toml: mine.family: received 'bandi'; did you mean"),
        ('[yours]\nfamily = "bandit"', "mine.toml: --problem: received 'mine'"),
    ):
        Path("mine.toml").write_text(text)
        assert run(*words) == 2
        assert message in capsys.readouterr().err
    Path("mine.toml").unlink()
    assert run(*words) == 2
    assert "mine.toml: experiment file: received No such file" in capsys.readouterr().err


def test_check_builds_the_named_problems_of_a_study(new: Path, capsys: Capture) -> None:
    (new / "experiments" / "problems.toml").write_text(
        '[good]\nfamily = "tracking"\n[unknown]\nfamily = "trackin"\n[misspelt]\nfamily = "tracking"\n'
        "dimensoin = 3\n"
    )
    assert main(["check", "s"]) == 1
    out = capsys.readouterr().out
    assert "experiment unknown, it can be built:\n  unknown.family: received 'trackin'" in out
    assert "misspelt.dimensoin: received an unknown key" in out
    assert "experiment good, it can be built" not in out
    assert main(["list"], Catalogue.shipped().with_folder(new)) == 0
    assert "\n  problems " not in capsys.readouterr().out.split("experiments of")[1]
