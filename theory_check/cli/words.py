"""The words of every command, and how they are read."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from theory_check.catalogue import MARK
from theory_check.errors import InvalidArgumentError
from theory_check.report.help import COMMANDS, EPILOG, KINDS, SHELLS
from theory_check.report.parsing import Flattened, Parser, Version, names, positive


def parser(functions: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the function of every command as ``command``."""
    made = Parser(
        prog="theory-check",
        description="Does a convergence rate hold, and which term of the bound is responsible?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "--study",
        metavar="DIR",
        type=Path,
        help="folder whose components stand beside the package's (that of the nearest study.toml)",
    )
    add("--version", action=Version, nargs=0, help="show the version and exit")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    known = {}
    for name, (text, epilog) in COMMANDS.items():
        known[name] = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        known[name].set_defaults(command=functions[name])
    add = known["list"].add_argument
    add("kind", metavar="KIND", nargs="?", choices=KINDS, help=f"{', '.join(KINDS)}; all if absent")
    add("--json", action="store_true", help="a JSON object instead of text")
    add = known["show"].add_argument
    add("name", metavar="NAME", help="of anything that list shows")
    add("--json", action="store_true", help="a JSON list instead of text")
    add("--store", metavar="DIR", type=Path, default=Path("results"), help="whose times are costs")
    known["completion"].add_argument(
        "shell", metavar="SHELL", choices=SHELLS, help="|".join(SHELLS)
    )
    known["run"].add_argument("file", metavar="FILE", help="TOML file, or its stem in experiments/")
    _add_verify_words(known["verify"])
    _add_compare_words(known["compare"])
    add = known["figures"].add_argument
    add("names", metavar="NAME", nargs="*", help="a figure; all if absent")
    _add_store_words(known["store"], known["export"])
    _add_advise_words(known["advise"])
    _add_worst_case_words(known["worst-case"])
    add = known["new"].add_argument
    add("folder", metavar="DIR", type=Path, help="folder to write: a new one, or empty")
    absent = f"the study; if absent, that of --study, or of the nearest {MARK}"
    known["check"].add_argument("folder", metavar="DIR", type=Path, nargs="?", help=absent)
    for name in ("figures", "reproduce"):
        add = known[name].add_argument
        add("--output", metavar="DIR", type=Path, help="folder of the figures (STORE/figures)")
    for name in ("run", "verify", "compare", "figures", "reproduce"):
        _add_run_words(known[name])
    add = known["report"].add_argument
    about = "id of a claim; if absent all claims, and the comparison of methods"
    add("claims", metavar="CLAIM", nargs="*", help=about)
    add("--output", metavar="FILE", type=Path, help="the file to write (STORE/report.html)")
    add("--store", metavar="DIR", type=Path, default=Path("results"), help="results (%(default)s)")
    add("--quick", action="store_true", help="the small version of experiments")
    for name in ("report", "export"):
        known[name].set_defaults(jobs=1, retry_failed=False, backend="loky")
    for name in ("verify", "reproduce"):
        text = "every number, reason and audit below the table"
        known[name].add_argument("--verbose", action="store_true", help=text)
    for name in ("verify", "figures", "report"):
        _add_any_source(known[name])
    return made


def _add_run_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--store", metavar="DIR", type=Path, default=Path("results"), help="results (%(default)s)")
    add(
        "--jobs",
        metavar="N",
        type=positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="worker processes of this machine, about 0.5 GiB each (%(default)s: its cores); a "
        "cluster at an address has its own, and this does not apply to it",
    )
    add(
        "--backend",
        default="loky",
        help="loky (default): processes of this machine; dask or ray: the cluster at "
        "DASK_SCHEDULER_ADDRESS or RAY_ADDRESS, without one --jobs workers of this machine",
    )
    add("--quick", action="store_true", help="the small version of experiments")
    add("--retry-failed", action="store_true", help="run cells again that failed earlier")


def _add_any_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--any-source",
        action="store_true",
        help="read the latest result of other source or version, where there is one, instead of running "
        "the cell; all that is shown says so",
    )


