"""Every public call with one argument replaced by something malformed; prints what went wrong as JSON.

A program of its own: the import hooks of the tests would refuse wrong types before the package does,
and users have none.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import theory_check
from theory_check import analysis, models, problems, solvers
from theory_check.analysis.power_law import fit_power_law
from theory_check.bilevel import UpperGradients  # noqa: F401 - loads the room
from theory_check.catalogue import Catalogue, installed
from theory_check.errors import SampleBudgetExhausted, TheoryCheckError
from theory_check.oracles.sampled import SampledOracle
from theory_check.runs import Store, execute, load_experiment, load_table
from theory_check.solvers.schedules import SCHEDULES, ScheduleConstants, get_schedule
from theory_check.studies.verification import RunOptions, sweep
from theory_check.testing.class_inputs import sequence_inputs

CATALOGUE = Catalogue.installed()

SECONDS = 5.0
"""A call that takes longer has looked at its argument too late."""


BYTES = 6 * 2**30
"""Address space of the program: what would need more fails in it, and nowhere else."""


class OutOfTime(BaseException):
    """Not an ``Exception``, so that nothing on the way takes it for its own."""


class Unwritable:
    """An object whose ``repr`` fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Hostile:
    """An object that refuses to be compared, counted or converted."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[object]:
        raise RuntimeError("no items")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __array__(self, *_: object) -> None:
        raise RuntimeError("no array")


MALFORMED: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "text",
    "digits": lambda: "1",
    "False in words": lambda: "False",
    "empty text": lambda: "",
    "escapes": lambda: "a\n\x1b[2Jb",
    "NUL": lambda: "a\0b",
    "surrogate": lambda: "a\udc80",
    "long text": lambda: "x" * 10**6,
    "bytes": lambda: b"bytes",
    "numpy text": lambda: np.str_("text"),
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "-1": lambda: -1,
    "0": lambda: 0,
    "0.5": lambda: 0.5,
    "1.5": lambda: 1.5,
    "1e308": lambda: 1e308,
    "-1e308": lambda: -1e308,
    "1e-320": lambda: 1e-320,
    "10**9": lambda: 10**9,
    "2**62": lambda: 2**62,
    "2**64": lambda: 2**64,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "10**5000": lambda: 10**5000,
    "True": lambda: True,
    "numpy True": lambda: np.True_,
    "1j": lambda: 1j,
    "Fraction": lambda: Fraction(1, 2),
    "Decimal": lambda: Decimal("0.5"),
    "Fraction beyond floats": lambda: Fraction(10**400),
    "duration": lambda: np.timedelta64(1, "s"),
    "date": lambda: np.datetime64("2020-01-01"),
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "empty list": list,
    "list of text": lambda: ["a", "b"],
    "list of truth": lambda: [True, False],
    "list of None": lambda: [None],
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "deep": lambda: _deep(2000),
    "tuple": lambda: (1, 2, 3),
    "set": lambda: {1, 2},
    "dict": lambda: {"a": 1},
    "generator": lambda: (number for number in (1, 2)),
    "range of 10**12": lambda: range(10**12),
    "class": lambda: int,
    "function": lambda: lambda *given, **named: None,
    "module": lambda: math,
    "object": object,
    "unwritable": Unwritable,
    "hostile": Hostile,
    "path": lambda: Path("nowhere") / "at-all",
    "long path": lambda: Path("x" * 300),
    "0-d array": lambda: np.array(3),
    "0-d array of floats": lambda: np.array(0.5),
    "array": lambda: np.array([1.0, 2.0]),
    "empty array": lambda: np.empty(0),
    "5-d array": lambda: np.ones((1, 1, 1, 1, 1)),
    "array of text": lambda: np.array(["a", "b"]),
    "array of objects": lambda: np.array([object(), None], dtype=object),
    "array of nan": lambda: np.array([math.nan, 1.0]),
    "complex array": lambda: np.array([1j, 2.0]),
    "record array": lambda: np.zeros(2, dtype=[("a", float)]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], mask=[False, True]),
    "masked": lambda: np.ma.masked,
    "tensor": lambda: torch.ones(2),
    "scalar tensor": lambda: torch.tensor(1.0, requires_grad=True),
    "tensor of truth": lambda: torch.tensor([True, False]),
    "complex tensor": lambda: torch.tensor([1j]),
    "sparse tensor": lambda: torch.ones(2, 2).to_sparse(),
    "meta tensor": lambda: torch.ones(2, device="meta"),
    "table": lambda: pd.DataFrame({"a": [1]}),
    "empty table": pd.DataFrame,
    "series": lambda: pd.Series(["a", None]),
}


def _deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


@dataclass(frozen=True)
class Call:
    """A valid call, of which every argument is replaced in turn."""

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    right: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By parameter, values that are right and take seconds."""

    def parameters(self) -> list[str]:
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        named = inspect.signature(self.function).parameters.values()
        return [p.name for p in named if p.kind not in kinds]


