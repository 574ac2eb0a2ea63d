"""Files of the current folder win over the package's, and every result says whose it rests on."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from calibration.residuals import stored_rates
from laboratory import EXPERIMENT, FIGURE, Laboratory

from theory_check import catalogue, verification
from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.errors import InvalidArgumentError
from theory_check.runs import locations
from theory_check.runs.comparisons import load_comparisons
from theory_check.verification import verify

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
    assert out.startswith("Experiments: those of theory-check.\n\n")
    assert "of this folder" not in out + err
    first, _ = json.loads(Path("results/verdicts.json").read_text())
    assert first["experiment_file"] == "experiments/flat.toml"
    assert first["experiment_shipped"] is True
    assert Path("results/verdicts.md").read_text().startswith("Experiments: those of theory-check.")
    assert b"Of this folder" not in Path("results/figures/lines.png").read_bytes()
    assert main(["list"]) == 0
    assert "\nexperiments:\n" in capsys.readouterr().out


def test_files_of_the_folder_are_named_and_so_is_what_they_change(
    laboratory: Laboratory, package: Path, capsys: Capture
) -> None:
    shutil.copytree(laboratory.folder / "experiments", "experiments")
    changed = Path("experiments/flat.toml")
    changed.write_text(changed.read_text().replace("slope = 0.5", "slope = 0.25"))
    Path("experiments/mine.toml").write_text(
        EXPERIMENT.format(name="mine", slope=1.0, journal=laboratory.journal, failing="none")
    )
    whose = (
        "Experiments: experiments/ of this folder, not those of theory-check; "
        "not as shipped under the same name: flat.\n"
    )
    assert run("reproduce") == 0
    out, err = capsys.readouterr()
    assert " ".join(out.split()).startswith(whose.strip())
    assert Path("results/verdicts.md").read_text().startswith(whose)
    records = json.loads(Path("results/verdicts.json").read_text())
    assert [record["experiment_file"] for record in records] == [
        "experiments/flat.toml",
        "experiments/steep.toml",
    ]
    assert not any(record["experiment_shipped"] for record in records)
    # The script is shipped, what it draws is not.
    assert "Paper figures" not in err
    for suffix in ("png", "pdf"):
        content = Path(f"results/figures/lines.{suffix}").read_bytes()
        assert b"Of this folder: experiments." in content
    assert run("verify", "flatness", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["experiment_shipped"] is False


def test_a_figure_script_of_the_folder_is_named(
    laboratory: Laboratory, package: Path, capsys: Capture
) -> None:
    Path("paper_figures").mkdir()
    Path("paper_figures/lines.py").write_text(FIGURE.replace("axes = ", "axes = axis = "))
    assert run("figures") == 0
    assert (
        "theory-check: Paper figures: paper_figures/ of this folder, not those of theory-check; "
        "not as shipped under the same name: lines.\n"
    ) in capsys.readouterr().err
    content = Path("results/figures/lines.png").read_bytes()
    assert b"Of this folder: paper_figures/lines.py." in content


def audited(monkeypatch: pytest.MonkeyPatch, laboratory: Laboratory) -> list[tuple[str, str]]:
    """Let the first claim rest on audits without experiments; returns what the judge is told."""
    toys = catalogue.installed()
    flat = replace(toys.claims["flatness"], audits=("lower-pl",))
    changed = Catalogue.of(
        **toys.given | {"claims": {**toys.claims, "flatness": flat}},
        audits=Catalogue.shipped().audits,
    )
    for user in (catalogue, verification):
        monkeypatch.setattr(user, "installed", lambda: changed)
    judge, told = laboratory.judge, []

    def listen(claim, table, failed, findings, families):  # type: ignore[no-untyped-def]
        told.extend((finding.status, finding.reason) for finding in findings)
        return judge(claim, table, failed, findings, families)

    monkeypatch.setattr("theory_check.analysis.verdict.judge", listen)
    return told


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


def test_what_the_folder_hides_is_said_where_it_is_asked_for(
    laboratory: Laboratory, package: Path, capsys: Capture
) -> None:
    Path("experiments").mkdir()
    shutil.copy(laboratory.folder / "experiments" / "flat.toml", "experiments")
    assert run("verify") == 0
    assert "without their experiments, not judged: steepness" in capsys.readouterr().err
    for words in (["verify", "steepness"], ["run", "steep"]):
        assert run(*words) == 2
        err = capsys.readouterr().err
        assert "experiment: received 'steep'; experiments/ of this folder has none" in err
        assert "hides those of theory-check" in err
    assert main(["advise", "--problem", "steep/steep", "--epsilon", "0.1"]) == 2
    assert "hides those of theory-check" in capsys.readouterr().err
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^experiments of this folder, experiments/:\n  flat ", listed, re.M)


def test_comparisons_of_the_package_are_used_where_the_folder_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    loaded = load_comparisons(["penalty"])
    assert loaded
    assert all(locations.is_shipped(experiment.path) for experiment in loaded.values())
    (tmp_path / "experiments" / "comparisons").mkdir()
    with pytest.raises(InvalidArgumentError, match="no experiment file"):
        load_comparisons(["penalty"])


def test_calibration_leaves_out_claims_without_their_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    rates, missing = stored_rates(tmp_path)
    assert rates == {}
    assert "penalty-bias: there is no experiment penalty-bias here" in missing
