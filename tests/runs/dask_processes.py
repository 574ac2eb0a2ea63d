"""A Dask cluster as a user starts one: a scheduler and workers that are programs of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path

from helpers.fresh import Started

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds; only a hanging program reaches it


def wait_until(condition: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class DaskProcesses:
    """A scheduler and its workers, each with the package at the head of ``path``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler: Started | None = None
        self.workers: list[Started] = []
        self._number = 0

    @property
    def address(self) -> str:
        content = json.loads((self.folder / f"scheduler{self._number}.json").read_text())
        return str(content["address"])

    def start(self, workers: int = 2, path: Path = ROOT) -> str:
        """Start what is missing of a scheduler with so many workers, and return its address."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.stop()
            self._number += 1
            file = self.folder / f"scheduler{self._number}.json"
            self.scheduler = self._run(
                path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file
            )
            wait_until(file.exists, "no scheduler")
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < workers:
            self.workers.append(
                self._run(path, "worker", self.address, "--nthreads", "1", "--no-nanny")
            )
        # Not above: only who starts a cluster waits for the import.
        import distributed

        with distributed.Client(self.address) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)
        return self.address

    def stop(self) -> None:
        """End everything at once."""
        for process in (*self.workers, *filter(None, [self.scheduler])):
            process.kill()
            process.wait()
        self.workers, self.scheduler = [], None

    def _run(self, path: Path, *words: object) -> Started:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return Started(
            "dask",
            [*map(str, words), "--no-dashboard"],
            self.folder,
            self.folder / "log",
            path=(path, Path(__file__).parent),
            variables=threads,
        )
