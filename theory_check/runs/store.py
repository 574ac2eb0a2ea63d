"""The results on disk: one Parquet file per cell, complete or absent, never half written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from theory_check.errors import (
    InvalidArgumentError,
    StoreError,
    TheoryCheckError,
    listed,
    one_line,
    require_instance,
    require_non_negative,
    shortened,
    visible,
)
from theory_check.files import as_path, read_file
from theory_check.runs.identity import specification, version_of
from theory_check.runs.processes import alive

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.runs.spec import Cell

METADATA_KEY = b"theory_check"
DIGEST_KEY = b"theory_check_digest"
# Stands in the file where its digest will.
BLANK = b"0" * 64
_KEY = re.compile(r"[\w.-]{1,200}", re.ASCII)
_DIGEST = re.compile(DIGEST_KEY + rb".{0,4}?([0-9a-f]{64})", re.DOTALL)
DISTRIBUTIONS = ("theory-check", "torch", "numpy", "scipy", "numba", "pandas", "pyarrow")


class UnstorableError(TheoryCheckError):
    """A table cannot be stored, such as one with integers beyond 64 bits."""


class Store:
    """A directory of results.

    ``KEY.parquet`` is the result of a cell, with its specification, source files, versions and wall
    time in the metadata of the schema, and a digest of the whole file; ``KEY.error.json`` records that it
    failed. A result that cannot be read, or is not as it was written, is renamed to
    ``KEY.parquet.corrupt`` and counts as absent.

    Parameters
    ----------
    path
        The directory; it is created by :meth:`prepare`.

    Raises
    ------
    StoreError
        For what is no path.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self.path = as_path("store", path, "pass the path of a directory")
        except InvalidArgumentError as error:
            raise StoreError(str(error)) from error

    def prepare(self) -> None:
        """Create the directory and make sure that it can be written.

        Raises
        ------
        StoreError
            When it cannot; nothing has been computed then.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._discard_partial_files()
            probe = self._partial("probe")
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self.unwritable(error) from error

    def result_path(self, key: str) -> Path:
        """Return where the result of a cell is stored."""
        _require_key(key)
        return self.path / f"{key}.parquet"

    def error_path(self, key: str) -> Path:
        """Return where the failure of a cell is recorded."""
        _require_key(key)
        return self.path / f"{key}.error.json"

    def read(self, key: str) -> pa.Table | None:
        """Return the result of a cell, or None when there is none that can be read.

        Raises
        ------
        StoreError
            When the system does not let the file be read, or a damaged one be set aside.
        """
        path = self.result_path(key)
        try:
            if not path.is_file():
                if path.exists():  # a directory, or a pipe that would be waited for
                    raise StoreError(
                        f"store: {path} is not a file; move it away and run the same command again"
                    )
                return None
            content = read_file(path)
        except (OSError, MemoryError) as error:
            raise StoreError(
                f"store: cannot read {path} ({error}); the file is left as it is: make it "
                "readable and run the same command again"
            ) from error
        if not _is_as_written(content):
            self._set_aside(path, content, "it is not as it was written")
            return None
        # Whatever was written is a table with its metadata.
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        recorded = json.loads(table.schema.metadata[METADATA_KEY])["key"]
        if recorded != key:
            self._set_aside(path, content, f"it holds the result of {recorded}")
            return None
        return table

    def metadata(self, key: str) -> dict[str, Any]:
        """Return what is written beside a result: versions, source files, seconds; empty without one."""
        try:
            written = pq.read_schema(self.result_path(key)).metadata or {}
            found = json.loads(written[METADATA_KEY])
        except (OSError, KeyError, ValueError, pa.ArrowException):
            return {}
        return found if isinstance(found, dict) else {}

    def has(self, key: str) -> bool:
        """Return whether the result of a cell is there, and intact."""
        return self.read(key) is not None

    def refresh(self) -> None:
        """Let a network file system ask for what other machines wrote: opening a folder does."""
        with contextlib.suppress(OSError):
            os.close(os.open(self.path, os.O_RDONLY))

    def write(self, cell: Cell, frame: pd.DataFrame, seconds: float) -> None:
        """Store the result of a cell that took ``seconds``, and forget its earlier failure.

        Raises
        ------
        UnstorableError
            If the table holds what no column of numbers or text can.
        StoreError
            If the file cannot be written.
        """
        require_cell("cell", cell)
        require_non_negative("seconds", seconds)
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, AttributeError, OverflowError, TypeError, ValueError) as error:
            reason = one_line(error)
            raise UnstorableError(f"its table cannot be stored ({reason})") from error
        metadata = {
            "key": cell.key,
            "cell": specification(cell),
            "experiment": cell.experiment,
            "sources": cell.sources,
            "python": platform.python_version(),
            "versions": {name: version_of(name) for name in DISTRIBUTIONS},
            "seconds": round(seconds, 3),
        }
        table = table.replace_schema_metadata(
            {
                **(table.schema.metadata or {}),
                METADATA_KEY: json.dumps(metadata),
                DIGEST_KEY: BLANK,
            }
        )
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer)
        self._write(self.result_path(cell.key), _signed(buffer.getvalue().to_pybytes()))
        # A record that cannot be removed is no longer asked: the result comes first.
        with contextlib.suppress(OSError):
            self.error_path(cell.key).unlink(missing_ok=True)

    def write_error(self, cell: Cell, message: str, traceback: str) -> None:
        """Record that a cell failed."""
        require_cell("cell", cell)
        for argument, text in (("message", message), ("traceback", traceback)):
            require_instance(argument, text, str, "pass text")
        record = {
            "cell": str(cell),
            "error": message,
            "traceback": traceback,
            "specification": specification(cell),
        }
        path = self.error_path(cell.key)
        # A folder in its place counts as a record already, and must not end the other cells.
        if not os.path.isdir(path):
            self._write(path, json.dumps(record, indent=2).encode())

    def read_error(self, key: str) -> str | None:
        """Return the message of a recorded failure, or None."""
        try:
            record = json.loads(read_file(self.error_path(key)))
            return str(record["error"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return "the record of this failure cannot be read"

    def error_time(self, key: str) -> int | None:
        """Return when the record of a failure was written, or None where there is none."""
        try:
            return self.error_path(key).stat().st_mtime_ns
        except OSError:
            return None

    def _write(self, path: Path, content: bytes) -> None:
        """Write ``content`` so that ``path`` is complete or absent, even after a power cut."""
        partial = self._partial(path.name)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            directory = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise self.unwritable(error) from error

    def _partial(self, name: str) -> Path:
        return self.path / f".{name}.{platform.node()}.{os.getpid()}.partial"

    def _discard_partial_files(self) -> None:
        """Remove what killed processes of this machine left; others may still be writing."""
        for path in self.path.glob(f".*.{platform.node()}.*.partial"):
            process = path.name.split(".")[-2]
            if process.isdigit() and not alive(int(process)):
                path.unlink(missing_ok=True)

    def _set_aside(self, path: Path, content: bytes, reason: str) -> None:
        aside = path.with_name(f"{path.name}.corrupt")
        try:
            path.replace(aside)
            # Another process may have set it aside before, and written a good result in its place.
            if read_file(aside) != content:
                aside.replace(path)
                return
        except FileNotFoundError:
            return  # another process set it aside at the same time
        except OSError as error:
            raise self.unwritable(error) from error
        print(
            visible(
                f"theory-check: warning: {path} cannot be read ({reason}); "
                f"set aside as {path.name}.corrupt, its cell counts as not run"
            ),
            file=sys.stderr,
        )

    def unwritable(self, error: OSError) -> StoreError:
        """Return the error that says so."""
        return StoreError(
            f"store: cannot write to {self.path} ({error.strerror}); "
            "pass a directory that can be written, with --store or store="
        )


class ReadOnce(Store):
    """A store that keeps what it has read, so that no result is read and verified twice.

    For whoever looks up what is there, runs the rest and then reads all of it: results do not change
    under their keys. What it keeps is in memory as long as it is.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._kept: dict[str, pa.Table] = {}

    def read(self, key: str) -> pa.Table | None:
        """Return the result of a cell as :meth:`Store.read` does, from memory from the second time on."""
        if key in self._kept:
            return self._kept[key]
        table = super().read(key)
        if table is not None:
            self._kept[key] = table
        return table


