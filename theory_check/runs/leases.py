"""Who runs which cell: leases in the store, so that several processes and machines share it.

A lease is a file that one process can create. Its holder touches it while it lives; a lease that
nobody touches for long has expired, and so has one of a process of this machine that is gone. An
expired lease is never replaced: the next number is created beside it, which again one process can.
One that was created and not signed, because its holder was killed in between, expires after a beat.
How long a lease was left alone is measured on the clock of who waits, so that the clocks of two
machines need not agree. Should a holder that was only suspended go on, a cell is run twice, with
the same numbers.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from theory_check.runs.processes import ended, signatory, signature

if TYPE_CHECKING:
    from pathlib import Path

    from theory_check.runs.store import Store

BEAT = 10.0
"""Seconds between two signs of life of a holder."""

PATIENCE = 120.0
"""Seconds without a sign of life after which a lease has expired."""


class Leases:
    """The leases of a store, and those among them that this process holds.

    Leaving the ``with`` block gives back all that are held.

    Parameters
    ----------
    store
        The store.
    beat, patience
        Seconds between signs of life, and without one until a lease has expired.
    """

    def __init__(self, store: Store, beat: float = BEAT, patience: float = PATIENCE) -> None:
        self._store, self._beat, self._patience = store, beat, patience
        self._folder = store.path / "leases"
        self._held: dict[str, int] = {}
        # Of each lease that was looked at: what it was like, and since when on our own clock.
        self._seen: dict[Path, tuple[tuple[int, str], float]] = {}
        self._changed = threading.Lock()
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._keep_alive, daemon=True)

    def __enter__(self) -> Leases:
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._heart.join()
        for key in list(self._held):
            self.give_back(key)
        self._remove_folder()

    def taken(self) -> dict[str, int]:
        """Return the number of the latest lease of every key that has one.

        Raises
        ------
        StoreError
            When the system does not let the leases be seen.
        """
        latest: dict[str, int] = {}
        try:
            names = os.listdir(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return latest
        except OSError as error:
            raise self._store.unwritable(error) from error
        for name in names:
            key, _, number = name.partition(".")
            if number.isdigit():
                latest[key] = max(latest.get(key, 0), int(number))
        return latest

    def take(self, key: str, latest: int | None) -> bool:
        """Take the lease of a cell, unless somebody has it.

        Parameters
        ----------
        key
            The cell's.
        latest
            The number of its latest lease, of :meth:`taken`; None where it has none.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        if latest is not None and not self._has_expired(self._path(key, latest)):
            return False
        number = 1 if latest is None else latest + 1
        try:
            self._create(self._path(key, number))
        except FileExistsError:
            return False
        except OSError as error:
            raise self._store.unwritable(error) from error
        with self._changed:
            self._held[key] = number
        return True

    def give_back(self, key: str) -> None:
        """Remove a lease that is held, and those that had expired before it."""
        with self._changed:
            number = self._held.pop(key)
        for each in range(1, number + 1):
            with suppress(OSError):
                self._path(key, each).unlink(missing_ok=True)

    def forget(self, key: str, latest: int) -> None:
        """Remove what is left of the lease of a cell that has its result, and needs none."""
        for each in range(1, latest + 1):
            with suppress(OSError):
                self._path(key, each).unlink(missing_ok=True)
        self._remove_folder()

    def holder(self, key: str, latest: int) -> str:
        """Return in words who has a lease."""
        try:
            return signatory(self._path(key, latest).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return "another process"

    def _remove_folder(self) -> None:
        with suppress(OSError):  # somebody else's leases are in it
            self._folder.rmdir()

    def _path(self, key: str, number: int) -> Path:
        return self._folder / f"{key}.{number}"

    def _create(self, path: Path) -> None:
        while True:
            with suppress(FileExistsError):
                self._folder.mkdir()
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileNotFoundError:
                continue  # another process removed the empty folder in between
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(signature())
            except OSError:  # a full disk
                path.unlink(missing_ok=True)
                raise
            return

    def _has_expired(self, path: Path) -> bool:
        try:
            # Opened, because that is when a network file system asks its server for the times.
            with path.open(encoding="ascii") as file:
                record = file.read()
                state = os.fstat(file.fileno()).st_mtime_ns, record
        except (OSError, ValueError):
            return False  # given back in the meantime: the next look tells
        if ended(record):
            return True
        now = time.monotonic()
        before, since = self._seen.get(path, (None, now))
        if before != state:
            self._seen[path] = state, now
            return False
        return now - since > (self._patience if record else self._beat)

    def _keep_alive(self) -> None:
        while not self._stopped.wait(self._beat):
            with self._changed:
                held = [self._path(key, number) for key, number in self._held.items()]
            for path in held:
                with suppress(OSError):
                    os.utime(path)