BANDIT = {"contexts": 2, "actions": 2}
ARRAYS: dict[str, Any] = {
    "transitions": np.full((2, 2, 2), 0.5),
    "initial": np.full(2, 0.5),
    "true_reward": np.zeros((2, 2)),
    "features": np.ones((2, 2, 1)),
    "observations": np.ones((2, 1)),
    "reference_policy": np.full((2, 2), 0.5),
}
SETTINGS: dict[str, Any] = {
    "sigma": 0.1,
    "inner_steps": 1,
    "steps": 1,
    "first_steps": 1,
    "first_pairs": 2,
    "solve_steps": 1,
    "value_iterations": 1,
    "adjoint_steps": 1,
    "trajectories": 2,
    "pairs": 2,
    "samples": 2,
    "labels": 2,
    "coupling": "shared",
    "penalty_function": "value",
}
CONSTANTS = dict.fromkeys(
    ("sigma", "iterations", "inner_steps", "trajectories", "pairs", "step_size", "inner_step_size"),
    1.0,
)
FAMILIES: dict[str, dict[str, Any]] = {
    "bandit": BANDIT,
    "garnet": {"states": 2, "actions": 2, "horizon": 1},
    "stored": {"file": "random-garnet"},
    "tabular": {**ARRAYS, "horizon": 1},
}


def _solver_settings(cls: type) -> dict[str, Any]:
    return {
        each.name: SETTINGS.get(each.name, 0.1)
        for each in dataclasses.fields(cls)
        if each.init and each.default is dataclasses.MISSING
    }


def _calls() -> Iterator[Call]:
    for name, family in installed().families.items():
        if name != "gymnasium":  # an optional library, and slow
            yield Call(f"problems.{name}", family, FAMILIES.get(name, {}))
    bandit = problems.bandit(**BANDIT)
    record = {each.name: getattr(bandit, each.name) for each in dataclasses.fields(bandit)}
    yield Call("problems.Problem", problems.Problem, record)
    yield Call("Problem.with_classes", bandit.with_classes)
    for name in ("plateau", "zero_chain"):
        yield Call(
            f"{name}().instance_for", getattr(problems, name)().instance_for, {"epsilon": 1e-8}
        )
    for cls in {*installed().rewards.values(), *installed().policies.values()}:
        yield Call(f"models.{cls.__name__}", cls)
        yield Call(f"with_classes of {cls.__name__}", _bound_with(bandit, cls))
    for name, solver in installed().solvers.items():
        yield Call(f"solvers.{name}", solver, _solver_settings(solver))
    yield Call("ScheduleConstants", ScheduleConstants, CONSTANTS)
    configured = {"epsilon": 0.1, "constants": ScheduleConstants(**CONSTANTS)}
    yield Call("Schedule.configure", SCHEDULES["total-2"].configure, configured)
    yield Call("get_schedule", get_schedule, {"name": "total-2"})
    yield from _oracle_calls(bandit)
    yield from _run_calls(bandit)
    yield from _analysis_calls()
    yield from _store_calls()


def _then(first: Callable[..., Any], use: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function of the arguments of ``first`` that also uses what it makes."""

    def both(**arguments: Any) -> Any:
        return use(first(**arguments))

    both.__signature__ = inspect.signature(first)  # type: ignore[attr-defined]
    return both


def _exact(problem: Any) -> torch.Tensor:
    oracle = theory_check.ExactOracle(problem)
    return oracle.hypergradient(torch.ones(problem.parameters, dtype=torch.float64))


def _bound_with(problem: Any, cls: type) -> Callable[..., Any]:
    """Return a function of a class's settings that binds it to a problem, or to sequences it reads."""
    sequences = dict(sequence_inputs())["two prompts, three tokens"]

    def bound(**settings: Any) -> Any:
        made = cls(**settings)
        if made.reads_prefixes:
            return made.bind(sequences)
        role = "reward" if isinstance(made, models.RewardClass) else "policy"
        return getattr(problem.with_classes(**{role: made}), f"{role}_model")

    bound.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]
    return bound


