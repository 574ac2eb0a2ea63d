"""A cell on a worker of a cluster, which first has to agree with who sent it.

What a worker computes is stored under the sender's key and with the sender's versions. A node that
was not updated would therefore give wrong numbers a right name, so that every task compares. The
source must agree, since it is part of the key. So must the versions of what computes: torch, numpy,
scipy and numba promise no equal bits between two of theirs. Python, pandas and pyarrow only carry
the numbers. Threads must be one per library, on which sums depend in their last digit.
"""

from __future__ import annotations

import os
import pickle
import platform
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import cloudpickle

from theory_check.errors import shortened
from theory_check.runs.backends.local import mismatch
from theory_check.runs.backends.measuring import Outcome, measure
from theory_check.runs.identity import Json, differing, sources_of, specification, version_of
from theory_check.runs.progress import no_progress

if TYPE_CHECKING:
    from theory_check.runs.spec import Cell

COMPUTING = ("theory-check", "torch", "numpy", "scipy", "numba")
"""Distributions whose versions must agree."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What a worker's environment must set to 1."""

# torch's number of threads is the process's, and a worker of several threads runs several tasks.
_ONE_CELL_AT_A_TIME = threading.Lock()


def origin() -> dict[str, Json]:
    """Return what a worker must have in common with this process."""
    versions = {name: version_of(name) for name in COMPUTING}
    return {**versions, **dict.fromkeys(THREADS, "1")}


def packed(cell: Cell) -> bytes:
    """Return a cell as bytes that :func:`measure_remotely` loads once it is known to fit."""
    content: bytes = cloudpickle.dumps((cell, specification(cell), _compared_sources(cell)))
    return content


def measure_remotely(key: str, cell: bytes, wanted: Mapping[str, Json]) -> Outcome:
    """Measure a cell on a worker that has all that is wanted of it, or say what it has not."""
    reason = _differences(wanted, _here(), "this process")
    if reason:
        return _refused(key, reason)
    try:
        loaded, stated, sources = pickle.loads(cell)
        reason = _differences(stated, specification(loaded), "the cell") or _differing_sources(
            sources, _compared_sources(loaded)
        )
    except Exception as error:
        reason = f"it cannot load the cell ({type(error).__name__}: {error})"
    if reason:
        return _refused(key, reason)
    with _ONE_CELL_AT_A_TIME:
        return measure(key, loaded, no_progress)


def _here() -> dict[str, Json]:
    return {**origin(), **{name: os.environ.get(name, "not set") for name in THREADS}}


def traveller() -> Callable[..., Outcome | str]:
    """Return :func:`measure_remotely` as a function that is sent by value.

    Schedulers then need not have this package, and a worker that cannot load it can say so, in
    place of the outcome.
    """
    module, name = measure_remotely.__module__, measure_remotely.__name__

    def start(*arguments: object) -> Any:
        import importlib
        import os
        import platform

        try:
            function = getattr(importlib.import_module(module), name)
        except Exception as error:
            worker = f"the worker on {platform.node()} (process {os.getpid()})"
            return f"{worker} cannot load theory-check ({type(error).__name__}: {error})"
        return function(*arguments)

    return start


def accepted(answer: Outcome | str) -> Outcome:
    """Return the outcome that a worker sent.

    Raises
    ------
    WorkerMismatchError
        Where it sent why there is none.
    """
    refusal = answer if isinstance(answer, str) else answer.refusal
    if refusal or isinstance(answer, str):
        raise mismatch(refusal)
    return answer


def _differences(wanted: Mapping[str, Json], found: Mapping[str, Json], whose: str) -> str:
    """Return in words where a worker differs, ``""`` where it does not."""
    return ", ".join(
        f"{name} is {_short(found.get(name))} there and {_short(value)} for {whose}"
        for name, value in wanted.items()
        if found.get(name) != value
    )


def _compared_sources(cell: Cell) -> dict[str, str]:
    """Return the digests of the source files of a cell that a worker reads from its own disk.

    Not what was computed before and travels with the cell, nor what travels as code.
    """
    return sources_of(cell, without=["__main__", *cloudpickle.list_registry_pickle_by_value()])


def _differing_sources(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    names = differing(wanted, found)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the source of {', '.join(names[:3])}{more} is not the sender's" if names else ""


def _short(value: Json) -> str:
    # The first digits of a hash tell two of them apart.
    if isinstance(value, str):
        return value[:20] if len(value) == 64 else value
    return shortened(value)


def _refused(key: str, reason: str) -> Outcome:
    worker = f"the worker on {platform.node()} (process {os.getpid()})"
    return Outcome(key, refusal=f"{worker} differs: {reason}")