def _require_key(key: object) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidArgumentError("key", shortened(key), "pass the key of a cell")


def require_cells(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells as a list, or refuse what is none."""
    given = listed("cells", cells, "pass the cells of what load_experiment returns")
    for cell in given:
        require_cell("cells", cell)
    return given


def require_cell(argument: str, cell: object) -> None:
    """Refuse what is no cell of an experiment."""
    # Here, since cells are made of all that can be measured, and a reader of results needs none of it.
    from theory_check.runs.spec import Cell

    require_instance(argument, cell, Cell, "pass a cell of what load_experiment returns")


def _signed(content: bytes) -> bytes:
    """Return a file with the digest of itself, the digest left blank, in place of the blank."""
    place = _DIGEST.search(content)
    if place is None or place[1] != BLANK or len(_DIGEST.findall(content)) != 1:
        raise UnstorableError("its table cannot be stored (a column is called like the digest)")
    return _with_digest(content, hashlib.sha256(content).hexdigest().encode())


def _is_as_written(content: bytes) -> bool:
    """Return whether the digest in a file is the file's."""
    place = _DIGEST.search(content)
    if place is None:
        return False
    return hashlib.sha256(_with_digest(content, BLANK)).hexdigest().encode() == place[1]


def _with_digest(content: bytes, digest: bytes) -> bytes:
    return _DIGEST.sub(lambda found: found[0][: -len(digest)] + digest, content, count=1)
