"""The command ``advise``: its words, and what it prints."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import TYPE_CHECKING, Any, get_args

from theory_check.cli import words
from theory_check.errors import InvalidArgumentError, nearest, shortened

if TYPE_CHECKING:
    from theory_check.advice.advisor import Advice
    from theory_check.advice.check import AdviceCheck
    from theory_check.advice.plan import SchedulePlan
    from theory_check.catalogue import Catalogue
    from theory_check.runs.problem_table import OwnProblem


EPILOG = """\
example:
  theory-check advise --problem bandit --set contexts=3 --set actions=2 --epsilon 0.02 --check

exit codes:
  0    the advice is printed, and its check passed where asked for
  1    the check failed
  2    bad input, a target that the starts meet already, or one that cannot be reached
  70   a defect of theory-check, whose traceback is printed
  130  interrupted
  141  the reader of the output left before its end
  143  terminated

Everything is run anew, by this process alone; nothing is stored.
"""

_OPTIONS = {"problem": "--problem", "epsilon": "--epsilon", "initial_scale": "--initial-scale"}
"""Options by the argument that they are."""


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command to its parser."""
    add_problem_words(parser, required=True)
    parser.add_argument(
        "--epsilon",
        metavar="E",
        type=float,
        required=True,
        help="target for the ergodic mean of the squared gradient norm, between 0 and 1",
    )
    parser.add_argument(
        "--initial-scale",
        metavar="S",
        type=float,
        default=1.0,
        help="standard deviation of the initial reward parameters (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of text")
    parser.add_argument(
        "--check",
        action="store_true",
        help="run the plan on 16 other seeds; exit code 1 if it fails",
    )


def add_problem_words(
    parser: argparse.ArgumentParser, *, required: bool = False, use: str = ""
) -> None:
    """Add the words that name a problem; ``use`` says what for."""
    parser.add_argument(
        "--problem",
        metavar="NAME",
        required=required,
        help=f"{use}a problem family, or EXPERIMENT/LABEL for a problem of an experiment file",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an argument of the family, value as in TOML; once for each argument",
    )


