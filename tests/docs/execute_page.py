"""Execute a page as the documentation is built: ``python execute_page.py PAGE NOTEBOOK``.

A program of its own, because the libraries of notebooks warn of things that are no concern of tests,
where warnings are errors. The kernel and each ``theory-check`` of a page are forked from it as it was
when it began, with whatever libraries it had: those of ``helpers/fresh.py``, where a test starts it.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import shlex
import signal
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path

CALL = Path(__file__).with_name("call_forked.py")


def execute(page: Path, notebook: Path) -> None:
    """Write the notebook with its outputs; an error in a cell is an error here."""
    # Addresses of sockets have at most 107 letters, which folders of tests may have already.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        address = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen()
            server = os.fork()
            if not server:
                answer(listener)
        try:
            run_cells(page, notebook, kernel=write_kernel(address))
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def run_cells(page: Path, notebook: Path, kernel: str) -> None:
    """Execute the page in a kernel of this name; what it takes is not in the forks of this process."""
    import nbformat
    from myst_nb.core.read import read_myst_markdown_notebook
    from nbclient import NotebookClient

    read = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    resources = {"metadata": {"path": str(notebook.parent)}}
    client = NotebookClient(read, timeout=900, kernel_name=kernel, resources=resources)
    nbformat.write(client.execute(), notebook)


def write_kernel(address: Path) -> str:
    """Describe a kernel that is forked, as is each ``theory-check`` in its shells; return its name."""
    call = [sys.executable, "-IS", str(CALL), str(address)]
    functions = address.with_suffix(".sh")
    functions.write_text(f'theory-check() {{ {shlex.join(call)} theory_check.cli "$@"; }}\n')
    described = address.parent / "jupyter" / "kernels" / "forked" / "kernel.json"
    described.parent.mkdir(parents=True)
    kernel = {
        "argv": [*call, "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "env": {"BASH_ENV": str(functions)},
    }
    described.write_text(json.dumps(kernel))
    os.environ["JUPYTER_PATH"] = str(address.parent / "jupyter")
    return described.parent.name


def answer(listener: socket.socket) -> None:
    """Run every module that is called for, each in a process of its own, until this one is killed."""
    running: set[int] = set()
    while True:
        caller, _ = listener.accept()
        running = {process for process in running if os.waitpid(process, os.WNOHANG)[0] == 0}
        process = os.fork()
        if not process:
            listener.close()
            run(caller)
        running.add(process)
        caller.close()


def run(caller: socket.socket) -> None:
    """Be the program that was called for, with the caller's streams, folder and variables."""
    message, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    folder, variables, module, *words = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Anew: those of before know of files in which one can seek.
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww", (-1, -1, 1))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [module, *words]
    code: object = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends, which this process does not: what called it would go on in it.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    status = code if isinstance(code, int) else 1
    caller.send(bytes([status]))
    os._exit(status)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]))
