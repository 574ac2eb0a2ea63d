"""What exists: the package's components, those of a study beside them, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from helpers.fresh import printed_by

import theory_check
from theory_check.catalogue import KINDS, MARK, Catalogue, Root, study_of
from theory_check.cli import main
from theory_check.errors import DuplicateNameError, InvalidArgumentError
from theory_check.runs import Store, execute, load_experiment
from theory_check.studies.verification import verify

PROBLEM = '''\
"""A slope."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slope:
    """Return values that decay like a power."""

    power: float


def slope(power: float = 1.0) -> Slope:
    """Return a slope."""
    return Slope(power)
'''

MEASUREMENT = '''\
"""Values along a slope, with a little noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from theory_check.measurements.base import Measurement

from ..problems.slope import Slope


@dataclass(frozen=True)
class Slopes(Measurement):
    """Values of a slope."""

    kind: ClassVar[str] = "slopes"
    points: int = 12

    def measure(self, problem: Slope, seeds, progress):
        rows = []
        for seed in seeds:
            noise = np.random.default_rng(seed).normal(0, 0.01, self.points)
            x = 2.0 ** np.arange(self.points)
            rows += [(seed, *row) for row in zip(x, x**-problem.power * np.exp(noise))]
        return pd.DataFrame(rows, columns=["seed", "x", "y"])
'''

CLAIM = '''\
"""A slope decays like 1/x."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

