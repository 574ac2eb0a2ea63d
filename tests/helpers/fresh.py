"""The command in a process of its own, for tests that edit a file between two calls.

Most of the time of a new process goes into libraries. So these are forked from one that has imported
the libraries and nothing of the package.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["torch", "pandas", "scipy.stats", "scipy.optimize", "numba"])


def fresh(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m theory_check.cli`` in the current folder; return what it printed and its code."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        process = _FORKS.Process(target=_run, args=(words, out, err))
        process.start()
        process.join()
        texts = [each.read_text(encoding="utf-8") for each in (out, err)]
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _run(words: tuple[str, ...], out: Path, err: Path) -> None:
    for descriptor, path in ((1, out), (2, err)):
        with path.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), descriptor)
    assert not any(name.partition(".")[0] == "theory_check" for name in sys.modules)
    sys.argv = ["theory-check", *words]
    # As -m does: the folder of the call comes first.
    sys.path.insert(0, os.getcwd())
    runpy.run_module("theory_check.cli", run_name="__main__", alter_sys=True)