def _oracle_calls(bandit: Any) -> Iterator[Call]:
    yield Call("ExactOracle", theory_check.ExactOracle, {"problem": bandit})
    yield Call("SampledOracle", SampledOracle, {"problem": bandit, "seeds": [0]})
    oracle = theory_check.ExactOracle(bandit)
    phi = torch.zeros(4, dtype=torch.float64)
    reward = torch.zeros(1, 2, 2, dtype=torch.float64)
    policy = oracle.optimal_policy(phi[None])
    valid = {
        "phi": phi,
        "sigma": 0.1,
        "reward": reward,
        "log_policy": policy,
        "penalised_log_policy": policy,
    }
    for name, member in inspect.getmembers(theory_check.ExactOracle, inspect.isfunction):
        if not name.startswith("_") and name != "as_function":
            taken = inspect.signature(member).parameters.keys() & valid.keys()
            given = {key: valid[key] for key in taken}
            if name == "penalty_gradient_at":
                given["phi"] = phi[None]
            yield Call(f"ExactOracle.{name}", getattr(oracle, name), given)

    def differentiated(phi: Any) -> Any:
        return oracle.as_function()(phi)

    yield Call("ExactOracle.as_function()", differentiated, {"phi": phi})
    yield Call(
        "check_hypergradient",
        theory_check.check_hypergradient,
        {"problem": bandit, "estimate": oracle.hypergradient, "count": 1},
    )


def _run_calls(bandit: Any) -> Iterator[Call]:
    solver = solvers.PenaltyBilevel(
        sigma=0.1, inner_steps=1, inner_step_size=0.1, step_size=0.1, trajectories=2, pairs=2
    )
    # With a budget, so that 10**9 iterations end.
    basic = {"solver": solver, "iterations": 1, "seeds": [0], "sample_budget": 1000}
    yield Call("run", theory_check.run, {**basic, "problem": bandit})
    quadratic = problems.quadratic(upper=1, lower=2, rank=1)
    yield Call("run on quadratic", theory_check.run, {**basic, "problem": quadratic})
    settings = _solver_settings(solvers.PenaltyBilevel)
    yield Call(
        "run with settings",
        _then(
            solvers.PenaltyBilevel,
            lambda made: theory_check.run(bandit, made, 1, [0], sample_budget=1000),
        ),
        settings,
    )
    for name in ("garnet", "tabular", "chain"):
        family, arguments = installed().families[name], FAMILIES.get(name, {"length": 2})
        yield Call(f"exact on {name}", _then(family, _exact), arguments)
    advised = {"problem": bandit, "epsilon": 0.05, "schedules": ["total-2"], "inner_steps": [2]}
    right = {
        "epsilon": ("0.5",),
        "initial_scale": ("0.5", "1.5", "10**9"),
        "inner_steps": ("tuple",),
        "report": ("function",),
    }
    yield Call("advise", theory_check.advise, advised, right)
    advice = theory_check.advise(**advised)
    checked = {"advice": advice, "problem": bandit}
    yield Call("check_advice", theory_check.check_advice, checked)


