"""Terminals and settings of other people: what the commands print, write and draw there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from laboratory import Laboratory

from theory_check.cli import main

ROOT = Path(__file__).resolve().parents[2]
DRAW = """\
import sys
from pathlib import Path
from theory_check.report.figures import Drawing, draw_all
(drawn,) = draw_all([Drawing(Path("line.py"), "draw()", ())], Path("."), 1)
print(drawn.failure)
sys.exit(bool(drawn.failure))
"""
FIGURE = """\
from matplotlib import pyplot

def draw():
    figure, axes = pyplot.subplots()
    axes.set_title(r"$\\epsilon$ and 5 % of it")
    return figure
"""


def in_surroundings(
    arguments: list[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, timeout=120
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_gets_what_it_can_show(encoding: str, tmp_path: Path) -> None:
    done = in_surroundings(
        ["-m", "theory_check.cli", "list"], tmp_path, PYTHONIOENCODING=encoding, LC_ALL="POSIX"
    )
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    assert "penalty-bias" in text
    assert ("‖" in text) == (encoding == "utf-8")


def test_files_are_utf_8_whatever_the_locale(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import locale

    monkeypatch.setattr(locale, "getpreferredencoding", lambda *_: "ascii")
    monkeypatch.setattr(locale, "getencoding", lambda: "ascii")
    assert main(["reproduce", "--jobs", "1"]) == 0
    for name in ("verdicts.json", "verdicts.md"):
        assert Path("results", name).read_bytes().decode("utf-8")
    assert len(json.loads(Path("results/verdicts.json").read_text(encoding="utf-8"))) == 2


@pytest.mark.slow
def test_figures_do_not_take_settings_of_their_user(tmp_path: Path) -> None:
    """LaTeX that is not installed, and a backend that is not there."""
    (tmp_path / "line.py").write_text(FIGURE)
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.figsize: 30, 1\n")
    done = in_surroundings(
        ["-c", DRAW], tmp_path, MPLBACKEND="nowhere", MATPLOTLIBRC=str(tmp_path), PATH=""
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_an_installation_that_cannot_be_written_caches_elsewhere_and_says_so_once(
    tmp_path: Path,
) -> None:
    """Files stand where folders would have to be: a superuser may write whatever is read-only."""
    package = tmp_path / "site" / "theory_check"
    shutil.copytree(
        ROOT / "theory_check", package, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
    )
    (package / "kernels" / "__pycache__").touch()
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    program = "import theory_check.kernels.random_bits, theory_check.kernels.rollouts"
    surroundings = {
        "PYTHONPATH": str(tmp_path / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    for _ in range(2):
        done = in_surroundings(["-c", program], tmp_path, **surroundings)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr.decode().count("compiled code is kept in") == 1
    assert len(list((tmp_path / "temporary").glob("theory-check-kernels-*"))) == 1
