"""The command line: its words, its commands and its exit codes."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from theory_check.cli import advise, compare, results, study, worst_case
from theory_check.cli.words import Parser, Version, positive
from theory_check.cli.words import say as _say
from theory_check.errors import StoreError, TheoryCheckError, visible

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue
    from theory_check.claims.base import Claim
    from theory_check.runs import Report
    from theory_check.verification import Judgement, RunOptions

# The heavy imports of this module are inside the commands: help comes at once, and the number of
# threads is set before the libraries that read it are loaded.

SUCCESS, REFUTED, BAD_INPUT, CELL_FAILED, DEFECT = 0, 1, 2, 3, 70
# As a shell reports a process that ended by SIGINT, SIGPIPE or SIGTERM.
INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143

EPILOG = """\
exit codes:
  0    everything as it should be
  1    a claim that should hold is violated, a negative control is not, or advice fails its check;
       what is found of an open statement fails nothing
  2    bad input: an argument, an experiment file or the store; nothing was run
  3    a cell failed, or the workers did, so that some results are missing (takes precedence over 1)
  70   a defect of theory-check, whose traceback is printed
  130  interrupted; finished cells are kept
  141  the reader of the output left before its end
  143  terminated; finished cells are kept

Results are kept in the store, one file per cell. A command runs only cells without a result, so a
killed one is resumed by giving it again.
"""


def main(arguments: Sequence[str] | None = None, catalogue: Catalogue | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments
        The words after ``theory-check``; those of this process when absent.
    catalogue
        What there is beside the study; all that is installed when absent.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets another one, and the command goes on.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    # Cells run in this process with --jobs 1, in others otherwise: one thread in both.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    try:
        with _ended_by_sigterm():
            code = _code_of_command(options, catalogue)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    return code


def _code_of_command(options: argparse.Namespace, catalogue: Catalogue | None) -> int:
    try:
        options.catalogue = _catalogue(options, catalogue)
        return int(options.command(options))
    except TheoryCheckError as error:
        _say(f"error: {' '.join(str(error).split())}")
        return _code_of(error)
    except KeyboardInterrupt:
        _say("interrupted; finished cells are kept, the same command continues")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception:
        print(visible(traceback.format_exc(), kept="\n"), end="", file=sys.stderr)
        _say("this is a defect of theory-check; finished cells are kept")
        return DEFECT


def _catalogue(options: argparse.Namespace, given: Catalogue | None) -> Catalogue:
    """Return what there is, with the study that is named or that the command is run in."""
    from theory_check.catalogue import installed, study_of

    catalogue = installed() if given is None else given
    folder = options.study or study_of()
    found = catalogue if folder is None else catalogue.with_folder(folder)
    if folder is not None:
        # Of the studies alone: importing all that is shipped takes seconds, and list needs none of it.
        for failure in found.failures(found.studies):
            _say(f"left out, it cannot be imported: {failure}")
    return found


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exit from within, so that worker processes are ended as well."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut this short
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="theory-check",
        description="Does a convergence rate hold, and which term of the bound is responsible?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--study",
        metavar="DIR",
        type=Path,
        help="folder whose components stand beside the package's (that of the nearest study.toml)",
    )
    parser.add_argument("--version", action=Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: object, text: str, epilog: str = EPILOG
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=function)
        return added

    command("list", _list, "show problems, classes, solvers, measurements, claims and experiments")
    run = command("run", _run, "run the cells of an experiment file")
    run.add_argument("file", metavar="FILE", help="TOML file, or its stem in experiments/")
    verify = command("verify", _verify, "judge claims, running what their experiments lack")
    study.add_verify_words(verify)
    verify.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    advise.add_problem_words(
        verify, use="judge the named claims, and their audits, on this alone: "
    )
    comparing = command("compare", _compare, "compare methods, running what their comparison lacks")
    compare.add_words(comparing)
    figures = command("figures", _figures, "draw the figures, running what they lack")
    figures.add_argument("names", metavar="NAME", nargs="*", help="a figure; all if absent")
    results.add_commands(command)
    advise.add_words(
        command(
            "advise", _advise, "find the cheapest schedule for a target accuracy", advise.EPILOG
        )
    )
    worst_case.add_words(
        command(
            "worst-case",
            _worst_case,
            "search a family for the instance on which a measured quantity is worst",
            worst_case.EPILOG,
        )
    )
    study.add_new_words(command("new", _new, study.NEW, study.NEW_EPILOG))
    study.add_check_words(command("check", _check, study.CHECK, study.CHECK_EPILOG))
    reproduce = command("reproduce", _reproduce, "run all experiments, draw all figures, judge")
    for drawing in (figures, reproduce):
        drawing.add_argument(
            "--output", metavar="DIR", type=Path, help="folder of the figures (STORE/figures)"
        )
    for running in (run, verify, comparing, figures, reproduce):
        _add_run_options(running)
    for reading in (verify, figures):
        results.add_any_source(reading)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", metavar="DIR", type=Path, default=Path("results"), help="results (%(default)s)"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="worker processes of this machine, about 0.5 GiB each (%(default)s: its cores); a "
        "cluster at an address has its own, and this does not apply to it",
    )
    parser.add_argument(
        "--backend",
        default="loky",
        help="loky (default): processes of this machine; dask or ray: the cluster at "
        "DASK_SCHEDULER_ADDRESS or RAY_ADDRESS, without one --jobs workers of this machine",
    )
    parser.add_argument("--quick", action="store_true", help="the small version of experiments")
    parser.add_argument(
        "--retry-failed", action="store_true", help="run cells again that failed earlier"
    )


def _list(options: argparse.Namespace) -> int:
    from theory_check.cli import listing

    listing.print_components(options.catalogue)
    return SUCCESS


def _run(options: argparse.Namespace) -> int:
    from theory_check.verification import sweep

    return _finish(sweep([options.file], _run_options(options)).report)


def _verify(options: argparse.Namespace) -> int:
    from theory_check.catalogue.catalogue import provenance
    from theory_check.cli import reporting
    from theory_check.verification import evidence_for, sweep

    own = results.own_problem(options)
    claims = study.own_claims(options) or _claims(options.claims, options.catalogue)
    names = evidence_for(claims, options.catalogue, own)
    done = sweep(names, _run_options(options), own)
    judgements = [done.judge(claim) for claim in claims]
    if options.json:
        print(reporting.json_list(judgements, small=options.quick))
    else:
        whose = results.heading(provenance(options.catalogue), done)
        print(reporting.text_table(judgements, small=options.quick, experiments=whose))
    return _finish(done.report, judgements)


def _advise(options: argparse.Namespace) -> int:
    return SUCCESS if advise.run(options) else REFUTED


def _worst_case(options: argparse.Namespace) -> int:
    return SUCCESS if worst_case.run(options) else REFUTED


def _new(options: argparse.Namespace) -> int:
    study.write_new(options)
    return SUCCESS


def _check(options: argparse.Namespace) -> int:
    return SUCCESS if study.run_check(options) else REFUTED


def _compare(options: argparse.Namespace) -> int:
    report, drawn = compare.run(
        options, _run_options(options), lambda: _output_folder(options, "comparison"), _say
    )
    return _finish(report, drawn=drawn)


def _figures(options: argparse.Namespace) -> int:
    from theory_check.cli.figures import draw_complete, drawable_scripts
    from theory_check.verification import evidence_for, sweep

    catalogue: Catalogue = options.catalogue
    scripts = drawable_scripts(catalogue, _say, options.names)
    experiments = [name for script in scripts for name in script.experiments]
    names = dict.fromkeys(claim for script in scripts for claim in script.claims)
    claims = [catalogue.claim(name) for name in names]
    directory = _output_folder(options, "figures")
    done = sweep([*experiments, *evidence_for(claims, catalogue)], _run_options(options))
    judgements = [done.judge(claim) for claim in claims]
    drawn = draw_complete(scripts, done, judgements, directory, _say)
    return _finish(done.report, drawn=drawn)


def _reproduce(options: argparse.Namespace) -> int:
    from theory_check.catalogue.catalogue import provenance
    from theory_check.cli import reporting
    from theory_check.cli.conclusions import conclude
    from theory_check.cli.figures import draw_complete, drawable_scripts
    from theory_check.verification import sweep

    claims = _claims([], options.catalogue)
    scripts = drawable_scripts(options.catalogue, _say)
    directory = _output_folder(options, "figures")
    done = sweep(options.catalogue.experiments.values(), _run_options(options))
    judgements = [done.judge(claim) for claim in claims]
    conclusions = conclude(done, judgements)
    results = _results(options)
    small, whose = options.quick, provenance(options.catalogue)
    table = reporting.markdown_table(judgements, small=small, experiments=whose)
    try:
        results.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("verdicts.json", reporting.json_list(judgements, small=small) + "\n"),
            ("verdicts.md", table + reporting.markdown_list(conclusions)),
        ):
            (results / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write the verdicts to {results}: {error}") from error
    drawn = draw_complete(scripts, done, judgements, directory, _say)
    print(reporting.text_table(judgements, small=small, experiments=whose))
    print(reporting.text_list(conclusions))
    return _finish(done.report, judgements, drawn=drawn)


def _results(options: argparse.Namespace) -> Path:
    """Return where verdicts, figures and tables go: the small version does not replace the full one."""
    store: Path = options.store
    return store / "quick" if options.quick else store


def _output_folder(options: argparse.Namespace, name: str) -> Path:
    """Create a folder for what is drawn and make sure, before any work, that it can be written."""
    directory: Path = options.output or _results(options) / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write {name} to {directory} ({error.strerror}); "
            "pass another folder with --output"
        ) from error
    return directory


def _claims(names: Sequence[str], catalogue: Catalogue) -> list[Claim]:
    """Return the named claims, or all whose experiment is there; say which are not."""
    if names:
        return [catalogue.claim(name) for name in dict.fromkeys(names)]
    files = catalogue.experiments
    claims = list(catalogue.claims.values())
    left_out = [claim.id for claim in claims if claim.experiment not in files]
    if left_out:
        _say(f"without their experiments, not judged: {', '.join(left_out)}")
    return [claim for claim in claims if claim.experiment in files]


def _run_options(options: argparse.Namespace) -> RunOptions:
    from theory_check.verification import RunOptions

    return RunOptions(
        options.store,
        options.jobs,
        options.quick,
        options.retry_failed,
        options.backend,
        options.catalogue,
        getattr(options, "any_source", False),
    )


def _finish(report: Report, judgements: Sequence[Judgement] = (), *, drawn: bool = True) -> int:
    """Print what became of the cells and return the exit code; an undrawn figure is a defect."""
    for failure in report.failed:
        _say(str(failure))
    print(report, file=sys.stderr)
    if not drawn:
        return DEFECT
    if report.failed:
        return CELL_FAILED
    passed = all(each.verdict is not None and each.verdict.passed for each in judgements)
    return SUCCESS if passed else REFUTED


def _code_of(error: TheoryCheckError) -> int:
    from theory_check.runs import WorkerDiedError

    return CELL_FAILED if isinstance(error, WorkerDiedError) else BAD_INPUT