def _analysis_calls() -> Iterator[Call]:
    x = np.geomspace(1.0, 100.0, 8)
    noise = 1 + 0.01 * np.random.default_rng(0).standard_normal((3, 8))
    power = {"x": x, "y": noise / x, "resamples": 10}
    yield Call("fit_power_law", analysis.fit_power_law, power)
    floored = {**power, "y": np.full((3, 1), 0.1) + noise / x, "log_factor": False}
    yield Call("fit_power_law to zero", analysis.fit_power_law, {**floored, "limit": "zero"})
    judged = pd.DataFrame({"seed": np.repeat([0, 1, 2], 8), "n": np.tile(x, 3)})
    judged["error"] = (noise / x).ravel()
    stated = {"table": judged, "x": "n", "y": "error", "predicted": -1.0, "rivals": (-0.5,)}
    yield Call("power_law_verdict", analysis.power_law_verdict, stated)
    grouped = {**stated, "by": "problem", "table": judged.assign(problem="mine")}
    yield Call("power_law_verdicts", analysis.power_law_verdicts, grouped)
    steps = np.arange(1.0, 21.0)
    decay = 0.5**steps * np.array([[1.0], [2.0], [1.5]])
    yield Call("fit_geometric", analysis.fit_geometric, {"x": steps, "y": decay})
    yield Call("compare_decay", analysis.compare_decay, {"x": steps, "y": decay})
    yield Call("PowerLawFit.predict", fit_power_law(**power).predict, {"x": x})
    for claim_name, judge in (
        ("inner-linear", analysis.judge_geometric_rate),
        ("penalty-bias", analysis.judge_power_rate),
        ("schedule-2", analysis.judge_schedule_rate),
        ("attained-2", analysis.judge_attained_rate),
    ):
        claim = Catalogue.shipped().claim(claim_name)
        rate = claim.rates[0]
        table = _table(claim.rates)
        yield Call(
            f"analysis.{judge.__name__}", judge, {"rate": rate, "table": table, "problem": "p"}
        )
        yield Call(f"judge of {claim_name}", analysis.judge, {"claim": claim, "table": table})
    audit = Catalogue.shipped().audit("error-bound")
    rows = pd.DataFrame(
        {
            column: np.tile(np.geomspace(1e-3, 1.0, 8), 2)
            for column in ("penalised_distance", "penalised_gradient", *audit.rule.columns)
        }
    ).assign(seed=np.repeat([0, 1], 8), status="ok")
    yield Call(
        "audit_problem", analysis.audit_problem, {"audit": audit, "rows": rows, "problem": "p"}
    )


def _table(rates: Any) -> pd.DataFrame:
    """Return rows that rates can be judged on."""
    columns = {
        name: np.tile(np.geomspace(1e-3, 1.0, 9), 4)
        for rate in rates
        for name in (rate.x, rate.y, getattr(rate, "noise", rate.y), *getattr(rate, "schedule", ()))
    }
    table = pd.DataFrame(columns).assign(problem="p", seed=np.repeat(range(4), 9), status="ok")
    return table.assign(**{key: value for rate in rates for key, value in rate.where.items()})


EXPERIMENT = """\
measurement = "solver-run"
description = "d"
seeds = 1
[settings]
iterations = 1
[settings.solver]
name = "penalty-bilevel"
sigma = 0.1
inner_steps = 1
inner_step_size = 0.01
step_size = 0.1
trajectories = 1
pairs = 1
[problems.quartic]
family = "quartic"
"""


def _store_calls() -> Iterator[Call]:
    file = Path("small.toml")
    file.write_text(EXPERIMENT, encoding="utf-8")
    experiment = load_experiment(file)
    (cell,) = experiment.full
    store = Store("store")
    execute([cell], store)
    frame = load_table(experiment, store).drop(columns="problem")
    yield Call("Store", _prepared_store, {"path": "store"})
    yield Call("Store.read", store.read, {"key": cell.key})
    yield Call("Store.has", store.has, {"key": cell.key})
    yield Call("Store.read_error", store.read_error, {"key": cell.key})
    yield Call("Store.result_path", store.result_path, {"key": cell.key})
    yield Call("Store.error_path", store.error_path, {"key": cell.key})
    yield Call("Store.write", store.write, {"cell": cell, "frame": frame, "seconds": 0.1})
    failed = {"cell": cell, "message": "m", "traceback": "t"}
    failures = Store("failures")
    failures.prepare()
    yield Call("Store.write_error", failures.write_error, failed)
    yield Call("execute", execute, {"cells": [cell], "store": store})
    yield Call("load_experiment", load_experiment, {"path": file})
    yield Call("load_table", load_table, {"experiment": file, "store": store})
    yield Call("Experiment.cells", experiment.cells)
    yield Call("RunOptions", RunOptions)
    yield Call("sweep", sweep, {"experiments": [file], "options": RunOptions("store")})
    # That of the working folder, which has no experiments, so that nothing is run.
    judged = {"claim_name": "control-quartic", "store": "store", "quick": True}
    yield Call("verify", theory_check.verify, judged)


