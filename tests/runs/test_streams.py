"""Seeds: one block for each experiment and problem, shared along the grid, apart from all pilots."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from helpers.experiments import FILES, experiment_in

from theory_check.advice.constants import START_SEEDS
from theory_check.advice.model import CHECKED_SEEDS
from theory_check.measurements.comparison import (
    FIRST_TUNING_SEED,
    UNIT_SEEDS,
    Comparison,
)
from theory_check.oracles.starts import initial_upper
from theory_check.randomness import RESERVED, SEEDS_PER_BLOCK, first_seed
from theory_check.runs import Cell, Experiment

Load = Callable[[str], Experiment]
Text = Callable[..., str]


@pytest.fixture(scope="module")
def shipped() -> list[Cell]:
    """Every cell of every file that comes with the package, in both versions."""
    return list(_cells())


def _cells() -> Iterator[Cell]:
    for path in FILES:
        experiment = experiment_in(path)
        for quick in (False, True):
            yield from experiment.cells(quick)


@pytest.mark.slow
def test_a_block_belongs_to_one_problem_of_one_experiment(shipped: list[Cell]) -> None:
    """Where blocks differ they are whole blocks apart, so that no two ranges of seeds meet."""
    owners: dict[int, set[tuple[str, str, int | None]]] = {}
    for cell in shipped:
        problem = (cell.experiment, cell.label, cell.instance)
        owners.setdefault(cell.first_seed, set()).add(problem)
        assert (cell.first_seed - RESERVED.stop) % SEEDS_PER_BLOCK == 0
        assert 0 < cell.seeds <= SEEDS_PER_BLOCK
    assert {len(found) for found in owners.values()} == {1}


@pytest.mark.slow
def test_cells_of_a_problem_share_their_seeds_along_the_grid(shipped: list[Cell]) -> None:
    blocks: dict[tuple[str, str, int | None], set[int]] = {}
    for cell in shipped:
        problem = (cell.experiment, cell.label, cell.instance)
        blocks.setdefault(problem, set()).add(cell.first_seed)
    assert {len(found) for found in blocks.values()} == {1}
    assert len(blocks) > 100


@pytest.mark.slow
def test_no_reported_seed_is_that_of_a_pilot(shipped: list[Cell]) -> None:
    pilots = {*START_SEEDS, *range(CHECKED_SEEDS)}
    for cell in shipped:
        if isinstance(cell.measurement, Comparison):
            pilots |= set(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + UNIT_SEEDS))
    for path in FILES:
        for first, last in re.findall(r"seeds (\d+) to (\d+)", path.read_text()):
            pilots |= set(range(int(first), int(last) + 1))
    assert {1000, 1015, 1_000_063} <= pilots
    assert pilots <= set(RESERVED)
    assert all(cell.replicates.start >= RESERVED.stop for cell in shipped)


def test_a_block_is_a_function_of_the_names_alone(load: Load, text: Text) -> None:
    """Neither the order of the problems nor what else the file has moves it."""
    content = text()
    head, flat, steep = re.split(r"(?=\[problems)", content[: content.index("[quick]")])
    found = [
        {cell.label: cell.first_seed for cell in load(part).cells()}
        for part in (head + flat + steep, head + steep + flat, head + steep)
    ]
    assert found[0] == found[1]
    assert found[2] == {"steep": found[0]["steep"]}
    assert found[0] == {label: first_seed("lines", label) for label in ("flat", "steep")}


def test_names_are_kept_apart_from_each_other() -> None:
    """A name cannot pass for the end of the one before it."""
    named = [("a", "bc"), ("ab", "c"), ("a", "b", 1), ("a", "b1"), ("a", "b", 11), ("bc", "a")]
    assert len({first_seed(*names) for names in named}) == len(named)  # type: ignore[arg-type]


def test_two_experiments_start_elsewhere_and_a_grid_starts_together(shipped: list[Cell]) -> None:
    """Before, all problems and experiments had bit-identical starts."""
    by_problem = {(cell.experiment, cell.label): cell for cell in shipped}
    chosen = [
        by_problem[key]
        for key in (
            ("outer-ergodic", "bandit"),
            ("outer-ergodic", "garnet-small"),
            ("bound-terms", "bandit"),
            ("gradient-noise", "bandit"),
        )
        if key in by_problem
    ]
    starts = [initial_upper(cell.replicates[:2], 4, 1.0) for cell in chosen]
    assert len(starts) >= 3
    for position, start in enumerate(starts):
        for other in starts[:position]:
            assert not torch.isclose(start, other).any()
    grid = [
        cell for cell in shipped if cell.label == "bandit" and cell.experiment == "gradient-noise"
    ]
    assert len({cell.measurement for cell in grid}) > 1
    assert len({cell.replicates[:8] for cell in grid}) == 1
