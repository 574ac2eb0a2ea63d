"""Files of a study stand beside the package's, and every result says whose it rests on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from calibration.residuals import stored_rates
from helpers.catalogues import with_files_of
from laboratory import EXPERIMENT, FIGURE, Laboratory

from theory_check import catalogue
from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.studies import verification
from theory_check.studies.verification import verify

Capture = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    return main([*words, "--jobs", "1"])


@pytest.fixture
def package(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The laboratory as what is shipped, and an empty folder beside it to work in; returns that."""
    work = laboratory.folder / "work"
    work.mkdir()
    monkeypatch.setattr("theory_check.catalogue.roots.PACKAGE", laboratory.folder / "theory_check")
    monkeypatch.chdir(work)
    return work


@pytest.mark.slow
@pytest.mark.parametrize("place", ["work", "."])
def test_shipped_files_are_called_shipped(
    laboratory: Laboratory,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    place: str,
) -> None:
    """From another folder, and within the checkout itself, where they are the current folder's too."""
    monkeypatch.chdir(laboratory.folder / place)
    assert run("reproduce") == 0
    out, err = capsys.readouterr()
    assert "\nExperiments: those of theory-check.\n\n" in out
    assert "and those of" not in out + err
    first, _ = json.loads(Path("results/verdicts.json").read_text())
    assert first["experiment_file"] == "experiments/flat.toml"
    assert first["experiment_shipped"] is True
    assert Path("results/verdicts.md").read_text().startswith("Experiments: those of theory-check.")
    assert b"Not of theory-check" not in Path("results/figures/lines.png").read_bytes()
    assert main(["list"]) == 0
    assert "\nexperiments:\n" in capsys.readouterr().out


def test_a_study_is_named_and_so_is_what_is_its_own(
    laboratory: Laboratory, package: Path, capsys: Capture
) -> None:
    """Its experiments and figures stand beside those of the package."""
    Path("study.toml").touch()
    Path("experiments").mkdir()
    Path("experiments/mine.toml").write_text(
        EXPERIMENT.format(name="mine", slope=1.0, journal=laboratory.journal, failing="none")
    )
    Path("figures").mkdir()
    Path("figures/own.py").write_text(FIGURE.replace('("steep",)', '("mine", "steep")'))
    whose = f"Experiments: those of theory-check, and those of {package}."
    assert run("reproduce") == 0
    assert "3 cells" in capsys.readouterr().err
    assert Path("results/verdicts.md").read_text().startswith(whose)
    records = json.loads(Path("results/verdicts.json").read_text())
    assert all(record["experiment_shipped"] for record in records)
    for suffix in ("png", "pdf"):
        content = Path(f"results/figures/own.{suffix}").read_bytes()
        assert b"Not of theory-check: " in content
        assert b"Not of theory-check" not in Path(f"results/figures/lines.{suffix}").read_bytes()


def test_files_of_a_folder_that_is_no_study_are_not_read(
    laboratory: Laboratory, package: Path, capsys: Capture
) -> None:
    """A folder that happens to have the name hides nothing, and the remedy is said."""
    shutil.copytree(laboratory.folder / "experiments", "experiments")
    changed = Path("experiments/flat.toml")
    changed.write_text(changed.read_text().replace("slope = 0.5", "slope = 0.25"))
    changed.with_name("mine.toml").write_text(changed.read_text())
    assert run("reproduce") == 0
    out, err = capsys.readouterr()
    assert "\nExperiments: those of theory-check.\n" in out
    records = json.loads(Path("results/verdicts.json").read_text())
    assert all(record["experiment_shipped"] for record in records)
    assert run("run", "mine") == 2
    err = capsys.readouterr().err
    assert "experiment: received 'mine'; pass the path experiments/mine.toml, or make" in err
    assert run("run", "experiments/mine.toml") == 0


def audited(monkeypatch: pytest.MonkeyPatch, laboratory: Laboratory) -> list[tuple[str, str]]:
    """Let the first claim rest on audits without experiments; returns what the judge is told."""
    toys = catalogue.installed()
    flat = replace(toys.claims["flatness"], audits=("lower-pl",))
    given = {
        **toys.given,
        "claims": {**toys.claims, "flatness": flat},
        "audits": Catalogue.shipped().audits,
    }
    changed = Catalogue(toys.roots, given)
    for user in (catalogue, verification):
        monkeypatch.setattr(user, "installed", lambda: changed)
    judge, told = laboratory.judge, []

    def listen(claim, table, failed, findings, families):  # type: ignore[no-untyped-def]
        told.extend((finding.status, finding.reason) for finding in findings)
        return judge(claim, table, failed, findings, families)

    monkeypatch.setattr("theory_check.analysis.verdict.judge", listen)
    return told


@pytest.mark.slow
def test_a_claim_whose_audits_have_no_experiment_is_judged_by_every_command(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = audited(monkeypatch, laboratory)
    for words in (["verify", "flatness"], ["verify"], ["figures"], ["reproduce"]):
        assert run(*words) == 0
        ((status, reason),) = told
        assert status == "not audited"
        assert "there is no experiment audits or audits-discounted or control-audits here" in reason
        told.clear()
    assert verify("flatness").status == "tight"
    assert [status for status, _ in told] == ["not audited"]


def test_calibration_leaves_out_claims_without_their_experiment(tmp_path: Path) -> None:
    rates, missing = stored_rates(tmp_path, catalogue=with_files_of(tmp_path))
    assert rates == {}
    assert "penalty-bias: there is no experiment penalty-bias here" in missing