LITERALS = {
    "text": '"text"',
    "escapes": '"a\\u001b[2J\\nb"',
    "negative": "-1",
    "zero": "0",
    "half": "0.5",
    "nan": "nan",
    "inf": "inf",
    "1e308": "1e308",
    "1e-320": "1e-320",
    "2**62": str(2**62),
    "2**64": str(2**64),
    "400 digits": "9" * 400,
    "5000 digits": "9" * 5000,
    "true": "true",
    "date": "2020-01-01",
    "time": "12:00:00",
    "empty list": "[]",
    "list": "[1, 2]",
    "mixed list": '[1, "a", {}]',
    "deep list": "[" * 1000 + "]" * 1000,
    "table": "{ a = 1 }",
    "named table": '{ name = "penalty-bilevel" }',
    "empty table": "{}",
    "nothing": "",
}
"""Values as they stand in a TOML file."""


def _file_with(line: int, literal: str) -> Any:
    """Read the experiment file with another value in one line."""
    lines = EXPERIMENT.splitlines()
    lines[line] = f"{lines[line].partition(' =')[0]} = {literal}"
    file = Path("changed.toml")
    file.write_text("\n".join(lines), encoding="utf-8")
    return [cell.key for cell in load_experiment(file, CATALOGUE).full]


def _prepared_store(path: Any) -> None:
    Store(path).prepare()


def _late(number: int, frame: object) -> None:
    raise OutOfTime


def outcome(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Return "" for a refusal of the package's own or a sensible value, else what is wrong."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        result = function(**arguments)
        sensible = _sensible(result)
    except SampleBudgetExhausted:
        return ""
    except TheoryCheckError as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        message = str(error)
        return "" if len(message) < 5000 else f"a message of {len(message)} characters"
    except OutOfTime:
        return f"not back after {SECONDS:g} s"
    except Exception as error:  # MemoryError as well
        where = _place(error)
        return f"{type(error).__name__}: {' '.join(str(error).split())[:100]} ({where})"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "" if sensible else f"an answer that is no number: {str(result)[:100]!r}"


def _place(error: BaseException) -> str:
    """Return the last line of the package that the error came through."""
    found, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "theory_check" in file:
            found = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _sensible(result: Any) -> bool:
    """Return whether no number of a result is NaN; tables of runs say themselves what diverged."""
    if isinstance(result, float):
        return not math.isnan(result)
    if isinstance(result, torch.Tensor):
        return not bool(torch.isnan(result).any())
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        values = vars(result).values()
        return all(_sensible(value) for value in values if isinstance(value, float | torch.Tensor))
    return True


def main() -> None:
    """Make every call, and print how many there were and which went wrong."""
    signal.signal(signal.SIGALRM, _late)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    faults: list[tuple[str, str, str, str]] = []
    made, number, names = 0, {}, sys.argv[1:]
    verbose = bool(names)
    for call in _calls():
        if names and not any(name in call.name for name in names):
            continue
        before = made
        if verbose:
            print(call.name, file=sys.stderr, flush=True)
        base = call.function(**call.arguments)
        if not _sensible(base):
            faults.append((call.name, "", "valid", "no sensible value"))
        for parameter in call.parameters():
            right = call.right.get(parameter, ())
            for title, value in ((k, v) for k, v in MALFORMED.items() if k not in right):
                made += 1
                try:
                    arguments = {**call.arguments, parameter: value()}
                    wrong = outcome(call.function, arguments)
                except OutOfTime:  # while an earlier error was being told
                    wrong = f"not back after {SECONDS:g} s"
                if wrong:
                    faults.append((call.name, parameter, title, wrong))
        number[call.name] = made - before
    if not names:
        for line in [n for n, text in enumerate(EXPERIMENT.splitlines()) if "=" in text]:
            for title, literal in LITERALS.items():
                made += 1
                if wrong := outcome(_file_with, {"line": line, "literal": literal}):
                    faults.append(("experiment file", EXPERIMENT.splitlines()[line], title, wrong))
    json.dump({"calls": made, "faults": faults, "number": number}, sys.stdout)


if __name__ == "__main__":
    # Warnings of overflow or of conversions are faults as well.
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
        os.chdir("/")
