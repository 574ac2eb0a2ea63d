"""The commands of docs/clusters.md have the options that they are given there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from theory_check.cli.commands import COMMANDS
from theory_check.cli.words import parser
from theory_check.runs import leases
from theory_check.runs.backends import dask_cluster, ray_cluster
from theory_check.runs.backends.remote import COMPUTING, THREADS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
LINES = [line.strip() for line in re.findall(r"^    .*$", PAGE, flags=re.MULTILINE)]


def options_given(command: str) -> dict[str, set[str]]:
    """Return the options of every subcommand of a command, over the lines of the page."""
    found: dict[str, set[str]] = {}
    for line in LINES:
        if match := re.search(rf"(?:^|\s){command} (\w+)(.*)", line):
            found.setdefault(match[1], set()).update(re.findall(r"--[a-z-]+", match[2]))
    return found


def help_of(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "command", "subcommands"),
    [("dask", "dask", {"scheduler", "worker"}), ("ray.scripts.scripts", "ray", {"start"})],
)
def test_options_of_the_clusters_programs_exist(
    module: str, command: str, subcommands: set[str]
) -> None:
    if importlib.util.find_spec(command) is None:
        pytest.skip(f"{command} is not installed")
    given = options_given(command)
    assert given.keys() == subcommands
    for subcommand, options in given.items():
        known = help_of(module, subcommand)
        assert [option for option in options if not re.search(rf"{option}\b", known)] == []


def test_options_of_this_program_exist() -> None:
    given = options_given("theory-check")
    assert given == {"reproduce": {"--backend", "--store"}}
    for line in LINES:
        if "theory-check reproduce" in line:
            parser(COMMANDS).parse_args(line.partition("theory-check ")[2].split())


def test_what_the_page_names_is_what_the_code_asks_for() -> None:
    names = {*COMPUTING, *THREADS, dask_cluster.ADDRESS, ray_cluster.ADDRESS}
    assert {name for name in names if name not in PAGE} == set()
    assert f"renews it every {leases.BEAT:.0f} s" in PAGE
    assert leases.PATIENCE == 120  # "two minutes"


def test_the_readme_links_the_page() -> None:
    assert "(docs/clusters.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
