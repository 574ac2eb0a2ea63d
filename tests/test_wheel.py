"""The package as somebody installs it: a wheel, an environment without the checkout, an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

import theory_check
from theory_check.catalogue import Catalogue

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FOLDERS = ("theory_check", "experiments", "paper_figures", "study_template")
GENERATED = ("__pycache__", "output")
SUFFIXES = (".py", ".toml", ".json", ".typed", ".md", ".html", ".css", ".js", ".bib")

WHERE = """\
import theory_check
from theory_check.catalogue import Catalogue, Root
shipped = Root.shipped()
print(theory_check.__file__, shipped.experiments, shipped.figures, sep="\\n")
print(theory_check.__version__, len(Catalogue.shipped().experiments))
"""

COMMANDS = """\
import contextlib, io, json, sys, time
from theory_check.cli import main
ended = []
for words in json.loads(sys.argv[1]):
    begun = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0, words
    ended.append((out.getvalue(), time.monotonic() - begun))
json.dump(ended, sys.stdout)
"""
"""Commands that end with exit code 0, in one process, which loads the libraries once."""

QUICK = ("--quick", "--jobs", "1")
OF_THE_PACKAGE = (
    ("verify", "non-uniform-pl", *QUICK),
    ("run", "control-quartic", *QUICK),
    ("compare", "--solvers", "exact,hpgd", "--problems", "bandit-excess", *QUICK),
)
OF_A_STUDY = (
    ("new", "s"),
    ("check", "s"),
    ("--study", "s", "verify", "--store", "s/results", "--jobs", "1", "--json"),
)

COMPILED_ANEW = "bradley_terry.py"

KERNEL = """\
import numpy as np
from theory_check.kernels.bradley_terry import label_law
upset = label_law(np.array([0.0, np.log(3.0)])).upset
print(upset.round(12).tolist(), label_law.stats.cache_path, sep="\\n")
"""


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: what a build leaves behind would be part of the next one."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns(*GENERATED)
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    built = tmp_path_factory.mktemp("wheel")
    # With the setuptools of this environment, so that nothing is downloaded.
    pip("wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", built)
    (path,) = built.iterdir()
    return path


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel in it, and an empty folder to work in."""

    environment: Path
    folder: Path

    @cached_property
    def commands(self) -> dict[tuple[str, ...], tuple[str, float]]:
        """What each command printed, and how many seconds it took, in the order above."""
        words = (*OF_THE_PACKAGE, *OF_A_STUDY)
        ended = json.loads(self("-c", COMMANDS, json.dumps(words), program="python"))
        return {each: (out, taken) for each, (out, taken) in zip(words, ended, strict=True)}

    def __call__(self, *words: str, program: str = "theory-check") -> str:
        """Run a program of the environment, which is to end with 0; return what it printed."""
        hidden = ("PYTHONPATH", "PYTHONHOME", "NUMBA_CACHE_DIR")
        variables = {name: value for name, value in os.environ.items() if name not in hidden}
        done = subprocess.run(
            [self.environment / "bin" / program, *words],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel beside the dependencies of this environment, without the editable checkout.

    A path that a ``.pth`` file names is searched, but its own ``.pth`` files are not read: that of the
    editable installation has no effect.
    """
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("lib/python*/site-packages")
    dependencies = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(dependencies)) + "\n")
    pip("--python", environment / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    take_compiled_kernels(packages / "theory_check")
    return Installation(environment, tmp_path_factory.mktemp("empty"))


def take_compiled_kernels(package: Path) -> None:
    """Give an installation what the checkout has compiled, which takes minutes: but for one kernel.

    Compiled code is known by size and time of its source, so that these have the time of the checkout's.
    """
    for source in (ROOT / "theory_check").rglob("*.py"):
        of_module = f"{source.stem}.*.nb[ic]"
        compiled = list(source.parent.glob(f"__pycache__/{of_module}"))
        if not compiled or source.name == COMPILED_ANEW:
            continue
        target = package / source.relative_to(ROOT / "theory_check")
        stat = source.stat()
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        (target.parent / "__pycache__").mkdir(exist_ok=True)
        for file in compiled:
            shutil.copy(file, target.parent / "__pycache__")


def expected_files() -> Iterator[str]:
    """Yield where the wheel has each file of the checkout that belongs into it."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT)
            if path.suffix in SUFFIXES and not set(inside.parts).intersection(GENERATED):
                prefix = "" if folder == "theory_check" else "theory_check/"
                yield prefix + inside.as_posix()


def test_the_wheel_holds_every_module_experiment_and_figure_script(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    files = [name for name in held if ".dist-info/" not in name]
    assert sorted(files) == sorted(expected_files())
    for name in (
        "theory_check/py.typed",
        "theory_check/experiments/comparisons/small.toml",
        "theory_check/paper_figures/comparison/comparison_profile.py",
        "theory_check/problems/instances/random-garnet.json",
        "theory_check/study_template/README.md",
        "theory_check/study_template/solvers/falling_steps.py",
    ):
        assert name in files


def test_an_installed_package_works_from_an_empty_folder(installed: Installation) -> None:
    where = installed("-c", WHERE, program="python").splitlines()
    packages = Path(where[0]).parents[1]
    assert packages.is_relative_to(installed.environment)
    inside = [packages / "theory_check" / name for name in ("experiments", "paper_figures")]
    assert [Path(line) for line in where[1:3]] == inside
    count = len(Catalogue.shipped().experiments)
    assert where[3] == f"{theory_check.__version__} {count}"

    assert installed("--version") == f"theory-check {theory_check.__version__}\n"
    listed = installed("list")
    assert re.search(r"^experiments:\n", listed, re.M)  # not "of this folder"
    assert re.search(r"^  penalty-bias +Distance of the penalised", listed, re.M)
    assert not any(installed.folder.iterdir())

    verdicts, printed, compared = (installed.commands[each][0] for each in OF_THE_PACKAGE)
    assert "Experiments: those of theory-check." in verdicts
    assert re.search(r"^non-uniform-pl \[V\] +holds 2/2 ", verdicts, re.M)
    assert printed == ""
    assert "Experiments: those of theory-check." in compared
    drawn = {path.name for path in (installed.folder / "results/quick/comparison").iterdir()}
    assert {"samples.csv", "findings.md", "comparison_profile.pdf"} <= drawn


def test_a_kernel_is_compiled_and_cached_where_it_is_installed(installed: Installation) -> None:
    """With true returns 0 and log 3 the less likely winner has one chance in four."""
    law, cache = installed("-c", KERNEL, program="python").splitlines()
    assert law == "[0.25]"
    assert Path(cache).is_relative_to(installed.environment)
    assert [path.suffix for path in Path(cache).glob("bradley_terry.label_law-*.nbi")] == [".nbi"]


def test_a_new_study_is_checked_and_verified_with_the_wheel_alone(installed: Installation) -> None:
    """In full, as its README says: minutes, and the verdict follows what the claim states."""
    (_, checked, verdicts), taken = zip(
        *(installed.commands[each] for each in OF_A_STUDY), strict=True
    )
    assert ": 0 fail, 0 files cannot be imported\n" in checked
    (judged,) = json.loads(verdicts)
    assert (judged["claim"], judged["status"]) == ("falling-steps", "tight")
    # Both problems, where the small version has one.
    assert [rate["problem"] for rate in judged["measured"]] == ["tracking", "tracking-wide"]
    assert sum(taken) < 180
