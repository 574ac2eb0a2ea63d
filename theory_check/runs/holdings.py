"""All that a store holds: results of cells, results of other source, failures, and what nothing reaches.

A store is looked up by the keys of cells, and a changed source file changes the key. What was computed
before it is still there, under a key that no cell has any more; here it is found by its specification.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from theory_check.errors import visible
from theory_check.files import read_file
from theory_check.runs.identity import changed_sources, specification, version_of
from theory_check.runs.leases import Leases
from theory_check.runs.store import METADATA_KEY, Store

if TYPE_CHECKING:
    from theory_check.runs.spec import Cell

FILES_NAMED = 3
"""Changed files that are named; of more the number is told."""

_FILE = re.compile(r"([0-9a-f]{64})\.(parquet|error\.json|parquet\.corrupt)")
"""What the store calls its files; nothing else in its folder is looked at."""

Kind = Literal["current", "of other source", "unknown", "failed", "failed, unknown", "corrupt"]

KIND_MEANING: Mapping[Kind, str] = {
    "current": "results of cells as they would be computed now",
    "of other source": "results of cells whose source or version has changed since",
    "unknown": "results of no cell of any experiment here",
    "failed": "records of cells that failed",
    "failed, unknown": "records of failures of no cell as it would be computed now",
    "corrupt": "files that cannot be read, or were set aside as such",
}

UNREACHED = ("of other source", "unknown", "failed, unknown")
"""Kinds that no command looks up."""


@dataclass(frozen=True)
class StoredResult:
    """A result, known by the metadata of its file.

    Attributes
    ----------
    key
        Under which it is stored.
    cell
        Specification of the cell, as canonical JSON.
    experiment
        Of the cell.
    sources
        Digests of the source files that computed it, by name.
    version
        Of theory-check, when it was computed.
    written
        When, in nanoseconds of the clock of the file system.
    seconds
        How long the cell took; NaN where that is not known.
    """

    key: str
    cell: str
    experiment: str
    sources: Mapping[str, str]
    version: str
    written: int
    seconds: float = math.nan

    def difference(self, cell: Cell) -> str:
        """Return in words what differs from a cell as it would be computed now."""
        files = changed_sources(self.sources, cell)
        if not files:
            return f"version {self.version}, now {version_of('theory-check')}"
        if len(files) > FILES_NAMED:
            rest = len(files) - FILES_NAMED + 1
            return f"{', '.join(files[: FILES_NAMED - 1])} and {rest} other files changed"
        return f"{' and '.join(files)} changed"


def stored_results(store: Store) -> list[StoredResult]:
    """Return the results of a store, the latest first; what cannot be read is left out.

    Only the metadata are read, and no digest is compared: 2000 files take about half a second.
    """
    return sorted(
        (found for path in _files(store, "parquet") if (found := _result(path)) is not None),
        key=lambda result: (-result.written, result.key),
    )


def of_other_source(store: Store, cells: Iterable[Cell]) -> dict[str, StoredResult]:
    """Return, for cells without a result, the latest of their specification under another key.

    Parameters
    ----------
    store
        Where they are.
    cells
        The cells; nothing more is read where each has a result of its own.

    Returns
    -------
    dict
        Results by the key of the cell.
    """
    wanted = {cell.key: cell for cell in cells if not store.has(cell.key)}
    if not wanted:
        return {}
    latest: dict[str, StoredResult] = {}
    for result in stored_results(store):
        latest.setdefault(result.cell, result)
    found = {key: latest.get(_canonical(cell)) for key, cell in wanted.items()}
    return {key: result for key, result in found.items() if result is not None}


def measured_seconds(store: Store, cells: Iterable[Cell]) -> dict[str, float]:
    """Return how long cells took when they were last run, whatever their source was, by their keys."""
    took: dict[str, float] = {}
    for result in stored_results(store):
        took.setdefault(result.cell, result.seconds)
    found = {cell.key: took.get(_canonical(cell), math.nan) for cell in cells}
    return {key: seconds for key, seconds in found.items() if seconds >= 0}


def results_in_words(cells: Iterable[Cell], found: Mapping[str, StoredResult]) -> str:
    """Return how many results are of other source and what changed, ``""`` where none is.

    Parameters
    ----------
    cells
        The cells, of which some may have one.
    found
        Results by the key of the cell, as of :func:`of_other_source`.
    """
    unique = {cell.key: cell for cell in cells}
    groups = Counter(
        found[key].difference(cell) for key, cell in unique.items() if key in found
    ).most_common()
    if not groups:
        return ""
    total = sum(number for _, number in groups)
    text = f"{total} result{'s' * (total > 1)} of other source: "
    if len(groups) == 1:
        return text + groups[0][0]
    named = "; ".join(f"{number}, {difference}" for difference, number in groups[:2])
    rest = sum(number for _, number in groups[2:])
    return text + named + (f"; {rest}, other files" if rest else "")


def announce(store: Store, cells: Iterable[Cell]) -> dict[str, float]:
    """Say of cells that are about to be run which have a result of other source.

    Returns
    -------
    dict
        How long those took, in seconds, by the key of the cell.
    """
    waiting = list(cells)
    found = of_other_source(store, waiting)
    text = results_in_words(waiting, found)
    if text:
        print(visible(f"theory-check: {text}; run again"), file=sys.stderr)
    return {key: result.seconds for key, result in found.items()}


@dataclass(frozen=True)
class Holding:
    """A file of a store.

    Attributes
    ----------
    path, key, kind, size
        The file, the key that it is named by, what it is, and its bytes.
    experiment
        Of the cell, ``""`` where the file does not say so.
    difference
        Of a result of other source: what changed, in words.
    """

    path: Path
    key: str
    kind: Kind
    size: int
    experiment: str = ""
    difference: str = ""


def holdings(store: Store, cells: Iterable[Cell]) -> list[Holding]:
    """Return what every file of a store is, seen from all cells that there are."""
    known = {cell.key: cell for cell in cells}
    by_specification = {_canonical(cell): cell for cell in known.values()}
    found = []
    for path in sorted(_files(store, "parquet", "error.json", "parquet.corrupt")):
        key = path.name[:64]
        with suppress(OSError):  # removed in the meantime
            size = path.stat().st_size
            if path.name.endswith(".error.json"):
                experiment = _experiment_of_failure(path)
                kind: Kind = (
                    "failed" if key in known else "failed, unknown" if experiment else "corrupt"
                )
                found.append(Holding(path, key, kind, size, experiment))
                continue
            result = None if path.suffix == ".corrupt" else _result(path)
            if result is None:
                found.append(Holding(path, key, "corrupt", size))
            elif key in known:
                found.append(Holding(path, key, "current", size, result.experiment))
            elif (cell := by_specification.get(result.cell)) is not None:
                difference = result.difference(cell)
                found.append(
                    Holding(path, key, "of other source", size, result.experiment, difference)
                )
            else:
                found.append(Holding(path, key, "unknown", size, result.experiment))
    return found


def prune(store: Store, found: Sequence[Holding]) -> tuple[list[Holding], list[Holding]]:
    """Remove files that no command looks up; return those removed, and those left to who runs them.

    A file whose cell has a lease, which somebody with other source may hold, is left. What cannot be
    read is nobody's to remove, and stays as well.

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    removed, left = [], []
    with Leases(store) as leases:
        latest = leases.taken()
        for each in unreached(found):
            if not leases.take(each.key, latest.get(each.key)):
                left.append(each)
                continue
            try:
                each.path.unlink(missing_ok=True)
            except OSError as error:
                raise store.unwritable(error) from error
            finally:
                leases.give_back(each.key)
            removed.append(each)
    return removed, left