def _add_problem_words(
    command: argparse.ArgumentParser, *, required: bool = False, use: str = ""
) -> None:
    add = command.add_argument
    named = f"{use}a problem family, or EXPERIMENT/LABEL for a problem of an experiment file"
    add("--problem", metavar="NAME", required=required, help=named)
    _add_settings(command, "an argument of the family, value as in TOML; once for each argument")


def _add_settings(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=text)


def _add_verify_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    absent = "id of a claim; if absent all, and within a study those of the study alone"
    add("claims", metavar="CLAIM", nargs="*", help=absent)
    add("--all", action="store_true", help="within a study, judge the package's claims as well")
    add("--json", action="store_true", help="a JSON list instead of a table")
    _add_problem_words(command, use="judge the named claims, and their audits, on this alone: ")


def _add_compare_words(command: argparse.ArgumentParser) -> None:
    for option, metavar, text in (
        ("--solvers", "A,B", "ids of methods, or names of solvers for all of their methods"),
        ("--problems", "X,Y", "labels of problems, or what they start with before a hyphen"),
    ):
        command.add_argument(
            option,
            metavar=metavar,
            type=names,
            nargs="+",
            action=Flattened,
            default=(),
            help=f"{text}; all if absent",
        )
    written = "folder of what is written (STORE/comparison)"
    command.add_argument("--output", metavar="DIR", type=Path, help=written)


def _add_store_words(store: argparse.ArgumentParser, export: argparse.ArgumentParser) -> None:
    export.add_argument("directory", metavar="DIR", type=Path, help="folder to write into")
    for command in (store, export):
        add = command.add_argument
        add("--store", metavar="DIR", type=Path, default=Path("results"), help="(%(default)s)")
    add = store.add_argument
    add("--prune", action="store_true", help="remove results and failures of no cell there is")
    dry = "with --prune: say what would go, remove nothing"
    add("--dry-run", action="store_true", help=dry)
    add = export.add_argument
    add("--quick", action="store_true", help="the small version of experiments")
    add("--overwrite", action="store_true", help="replace files of a folder that is not empty")
    _add_any_source(export)


def _add_advise_words(command: argparse.ArgumentParser) -> None:
    _add_problem_words(command, required=True)
    add = command.add_argument
    target = "target for the ergodic mean of the squared gradient norm, between 0 and 1"
    add("--epsilon", metavar="E", type=float, required=True, help=target)
    scale = "standard deviation of the initial reward parameters (%(default)s)"
    add("--initial-scale", metavar="S", type=float, default=1.0, help=scale)
    add("--json", action="store_true", help="JSON instead of text")
    check = "run the plan on 16 other seeds; exit code 1 if it fails"
    add("--check", action="store_true", help=check)


def _add_worst_case_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("claim", metavar="CLAIM", help="a claim, or another quantity of one; theory-check list")
    add("--family", metavar="NAME", required=True, help="bandit, garnet or tabular")
    _add_settings(
        command, "a size or bound of the family, as in --set states=3 or --set kl_weight_low=0.1"
    )
    budget = "exact evaluations of the optimiser, and again of random search (%(default)s)"
    add("--budget", metavar="N", type=int, default=500, help=budget)
    add("--restarts", metavar="N", type=int, default=4, help="independent restarts (%(default)s)")
    add("--seed", metavar="N", type=int, default=0, help="of the search (%(default)s)")
    add("--label", metavar="LABEL", help="keep the worst instance under this name")
    add("--store", metavar="DIR", type=Path, default=Path("results"), help="results (%(default)s)")
    add("--json", action="store_true", help="JSON instead of text")


@contextmanager
def named_as_options(*arguments: str) -> Iterator[None]:
    """Let refusals name the option instead of the argument of a function, of these arguments."""
    try:
        yield
    except InvalidArgumentError as error:
        if error.argument not in arguments:
            raise
        option = f"--{error.argument.replace('_', '-')}"
        raise InvalidArgumentError(option, error.received, error.remedy) from error
