"""The commands: what each calls, what it prints, and its exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.cli.words import named_as_options, parser
from theory_check.errors import InvalidArgumentError, TheoryCheckError, shortened, visible
from theory_check.report.help import WRITTEN
from theory_check.report.process import Terminated, discard_output, ended_by_sigterm
from theory_check.report.text import joined, promised, say

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue
    from theory_check.runs import Report
    from theory_check.studies import Judgement, RunOptions

# Heavy imports are inside the commands: help comes at once, and libraries find their threads set.

SUCCESS, REFUTED, BAD_INPUT, CELL_FAILED, DEFECT = 0, 1, 2, 3, 70
# As a shell reports a process that ended by SIGINT, SIGPIPE or SIGTERM.
INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143


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
    options = parser(COMMANDS).parse_args(arguments)
    # Cells run in this process with --jobs 1, in others otherwise: one thread in both.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    try:
        with ended_by_sigterm():
            code = _code_of_command(options, catalogue)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return UNREAD
    except Terminated:
        return TERMINATED
    return code


def _code_of_command(options: argparse.Namespace, catalogue: Catalogue | None) -> int:
    try:
        options.catalogue = _catalogue(options, catalogue)
        with promised("reading libraries, experiments and the store", options.command in _RUNNING):
            return int(options.command(options))
    except TheoryCheckError as error:
        say(f"error: {' '.join(str(error).split())}")
        return _code_of(error)
    except KeyboardInterrupt:
        say("interrupted; finished cells are kept, the same command continues")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except (Exception, SystemExit):
        print(visible(traceback.format_exc(), kept="\n"), end="", file=sys.stderr)
        say("this is a defect of theory-check; finished cells are kept")
        return DEFECT


def _catalogue(options: argparse.Namespace, given: Catalogue | None) -> Catalogue:
    """Return what there is, with the study that is named or that the command is run in."""
    from theory_check.catalogue import installed, study_of

    found = installed() if given is None else given
    folder = options.study or study_of()
    if folder is not None:
        found = found.with_folder(folder)
        # Of the studies alone: importing all that is shipped takes seconds, and list needs none of it.
        for failure in found.failures(found.studies):
            say(f"left out, it cannot be imported: {failure}")
    return found


def _list(options: argparse.Namespace) -> int:
    from theory_check.report.contents import json_listing, text_listing

    print((json_listing if options.json else text_listing)(options.catalogue, options.kind))
    return SUCCESS


def _show(options: argparse.Namespace) -> int:
    from theory_check.report.showing import json_of_name, text_of_name

    write = json_of_name if options.json else text_of_name
    print(write(options.name, options.catalogue, options.store))
    return SUCCESS


def _completion(options: argparse.Namespace) -> int:
    from theory_check.report.completion import completion

    print(completion(parser(COMMANDS), options.shell, options.catalogue))
    return SUCCESS


def _run(options: argparse.Namespace) -> int:
    from theory_check.studies import sweep

    return _finish(sweep([options.file], _run_options(options)).report)


def _verify(options: argparse.Namespace) -> int:
    from theory_check.report.verdicts import json_list, text_of_sweep
    from theory_check.studies import evidence_for, sweep
    from theory_check.studies.named import chosen_claims, own_problem

    catalogue: Catalogue = options.catalogue
    own = own_problem(options.problem, options.set, options.claims, catalogue)
    claims = chosen_claims(options.claims, catalogue, say, everything=options.all)
    done = sweep(evidence_for(claims, catalogue, own), _run_options(options), own)
    judgements = [done.judge(claim) for claim in claims]
    if options.json:
        print(json_list(judgements, small=options.quick))
    else:
        print(text_of_sweep(done, judgements, verbose=options.verbose))
    return _finish(done.report, judgements)


def _compare(options: argparse.Namespace) -> int:
    from theory_check.report.comparison import publish
    from theory_check.report.page.publish import publish_comparison
    from theory_check.studies.comparison import plan_comparison

    with named_as_options("solvers", "problems"):
        plan = plan_comparison(options.solvers, options.problems, _run_options(options))
    directory = _output_folder(options, "comparison")
    compared = plan.run()
    drawn = publish(compared, directory, say)
    publish_comparison(directory, compared, say)
    return _finish(compared.report, drawn=drawn)


def _figures(options: argparse.Namespace) -> int:
    from theory_check.report.figures import draw_named, drawable_scripts

    scripts = drawable_scripts(options.catalogue, say, options.names)
    directory = _output_folder(options, "figures")
    report, drawn = draw_named(scripts, directory, _run_options(options), say)
    return _finish(report, drawn=drawn)


def _reproduce(options: argparse.Namespace) -> int:
    from theory_check.report.figures import draw_complete, drawable_scripts
    from theory_check.report.page.publish import publish_page
    from theory_check.report.text import text_list
    from theory_check.report.verdicts import text_of_sweep, write_verdicts
    from theory_check.studies import conclude, sweep
    from theory_check.studies.named import chosen_claims

    catalogue: Catalogue = options.catalogue
    claims = chosen_claims([], catalogue, say, everything=True)
    scripts = drawable_scripts(catalogue, say)
    directory = _output_folder(options, "figures")
    done = sweep(catalogue.experiments.values(), _run_options(options))
    judgements = [done.judge(claim) for claim in claims]
    conclusions = conclude(done, judgements)
    write_verdicts(_results(options), done, judgements, conclusions)
    drawn = draw_complete(scripts, done, judgements, directory, say)
    publish_page(_results(options), done.options, say, found=(done, judgements, conclusions))
    places = {"report": _results(options) / "report.html", "figures": directory}
    print(text_of_sweep(done, judgements, verbose=options.verbose, places=places))
    if options.verbose:
        print(text_list(conclusions))
    return _finish(done.report, judgements, drawn=drawn)


def _report(options: argparse.Namespace) -> int:
    from theory_check.report.page.publish import publish_page

    folder, how = _results(options), _run_options(options)
    publish_page(folder, how, say, file=options.output, names=options.claims)
    return SUCCESS


def _store(options: argparse.Namespace) -> int:
    from theory_check.report.outcomes import tidy_store

    how = {"prune": options.prune, "dry_run": options.dry_run}
    with named_as_options("dry_run"):
        print(tidy_store(options.store, options.catalogue, **how))
    return SUCCESS


def _export(options: argparse.Namespace) -> int:
    from theory_check.report.export import export_study

    export_study(options.directory, _run_options(options), say, overwrite=options.overwrite)
    return SUCCESS


def _advise(options: argparse.Namespace) -> int:
    from theory_check.advice import advisor
    from theory_check.advice.check import check_advice
    from theory_check.report.outcomes import json_of_advice, text_of_advice
    from theory_check.studies.named import find_problem

    epsilon, scale = options.epsilon, options.initial_scale
    with named_as_options("epsilon", "initial_scale"):
        advisor.AdviceRequest(epsilon, initial_scale=scale)
    problem = find_problem(options.problem, options.set, options.catalogue)
    with named_as_options("problem", "epsilon", "initial_scale"):
        advisor.require_advisable(problem)
        tell = _steps(options)
        advice = advisor.advise(problem, epsilon, initial_scale=scale, report=tell)
    check = check_advice(advice, problem) if options.check else None
    print((json_of_advice if options.json else text_of_advice)(advice, check))
    return SUCCESS if check is None or check.passed else REFUTED


def _worst_case(options: argparse.Namespace) -> int:
    from theory_check.report.outcomes import json_of_worst, text_of_worst
    from theory_check.studies.named import find_case, find_space
    from theory_check.worst_cases.search import find_worst, new_record, write_record

    case = find_case(options.claim, options.catalogue)
    space = find_space(options.family, options.set)
    with named_as_options("family", "budget", "restarts", "seed", "label"):
        file = None if options.label is None else new_record(options.store, options.label)
        worst = find_worst(
            case,
            space,
            budget=options.budget,
            restarts=options.restarts,
            seed=options.seed,
            report=_steps(options),
        )
    if file is not None:
        write_record(worst, file)
    print((json_of_worst if options.json else text_of_worst)(worst, file))
    return SUCCESS if worst.kept else REFUTED


def _new(options: argparse.Namespace) -> int:
    from theory_check.catalogue import write_study

    write_study(options.folder)
    print(joined(line.format(options.folder.as_posix()) for line in WRITTEN))
    return SUCCESS


def _check(options: argparse.Namespace) -> int:
    from theory_check.catalogue import study_of

    folder: Path | None = options.folder or options.study or study_of()
    if folder is None:
        raise InvalidArgumentError("DIR", "nothing, outside of a study", "pass the folder of one")
    from theory_check.testing import check_study

    found = check_study(folder, options.catalogue)
    print(found.text())
    if not found.checks and not found.unread:
        raise InvalidArgumentError("DIR", shortened(str(folder)), "pass a study with a component")
    return SUCCESS if found.passed else REFUTED


_RUNNING = (_run, _verify, _compare, _figures, _reproduce)
_OTHERS = (
    _list,
    _show,
    _completion,
    _report,
    _store,
    _export,
    _advise,
    _worst_case,
    _new,
    _check,
)
COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    each.__name__[1:].replace("_", "-"): each for each in (*_RUNNING, *_OTHERS)
}


def _steps(options: argparse.Namespace) -> Callable[[str], None]:
    """Return what is told of a search on its way: to somebody who looks on, and wants no JSON."""
    looking = not options.json and sys.stderr.isatty()
    return say if looking else lambda line: None


def _results(options: argparse.Namespace) -> Path:
    """Return where verdicts, figures and tables go: the small version does not replace the full one."""
    store: Path = options.store
    return store / "quick" if options.quick else store


def _output_folder(options: argparse.Namespace, name: str) -> Path:
    from theory_check.report.figures import writable_folder

    return writable_folder(options.output or _results(options) / name, name)


def _run_options(options: argparse.Namespace) -> RunOptions:
    from theory_check.studies import RunOptions

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
        say(str(failure))
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