def unreached(found: Iterable[Holding]) -> list[Holding]:
    """Return the files that no command looks up."""
    return [each for each in found if each.kind in UNREACHED]


def _files(store: Store, *kinds: str) -> Iterable[Path]:
    with suppress(OSError):
        for path in store.path.iterdir():
            named = _FILE.fullmatch(path.name)
            if named and named[2] in kinds and path.is_file() and not path.is_symlink():
                yield path


def _result(path: Path) -> StoredResult | None:
    """Return what the metadata of a file say; None where it is no result, or another's."""
    try:
        metadata = json.loads(pq.read_metadata(path).metadata[METADATA_KEY])
        if metadata["key"] != path.name[:64]:
            return None
        return StoredResult(
            metadata["key"],
            _json(metadata["cell"]),
            str(metadata["experiment"]),
            {str(name): str(digest) for name, digest in metadata["sources"].items()},
            str(metadata["versions"]["theory-check"]),
            path.stat().st_mtime_ns,
            float(metadata.get("seconds", math.nan)),
        )
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError):
        return None


def _experiment_of_failure(path: Path) -> str:
    """Return the experiment that a record of a failure names; ``""`` where it is none."""
    try:
        record = json.loads(read_file(path))
        return str(record["cell"]).partition("/")[0] if record["specification"] else ""
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _canonical(cell: Cell) -> str:
    return _json(specification(cell))


def _json(record: Any) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))