CLAIM = Claim(
    id="slope-decay",
    statement="The slope decays like 1/x.",
    source="this study",
    provenance="D",
    kind="measured",
    otherwise="Yes: another power.",
    assumptions=(),
    rates=(
        PowerRate(
            name="decay",
            x="x",
            y="y",
            exponent=-1,
            reciprocal=False,
            limit="infinity",
            better="smaller",
            resolution=0.05,
            rivals=(-0.5, -2.0),
            y_units="value",
            x_symbol="$x$",
            y_symbol="$y$",
        ),
    ),
    experiment="slope-decay",
)
'''

EXPERIMENT = """\
measurement = "slopes"
description = "Values of a slope."
seeds = 8
[problems.steep]
family = "slope"
power = 1.0
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for name, text in (
        (MARK, ""),
        ("problems/slope.py", PROBLEM),
        ("measurements/slopes.py", MEASUREMENT),
        ("claims/slope_decay.py", CLAIM),
        ("experiments/slope-decay.toml", EXPERIMENT),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_package_brings_something_of_every_kind() -> None:
    shipped = Catalogue.shipped()
    assert shipped.failures() == ()
    for kind in KINDS:
        assert len(getattr(shipped, kind)) > 0, kind
    assert shipped.families["garnet"] is theory_check.problems.garnet
    assert shipped.solvers["penalty-bilevel"] is theory_check.solvers.PenaltyBilevel
    assert shipped.claims["penalty-bias"].experiment in shipped.experiments


def test_a_study_stands_beside_what_is_shipped(study: Path) -> None:
    found = Catalogue.shipped().with_folder(study)
    assert {"slope", "garnet"} <= found.families.keys()
    assert {"slopes", "penalty-bias"} <= found.measurements.keys()
    assert {"slope-decay", "penalty-bias"} <= found.claims.keys()
    assert found.experiments["slope-decay"] == study / "experiments" / "slope-decay.toml"
    assert found.failures() == ()
    # Another catalogue of this process does not see it.
    assert "slope" not in Catalogue.shipped().families
    assert found.with_folder(study) == found


def test_a_study_is_run_and_judged_by_the_command_line(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["verify", "slope-decay", "--json", "--jobs", "1", "--store", "store"]
    assert main(["--study", "mine", *words]) == 0
    (judged,) = json.loads(capsys.readouterr().out)
    assert (judged["claim"], judged["status"]) == ("slope-decay", "tight")
    # Inside the study it need not be named, and the package's experiments are there as well.
    monkeypatch.chdir(study / "claims")
    assert main([*words[:-1], str(tmp_path / "store")]) == 0
    assert "1 reused" in capsys.readouterr().err
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "slope-decay" in listed
    assert "penalty-bias-neural" in listed
    # Nowhere else it is known.
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "claim: received 'slope-decay'" in capsys.readouterr().err


@pytest.mark.slow
def test_python_takes_a_catalogue(study: Path, tmp_path: Path) -> None:
    found = Catalogue.shipped().with_folder(study)
    verdict = verify("slope-decay", store=tmp_path / "store", catalogue=found)
    assert verdict.status == "tight"
    wrong = study / "claims" / "slope_decay.py"
    wrong.write_text(CLAIM.replace("exponent=-1", "exponent=-2").replace("-2.0)", "-1.0)"))
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; from theory_check.catalogue import Catalogue; "
        "from theory_check.studies.verification import verify; "
        "found = Catalogue.shipped().with_folder(sys.argv[1]); "
        "print(verify('slope-decay', store=sys.argv[2], catalogue=found).status)"
    )
    printed = printed_by(program, str(study), str(tmp_path / "store"), folder=tmp_path)
    assert printed == "violated\n"


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_import_a_study_by_its_path(study: Path, tmp_path: Path, jobs: int) -> None:
    path = study / "experiments" / "slope-decay.toml"
    path.write_text(EXPERIMENT + '[problems.flat]\nfamily = "slope"\npower = 0.5\n')
    found = Catalogue.shipped().with_folder(study)
    cells = load_experiment(path, found).full
    report = execute(cells, Store(tmp_path / "store"), jobs=jobs)
    assert (len(report.executed), len(report.failed)) == (2, 0)


@pytest.mark.slow
def test_a_process_that_has_never_heard_of_a_study_loads_its_cells(
    study: Path, tmp_path: Path
) -> None:
    found = Catalogue.shipped().with_folder(study)
    (cell,) = load_experiment(study / "experiments" / "slope-decay.toml", found).full
    (tmp_path / "cell").write_bytes(pickle.dumps(cell))
    program = tmp_path / "program.py"
    program.write_text("import pickle; print(pickle.load(open('cell', 'rb')).problem.family)")
    assert printed_by(program, folder=tmp_path) == "slope\n"


def test_a_study_that_was_edited_is_imported_anew_and_its_old_cells_are_refused(
    study: Path, tmp_path: Path
) -> None:
    """In one process, as in a notebook: nothing of the old code gets the name of the new one."""
    store, path = tmp_path / "store", study / "experiments" / "slope-decay.toml"
    before = Catalogue.shipped().with_folder(study)
    assert verify("slope-decay", store=store, catalogue=before).status == "tight"
    (old,) = load_experiment(path, before).full
    file = study / "problems" / "slope.py"
    file.write_text(PROBLEM.replace("return Slope(power)", "return Slope(power / 2)"))
    with pytest.raises(InvalidArgumentError, match=r"slope\.py, which changed since it was impor"):
        _ = old.key
    after = before.with_folder(study)
    assert [root.folder for root in after.studies] == [study.resolve()]
    assert after.with_folder(study) is after
    # The exponent is a half now, and the result of the edited file is not that of the first.
    assert verify("slope-decay", store=store, catalogue=after).status == "violated"
    file.write_text(PROBLEM)
    assert verify("slope-decay", store=store, catalogue=after.with_folder(study)).status == "tight"


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_computed_while_its_source_changed_is_not_kept(
    study: Path, tmp_path: Path, jobs: int
) -> None:
    edit = f"pathlib.Path({str(study / 'problems' / 'slope.py')!r}).write_text('X = 1')"
    file = study / "measurements" / "slopes.py"
    file.write_text(
        "import pathlib\n" + MEASUREMENT.replace("rows = []", f"{edit}\n        rows = []")
    )
    found = Catalogue.shipped().with_folder(study)
    cells = load_experiment(study / "experiments" / "slope-decay.toml", found).full
    report = execute(cells, Store(tmp_path / "store"), jobs=jobs)
    (failure,) = report.failed
    assert "slope.py" in failure.message
    assert "changed while it ran" in failure.message
    assert list((tmp_path / "store").glob("*.parquet")) == []


@pytest.mark.parametrize("code", ["0", "3", "'bye'"])
def test_a_file_that_ends_the_program_is_left_out_like_any_that_fails(
    study: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    (study / "claims" / "ends.py").write_text(f"import sys; sys.exit({code})\n")
    assert main(["check", str(study)]) == 1
    assert f"{study / 'claims' / 'ends.py'}: SystemExit: " in capsys.readouterr().out


def test_a_file_that_cannot_be_imported_is_a_failure_of_its_own(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "problems" / "broken.py").write_text("import no_such_module_at_all\n")
    found = Catalogue.shipped().with_folder(study)
    (failure,) = found.failures()
    assert failure.path == study / "problems" / "broken.py"
    assert "No module named 'no_such_module_at_all'" in failure.traceback
    assert "slope" in found.families
    monkeypatch.chdir(tmp_path)
    words = ["verify", "slope-decay", "--jobs", "1", "--store", "store"]
    assert main(["--study", "mine", *words]) == 0
    assert "broken.py: ModuleNotFoundError" in capsys.readouterr().err


def test_two_components_of_one_name_are_refused_with_both_files(study: Path) -> None:
    (study / "problems" / "garnet.py").write_text(PROBLEM.replace("slope", "garnet"))
    with pytest.raises(DuplicateNameError) as caught:
        _ = Catalogue.shipped().with_folder(study).families
    for part in ("problems/garnet.py", "mine/problems/garnet.py", "'garnet'"):
        assert part in str(caught.value).replace("\\", "/")
    (study / "experiments" / "penalty-bias.toml").write_text(EXPERIMENT)
    with pytest.raises(DuplicateNameError, match=r"penalty-bias.toml and .*penalty-bias.toml"):
        _ = Catalogue.shipped().with_folder(study).experiments


def test_two_claims_of_one_id_in_one_file_are_refused(study: Path) -> None:
    (study / "claims" / "slope_decay.py").write_text(
        CLAIM + '\nfrom dataclasses import replace\nOTHER = replace(CLAIM, statement="Another.")\n'
    )
    with pytest.raises(DuplicateNameError, match=r"slope_decay defines 'slope-decay' twice"):
        _ = Catalogue.shipped().with_folder(study).claims


def test_a_catalogue_of_given_components_has_no_others() -> None:
    made = Catalogue.of(families={"line": len})
    assert dict(made.families) == {"line": len}
    assert dict(made.claims) == {}
    assert pickle.loads(pickle.dumps(made)).families == made.families
    with pytest.raises(InvalidArgumentError, match=r"^catalogue: received 'famlies'; did you mean"):
        Catalogue.of(famlies={})


def test_what_is_no_study_is_refused(tmp_path: Path, study: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^study: received '.*none'; pass a folder"):
        Root.of_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidArgumentError, match=r"^study: .*holds no study.toml; .*problems/"):
        Root.of_folder(tmp_path / "empty")
    assert study_of(study / "problems") == study
    assert study_of(tmp_path / "empty") is None


def test_an_installed_package_offers_components(
    tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "offered"
    package.parent.mkdir()
    study.rename(package)
    (package / "__init__.py").touch()
    information = tmp_path / "site" / "offered-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[theory_check.components]\nall = offered\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = Catalogue.installed()
    assert found.families["slope"].__module__ == "offered.problems.slope"
    assert "slope-decay" in found.experiments
