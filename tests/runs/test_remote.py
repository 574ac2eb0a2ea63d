"""A worker of a cluster computes only what its sender would have computed."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable

import cloudpickle
import pandas as pd
import pytest

from theory_check.runs import Cell, Experiment
from theory_check.runs.backends import remote
from theory_check.runs.backends.local import WorkerMismatchError
from theory_check.runs.backends.measuring import measure
from theory_check.runs.backends.remote import accepted, measure_remotely, origin, packed, traveller
from theory_check.runs.progress import no_progress

HERE = rf"the worker on {platform.node()} \(process {os.getpid()}\)"


@pytest.fixture
def cell(load: Callable[[str], Experiment], text: Callable[..., str]) -> Cell:
    return load(text()).cells()[0]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in remote.THREADS:
        monkeypatch.setenv(name, "1")


def test_a_worker_that_agrees_gives_the_bits_of_its_sender(cell: Cell) -> None:
    travelled = cloudpickle.loads(cloudpickle.dumps(traveller()))
    outcome = accepted(travelled(cell.key, packed(cell), origin()))
    assert outcome.key == cell.key
    expected = measure(cell.key, cell, no_progress).frame
    pd.testing.assert_frame_equal(outcome.frame, expected, check_exact=True)


@pytest.mark.parametrize(
    "name", ["theory-check", "torch", "numpy", "scipy", "numba", "OMP_NUM_THREADS"]
)
def test_a_worker_that_differs_says_in_what_and_runs_nothing(cell: Cell, name: str) -> None:
    here = origin()
    outcome = measure_remotely(cell.key, packed(cell), {**here, name: "another"})
    assert outcome.frame is None
    there = re.escape(str(here[name])[:20])
    reason = rf"^{HERE} differs: {name} is {there} there and another for this process; nothing of"
    with pytest.raises(WorkerMismatchError, match=reason):
        accepted(outcome)


def test_a_worker_of_several_threads_per_library_is_refused(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MKL_NUM_THREADS")
    outcome = measure_remotely(cell.key, packed(cell), origin())
    assert outcome.refusal.endswith("MKL_NUM_THREADS is not set there and 1 for this process")


def test_a_worker_with_another_version_of_a_familys_library_is_refused(cell: Cell) -> None:
    _, stated, sources = cloudpickle.loads(packed(cell))
    content = cloudpickle.dumps((cell, {**stated, "library": "gymnasium 0"}, sources))
    outcome = measure_remotely(cell.key, content, origin())
    assert outcome.refusal.endswith("library is None there and gymnasium 0 for the cell")


def test_a_worker_with_other_source_is_refused_and_the_file_is_named(cell: Cell) -> None:
    _, stated, sources = cloudpickle.loads(packed(cell))
    # What the sender computed before travels with the cell, and says nothing about the worker.
    cell.__dict__["sources"] = {**sources, "errors.py": "another"}
    content = cloudpickle.dumps((cell, stated, cell.sources))
    outcome = measure_remotely(cell.key, content, origin())
    assert outcome.frame is None
    assert outcome.refusal.endswith("differs: the source of errors.py is not the sender's")


def test_a_worker_does_not_compare_what_travels_as_code(cell: Cell) -> None:
    import sweep_toys

    assert "sweep_toys.py" in cloudpickle.loads(packed(cell))[2]
    cloudpickle.register_pickle_by_value(sweep_toys)
    try:
        assert "sweep_toys.py" not in cloudpickle.loads(packed(cell))[2]
    finally:
        cloudpickle.unregister_pickle_by_value(sweep_toys)


def test_a_worker_without_a_component_is_refused(cell: Cell) -> None:
    outcome = measure_remotely(cell.key, b"cnowhere\nMeasurement\n.", origin())
    assert (
        "cannot load the cell (ModuleNotFoundError: No module named 'nowhere')" in outcome.refusal
    )


def test_a_worker_without_the_package_is_refused(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = traveller()
    monkeypatch.delattr(remote, "measure_remotely")
    with pytest.raises(WorkerMismatchError, match=rf"^{HERE} cannot load theory-check \(Attribute"):
        accepted(answer(cell.key, packed(cell), origin()))