def run(options: argparse.Namespace) -> bool:
    """Print the advice, and return whether its check, if asked for, succeeded."""
    # Here, so that help comes at once.
    from theory_check.advice.advisor import (
        AdviceRequest,
        advise,
        require_advisable,
    )
    from theory_check.advice.check import check_advice

    with _named_as_options():
        AdviceRequest(options.epsilon, initial_scale=options.initial_scale)
    problem = find_problem(options.problem, options.set, options.catalogue)

    def say(line: str) -> None:
        if not options.json and sys.stderr.isatty():
            words.say(line)

    with _named_as_options():
        require_advisable(problem)
        advice = advise(problem, options.epsilon, initial_scale=options.initial_scale, report=say)
    check = check_advice(advice, problem) if options.check else None
    print(as_json(advice, check) if options.json else as_text(advice, check))
    return check is None or check.passed


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Let refusals name the option instead of the argument of a function."""
    try:
        yield
    except InvalidArgumentError as error:
        option = _OPTIONS.get(error.argument, error.argument)
        raise InvalidArgumentError(option, error.received, error.remedy) from error


def find_problem(name: str, settings: Sequence[str], catalogue: Catalogue) -> Any:
    """Build the problem that ``--problem`` and ``--set`` stand for; raises as :func:`named_problem`."""
    from theory_check.problems import Problem

    advisable = [
        family
        for family, function in catalogue.families.items()
        if signature(function).return_annotation in (Problem, Problem.__name__)
    ]
    return named_problem(name, settings, catalogue, advisable).spec.build()


def named_problem(
    name: str,
    settings: Sequence[str],
    catalogue: Catalogue,
    offered: Sequence[str] | None = None,
) -> OwnProblem:
    """Return the problem that ``--problem`` and ``--set`` stand for.

    ``offered`` are the families that an unknown one is compared with; all when absent.

    Raises
    ------
    InvalidArgumentError
        For an unknown family, experiment, label or key, keys left out, a value that does not fit, or
        a label of random instances.
    """
    from theory_check.catalogue.catalogue import experiment_file
    from theory_check.runs.build import REQUIRED, function_parameters
    from theory_check.runs.own_problem import problem_of_cells
    from theory_check.runs.problem_table import OwnProblem, bound_problem
    from theory_check.runs.spec import load_experiment

    if "/" not in name:
        given = dict(parse_setting(text) for text in settings)
        if name not in catalogue.families:
            known_families = catalogue.families if offered is None else offered
            raise InvalidArgumentError("--problem", shortened(name), nearest(name, known_families))
        known = function_parameters(catalogue.families[name])
        # One that may be None is None where it is left out, as in an experiment file.
        missing = [
            key
            for key, parameter in known.items()
            if parameter.default is REQUIRED
            and key not in given
            and type(None) not in get_args(parameter.hint)
        ]
        if missing and known.keys() >= given.keys():
            raise InvalidArgumentError(
                "--set",
                f"no {', '.join(missing)}",
                f"add {' '.join(f'--set {key}=VALUE' for key in missing)}",
            )
        return OwnProblem(name, bound_problem({"family": name, **given}, "--set", catalogue))
    if settings:
        raise InvalidArgumentError(
            "--set",
            shortened(settings[0]),
            "leave it out: an experiment file says all of its problem",
        )
    stem, _, label = name.rpartition("/")
    cells = load_experiment(experiment_file(stem, catalogue), catalogue).full
    labels = {cell.label for cell in cells}
    if label not in labels:
        raise InvalidArgumentError(
            "--problem", shortened(name), f"in {stem}: {nearest(label, labels)}"
        )
    return problem_of_cells(cells, label)


def as_text(advice: Advice, check: AdviceCheck | None) -> str:
    """Return the advice for a terminal."""
    from theory_check.advice.model import CHECKED_SEEDS, REQUIRED_SHARE
    from theory_check.cli.reporting import aligned

    measured, best = advice.constants, advice.best
    steps = best.solver.inner_steps
    transient = measured.transient[steps]
    noise = ", ".join(
        f"{by_steps[min(by_steps, key=lambda k: abs(k - steps))]:.3g} ({coupling})"
        for coupling, by_steps in measured.noise.items()
    )
    lines = [
        f"{advice.problem}: mean of the squared gradient norm at most {advice.epsilon:g}, starts of "
        f"scale {advice.initial_scale:g}",
        "",
        f"measured: L = {measured.outer_curvature:.3g} (outer), "
        f"{measured.inner_curvature:.3g} (inner); at K = {steps}: "
        f"a = {transient.planned:.3g}, b = {measured.bias:.3g}, c = {noise}",
        f"the pilot drew {advice.pilot.samples:.3g} samples, {advice.rehearsed.samples:.3g} of them "
        "in the rehearsal",
        "",
        *aligned([_HEADER, *(_row(plan, plan is best) for plan in advice.plans)]),
        "",
        f"* cheapest: T = {best.iterations}, of which {best.predicted_iterations} should do for "
        f"{REQUIRED_SHARE * CHECKED_SEEDS:g} of {CHECKED_SEEDS} runs; "
        f"inner step {best.solver.inner_step_size:.4g}",
        "rehearsal: whether sampled pilot runs met the target; T and predicted cost are theirs where "
        "met, the model's elsewhere",
        "shares of epsilon by the model: transient a/T, bias b sigma^2, noise c/n (c/(sigma^2 n) when "
        "independent)",
        *sorted(
            {
                f"{plan.schedule.id} [{plan.schedule.provenance}] {plan.schedule.source}"
                for plan in advice.plans
            }
        ),
    ]
    if check is not None:
        lines += ["", *_check_lines(check)]
    return words.joined(lines)


_HEADER = (
    "", "schedule", "sigma", "T", "K", "n = B", "eta",
    "transient", "bias", "noise", "trajectories", "labels", "env steps", "samples", "predicted",
    "rehearsal",
)  # fmt: skip


def _row(plan: SchedulePlan, best: bool) -> tuple[str, ...]:
    solver, terms, total = plan.solver, plan.terms, plan.planned
    return (
        "*" if best else "",
        f"{plan.schedule.id} [{plan.schedule.provenance}]",
        f"{solver.sigma:.3g}",
        str(plan.iterations),
        str(solver.inner_steps),
        str(solver.trajectories),
        f"{solver.step_size:.3g}",
        *(f"{value:.2e}" for value in (terms.transient, terms.bias, terms.noise)),
        *(f"{value:.3e}" for value in (total.trajectories, total.labels, total.env_steps)),
        f"{total.samples:.3e}",
        f"{plan.predicted.samples:.3e}",
        plan.rehearsal,
    )


def _check_lines(check: AdviceCheck) -> list[str]:
    from theory_check.advice.model import COST_FACTOR

    ratios = sorted(check.samples / check.predicted)
    return [
        f"check: {check.reached} of {len(check.seeds)} seeds met the target by T "
        f"({check.required} needed)",
        f"{check.required} of them had after {check.cost:.3e} samples, {check.cost_ratio:.2f} of the "
        f"predicted {check.predicted:.3e} (within a factor {COST_FACTOR:g} needed); single seeds "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        "check passed" if check.passed else "check failed",
    ]


def as_json(advice: Advice, check: AdviceCheck | None) -> str:
    """Return advice and check as a JSON object; numbers that are not finite are null."""
    record: dict[str, Any] = {
        "problem": advice.problem,
        "epsilon": advice.epsilon,
        "initial_scale": advice.initial_scale,
        "constants": dataclasses.asdict(advice.constants),
        "pilot": dataclasses.asdict(advice.pilot) | {"samples": advice.pilot.samples},
        "best": advice.best.schedule.id,
        "plans": [
            dataclasses.asdict(plan) | {"coupling": plan.solver.coupling} for plan in advice.plans
        ],
    }
    if check is not None:
        record["check"] = {
            "seeds": list(check.seeds),
            "accuracy": check.accuracy.tolist(),
            "samples": check.samples.tolist(),
            "reached": check.reached,
            "required": check.required,
            "cost": check.cost,
            "cost_ratio": check.cost_ratio,
            "passed": check.passed,
        }
    from theory_check.cli.reporting import finite_numbers

    return json.dumps(finite_numbers(record), indent=2, allow_nan=False)


def parse_setting(text: str) -> tuple[str, object]:
    """Return key and value of one ``--set``; a bare word is a string."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key.isidentifier():
        raise InvalidArgumentError(
            "--set", shortened(text), "write KEY=VALUE, as in --set states=3"
        )
    try:
        table = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError) as error:
        word = value.strip()
        if not word.isidentifier():
            raise InvalidArgumentError(
                f"--set.{key}", shortened(value), "write the value as in a TOML file"
            ) from error
        table = {"value": {"True": True, "False": False}.get(word, word)}
    if len(table) > 1:
        raise InvalidArgumentError(f"--set.{key}", shortened(value), "write one value, on one line")
    parsed = table["value"]
    # 1e3 is a whole number to whoever writes it, though not to TOML.
    whole = isinstance(parsed, float) and parsed.is_integer() and "." not in value
    return key, int(parsed) if whole else parsed
