"""Programs in processes of their own, without the seconds in which each would import the libraries.

They are forked from one that has imported the libraries and nothing of the package. What is about how a
program begins or ends is not tested with them.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

# What forks share is loaded by one process: with one thread, also where make has not said so.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["torch", "pandas", "scipy.stats", "scipy.optimize", "numba"])


def fresh(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m theory_check.cli`` in the current folder; return what it printed and its code."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        process = _FORKS.Process(target=_command, args=(words, out, err))
        process.start()
        process.join()
        texts = [each.read_text(encoding="utf-8") for each in (out, err)]
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def printed_by(program: Path, *words: str, folder: Path) -> str:
    """Return the standard output of a file that is run as a program, and must come to a good end."""
    out, errors = (folder / f"{program.stem}.{kind}" for kind in ("out", "err"))
    process = Started(program, words, folder, errors, out=out)
    said = process.printed()
    assert process.returncode == 0, said[-2000:]
    return out.read_text(encoding="utf-8")


def printed_by_text(text: str, folder: Path) -> str:
    """Return what a program prints that is given as its text, and that must come to a good end."""
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    return printed_by(program, folder=folder)


class Started:
    """A program that was started, with the methods of ``subprocess.Popen`` that tests use.

    Parameters
    ----------
    program
        A file, or the name of a module that is run as ``python -m`` does.
    words
        Its arguments.
    folder
        Where it runs, as the leader of a group of processes.
    errors, out
        Where it prints, both to ``errors`` where ``out`` is not named.
    path
        Folders whose modules come first, that of ``program`` as it is.
    variables
        Environment variables beside those of this process.
    """

    def __init__(
        self,
        program: Path | str,
        words: Sequence[str],
        folder: Path,
        errors: Path,
        out: Path | None = None,
        path: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        environment = {**os.environ, **(variables or {})}
        self._errors = errors
        self._process = _FORKS.Process(
            target=_program, args=(program, words, folder, out or errors, errors, path, environment)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self.kill: Callable[[], None] = self._process.kill

    @property
    def returncode(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(self._errors.read_text(encoding="utf-8"))
        return self._process.exitcode

    def printed(self, timeout: float | None = None) -> str:
        """Return what it printed to ``errors`` when it has ended."""
        self.wait(timeout)
        return self._errors.read_text(encoding="utf-8")


def _command(words: Sequence[str], out: Path, err: Path) -> None:
    _prepare(words, out, err)
    # As -m does: the folder of the call comes first.
    sys.path.insert(0, os.getcwd())
    runpy.run_module("theory_check.cli", run_name="__main__", alter_sys=True)


def _program(
    program: Path | str,
    words: Sequence[str],
    folder: Path,
    out: Path,
    err: Path,
    path: Sequence[Path],
    environment: Mapping[str, str],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _prepare(words, out, err)
    sys.path[:0] = [str(each) for each in path]
    try:
        if isinstance(program, Path):
            sys.path.insert(0, str(program.parent))
            runpy.run_path(str(program), run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        # As an interpreter ends: pools of processes are told, before multiprocessing waits for them.
        threading._shutdown()  # type: ignore[attr-defined]


def _prepare(words: Sequence[str], out: Path, err: Path) -> None:
    for descriptor, path in ((1, out), (2, err)):
        with path.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), descriptor)
    assert not any(name.partition(".")[0] == "theory_check" for name in sys.modules)
    sys.argv = ["theory-check", *words]
