"""A measurement and a problem that do not go together are refused when a file names both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from helpers.methods import METHODS, changed, configured

from theory_check.catalogue import Catalogue, installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Need
from theory_check.measurements.penalty import PenaltyBias
from theory_check.oracles.solutions.curvature import dominant_curvature
from theory_check.problems import bandit, quadratic, zero_chain
from theory_check.runs import load_experiment
from theory_check.solvers.method import Method
from theory_check.testing.contract import SCALES

SOLVER = """
[settings.solver]
name = "penalty-bilevel"
sigma = 0.3
inner_steps = 1
inner_step_size = 0.1
step_size = 0.1
trajectories = 20
pairs = 20
"""
INNER = "inner_steps = 1\ninner_step_size = 0.1\n"
RUNS = f"{INNER}step_size = 0.1\ntrajectories = 20\niterations = 2\n"
PREFACTORS = (
    "sigma = 0.5\niterations = 1.0\ninner_steps = 0.5\ntrajectories = 5.0\npairs = 5.0\n"
    "step_size = 0.2\ninner_step_size = 0.2\n"
)
SETTINGS: Mapping[str, str] = {
    "advice": 'epsilon = 0.3\nschedules = ["total-2"]\ninner_steps = [1]',
    "attained": 'method = "penalty"\ntargets = [0.9]\nruns = 1\nevaluations = 1',
    "audits": f"iterations = 1\n{SOLVER}",
    "bandit-curve": "inner_steps = 1",
    "bound-terms": "sigmas = [0.3]\niterations = [2]\ntrajectories = [20]\ninner_steps = [1]\n"
    "inner_step_size = 0.1\nstep_size = 0.1",
    "comparison": 'method = "penalty"\ntargets = [0.9]\ntuning_target = 0.9\ntuning_runs = 1\n'
    "iterations = 1\nevaluations = 1",
    "constants": "directions = 1\nshells = 1\nrounds = 1\nnearby = 1",
    "global-optimality": f"iterations = 1\nwidths = [2]\n{SOLVER}",
    "gradient-noise": "sigmas = [0.1]\ntrajectories = [20]\nfixed_sigma = 0.1\n"
    "fixed_trajectories = 20\ndraws = 1",
    "noise-along-runs": f"sigmas = [0.1]\n{RUNS}",
    "inner-curve": "inner_steps = 1",
    "inner-error-curve": "inner_steps = [1]\nsigmas = [0.1]",
    "inner-error": f"sigmas = [0.1]\nfixed_sigma = 0.1\nfixed_steps = 1\n{INNER}",
    "inner-linear": INNER,
    "inner-sublinear": "inner_steps = 1",
    "lower-bound": 'method = "reference"\nepsilons = [1.1e-7]\ntuning_seeds = 1\niterations = 2\n'
    "trials = 1",
    "maximum-likelihood-gap": "pairs = [1000]",
    "neural-bias": "widths = [1]\nrestarts = 1\niterations = 1",
    "non-uniform-pl": "scales = [1.0]\nnear_scales = [0.1]\npolicies = 1\nrun_steps = 1\n"
    "step_size = 0.1\nsearches = 1\nsearch_steps = 1",
    "outer-curve": f"iterations = 1\n{SOLVER}",
    "overoptimisation": 'methods = ["penalty-shared"]\nrival = "penalty-shared"\niterations = 1\n'
    "kl_weights = [1.0]",
    "penalty-bias": "sigmas = [0.1]",
    "penalty-smoothness": "sigmas = [0.1]\npoints = 1",
    "sail-pl": "pulls = [0.1]\nradii = [1.0]\npolicies = 1\nstarts = 1",
    "predicted-domination": f"iterations = 1\nhard_steps = 1\n{SOLVER}",
    "sample-complexity": f'epsilon = 0.3\nschedule = "total-2"\n[settings.constants]\n{PREFACTORS}',
    "sample-complexity of a method": 'epsilon = 0.005\nmethod = "hpgd"\n[settings.setting]\n'
    "step_size = 0.3\ninner_steps = 1.0\ninner_step_size = 0.5\nbatch = 8.0",
    "solver-run": f"iterations = 1\n{SOLVER}",
    "value-gap": "scales = [1.0]\npolicies = 1",
    "warm-start-curve": "sigma = 0.1\niterations = 1",
    "weak-gradient-domination": f"iterations = 1\n{SOLVER}",
}
"""The least work of every measurement; those that depend on their settings stand here once for each."""

BANDIT = 'family = "bandit"\ncontexts = 2\nactions = 2\nfeatures = 2\n'
GARNET = 'family = "garnet"\nstates = 2\nactions = 2\nfeatures = 2\n'
EXCESS = 'objective = "excess_risk"\n'
NETWORKS = 'reward = { name = "mlp", width = 2 }\npolicy = { name = "mlp", width = 2 }\n'
MASKED = (
    'family = "tabular"\ninitial = [0.5, 0.5]\nhorizon = 2\ntrue_reward = [[0.2, 0.9], [0.4, 0.0]]\n'
    "transitions = [[[0.5, 0.5], [0.2, 0.8]], [[0.7, 0.3], [0.0, 0.0]]]\n"
    "action_mask = [[1, 1], [1, 0]]\n"
)
PREFERENCES: Mapping[str, str] = {
    "bandit": f"{BANDIT}{EXCESS}",
    "cross-entropy": BANDIT,
    "episodic": f"{GARNET}{EXCESS}horizon = 2\n",
    "discounted": f"{GARNET}{EXCESS}discount = 0.5\n",
    "networks": f"{BANDIT}{EXCESS}{NETWORKS}",
    "discounted-networks": f"{GARNET}{EXCESS}discount = 0.5\n{NETWORKS}",
    "log-linear": f'{BANDIT}{EXCESS}policy = {{ name = "log-linear" }}\n',
    "network-reward": f'{BANDIT}{EXCESS}reward = {{ name = "mlp", width = 2 }}\n',
    "masked": f"{MASKED}{EXCESS}",
    "other-labels": f'{BANDIT}{EXCESS}preferences = "thurstone"\n',
    "texts": f'family = "sequences"\nlength = 2\n{EXCESS}',
}
CLOSED: Mapping[str, str] = {
    "quadratic": 'family = "quadratic"\n',
    "noiseless": 'family = "quadratic"\nnoise = 0.0\n',
    "quartic": 'family = "quartic"\n',
    "plateau": 'family = "plateau"\n',
    "valley": 'family = "valley"\n',
    "zero-chain": 'family = "zero_chain"\nkappa = 2.0\nepsilon = 1.1e-7\ngap = 1e-3\nnoise = 6.8e-3\n',
}
PROBLEMS = {**PREFERENCES, **CLOSED}
"""Every kind of problem, by what tells it apart."""

DEAR = ("bandit", "episodic", "log-linear", "other-labels", "masked", "texts")
TOO_DEAR = {("advice", problem) for problem in DEAR}
"""Each takes 15 s or more, and does what "cross-entropy" does."""

ALONE = {
    "constants": PREFERENCES.keys()
    - {"networks", "discounted-networks", "log-linear", "network-reward"},
    "attained": {"quadratic", "plateau", "valley", *PREFERENCES},
    "lower-bound": {"zero-chain"},
    "weak-gradient-domination": PREFERENCES.keys() - {"cross-entropy", "other-labels"},
    "neural-bias": PREFERENCES.keys() - {"other-labels"},
    "global-optimality": PREFERENCES.keys() - {"other-labels"},
    # One state, which none of these has; its own tests run it.
    "bandit-curve": set(),
    "inner-curve": PREFERENCES.keys() - {"episodic", "masked", "texts"},
    "inner-sublinear": PREFERENCES.keys() - {"texts"},
    "inner-error-curve": {"quadratic", "noiseless"},
    "warm-start-curve": {"quadratic", "noiseless"},
    "outer-curve": {"quadratic", "noiseless", *PREFERENCES},
    "value-gap": {
        "bandit",
        "cross-entropy",
        "networks",
        "log-linear",
        "network-reward",
        "other-labels",
    },
    "maximum-likelihood-gap": {
        "bandit",
        "cross-entropy",
        "networks",
        "log-linear",
        "network-reward",
    },
    "predicted-domination": PREFERENCES.keys()
    - {"networks", "discounted-networks", "log-linear", "masked", "texts"},
}
ALONE["comparison"] = ALONE["sample-complexity of a method"] = ALONE["attained"]
ANYWHERE = {"audits", "bound-terms", "sample-complexity", "solver-run"}


class BegunError(Exception):
    """A measurement has got somewhere."""


def begun(done: int, total: int) -> None:
    raise BegunError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "measured.toml"


def load(
    path: Path, kind: str, settings: str, problem: str, catalogue: Catalogue | None = None
) -> object:
    """Return the only cell of a file, or the refusal of a pair that does not fit."""
    path.write_text(
        f'measurement = "{kind.partition(" ")[0]}"\ndescription = "d"\nseeds = 2\n'
        f"[settings]\n{settings}\n[problems.{problem}]\n{PROBLEMS[problem]}"
    )
    try:
        return load_experiment(path, catalogue).full[0]
    except InvalidArgumentError as error:
        if error.argument != f"{path}: problems.{problem}":
            raise
        return error


def misfit(cell: object) -> str:
    """Return what a cell that was loaded raises of a problem that it does not fit; ``""`` for nothing."""
    try:
        problem = cell.problem.build()  # type: ignore[attr-defined]
        cell.measurement.measure(problem, list(cell.replicates), begun)  # type: ignore[attr-defined]
    except BegunError:
        return ""
    except InvalidArgumentError as error:
        # An accuracy that the starts have already says nothing of the kind of the problem.
        return "" if error.argument == "epsilon" else str(error)
    except Exception as error:
        return repr(error)
    return ""


def test_every_measurement_and_every_kind_of_class_is_tried() -> None:
    assert {kind.partition(" ")[0] for kind in SETTINGS} == set(installed().measurements)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_measurement_is_refused_on_loading_or_fits(kind: str, path: Path) -> None:
    fitting = set()
    for problem in PROBLEMS:
        found = load(path, kind, SETTINGS[kind], problem)
        if isinstance(found, InvalidArgumentError):
            assert f"measurement '{kind.partition(' ')[0]}', which needs" in found.received
            continue
        fitting.add(problem)
        if (kind, problem) not in TOO_DEAR:
            assert misfit(found) == "", problem
    wanted = PROBLEMS.keys() if kind in ANYWHERE else ALONE.get(kind, PREFERENCES.keys())
    assert fitting == set(wanted)


@pytest.mark.slow
@METHODS
def test_a_solver_is_refused_on_loading_or_fits(method: Method, path: Path) -> None:
    solver = changed(configured(method, SCALES), inner_steps=1, solve_steps=1)
    settings = "".join(
        f"{field.name} = {value!r}\n"
        for field in dataclasses.fields(solver)
        if isinstance(value := getattr(solver, field.name), int | float | str)
    )
    text = f'iterations = 1\n[settings.solver]\nname = "{solver.name}"\n{settings}'
    refused = set()
    for problem in PROBLEMS:
        found = load(path, "solver-run", text, problem)
        if isinstance(found, InvalidArgumentError):
            assert f"solver '{solver.name}', which needs" in found.received
            refused.add(problem)
        else:
            assert misfit(found) == "", problem
    networks = {"networks", "discounted-networks", "log-linear"}
    rewards = {"networks", "discounted-networks", "network-reward"}
    wanted: dict[str, set[str]] = {
        "exact": networks,
        "m-sobirl": networks,
        "offline": set(CLOSED),
        "two-stage": set(CLOSED),
        "greedy-sampling": set(CLOSED),
        "dpo-rounds": {*CLOSED, *rewards},
        "online-dpo": rewards,
        "sail": rewards,
        "sail-revkl": rewards,
    }
    assert refused == wanted.get(method.id, set())


@dataclass(frozen=True)
class Undeclared(PenaltyBias):
    """A measurement that does not say what it needs."""

    kind: ClassVar[str] = "undeclared"
    needs: ClassVar[tuple[Need, ...]] = ()

    def measure(self, *arguments: object) -> pd.DataFrame:
        """Return what the other one does."""
        return super().measure(*arguments)  # type: ignore[arg-type]


def test_a_need_that_is_not_declared_is_caught(path: Path) -> None:
    shipped = installed()
    planted = Catalogue(shipped.roots, {"measurements": {Undeclared.kind: Undeclared}})
    cell = load(path, Undeclared.kind, SETTINGS["penalty-bias"], "quadratic", planted)
    assert "QuadraticProblem" in misfit(cell)


@pytest.mark.parametrize(
    ("kind", "problem", "message"),
    [
        (
            "penalty-bias",
            "quadratic",
            "measurement 'penalty-bias', which needs a preference-learning problem, with problem "
            "'quadratic', a QuadraticProblem; name a problem with states and rewards, such as family "
            "'bandit', or use 'solver-run' on this one",
        ),
        (
            "weak-gradient-domination",
            "cross-entropy",
            "which needs objective 'excess_risk', whose infimum is 0, with problem 'cross-entropy', "
            "whose objective is 'cross_entropy'; set the objective",
        ),
        (
            "global-optimality",
            "other-labels",
            "which needs labels that are Bradley-Terry at temperature 1, as its statement assumes, with "
            "problem 'other-labels', whose labels are Thurstone(deviation=1.0, random_share=0.0); leave",
        ),
        (
            "lower-bound",
            "plateau",
            "with problem 'plateau', a PlateauProblem; name a problem of family 'zero_chain'",
        ),
        (
            "comparison",
            "noiseless",
            "with problem 'noiseless', a QuadraticProblem whose samples are exact; set the noise",
        ),
        (
            "attained",
            "zero-chain",
            "with problem 'zero-chain', a ZeroChainProblem, which hides it; name a problem",
        ),
    ],
)
def test_a_refusal_says_who_needs_what_and_what_to_do(
    kind: str, problem: str, message: str, path: Path
) -> None:
    found = load(path, kind, SETTINGS[kind], problem)
    assert isinstance(found, InvalidArgumentError)
    assert message in str(found)


def test_halves_need_two_seeds(path: Path) -> None:
    settings = SETTINGS["weak-gradient-domination"]
    load(path, "weak-gradient-domination", settings, "bandit")
    text = path.read_text()
    for given, wanted in (
        (text.replace("seeds = 2", "seeds = 1"), "seeds"),
        (f"{text}instances = 2\nstarts = 1\n", r"problems\.bandit\.starts"),
    ):
        path.write_text(given)
        with pytest.raises(
            InvalidArgumentError,
            match=f"toml: {wanted}: received 1, with measurement 'weak-gradient-domination'; "
            "pass at least 2",
        ):
            load_experiment(path)


def test_what_a_measurement_asks_of_a_problem_it_asks_when_called() -> None:
    domination = installed().measurements["weak-gradient-domination"]
    solver = configured(installed().methods["penalty"], SCALES)
    with pytest.raises(InvalidArgumentError, match=r"^problem: .* a QuadraticProblem; name"):
        domination(solver, 1).measure(quadratic(), [0, 1], begun)
    bound = installed().measurements["lower-bound"](installed().methods["penalty"], (1e-7,))
    with pytest.raises(InvalidArgumentError, match=r"^problem: .* family 'zero_chain'"):
        bound.measure(bandit(contexts=2, actions=2, features=2), [0], begun)


def test_what_a_problem_says_of_its_start_is_so() -> None:
    chain = zero_chain(kappa=2.0, epsilon=1.1e-7, gap=1e-3, noise=6.8e-3)
    start = chain.start[None].repeat(3, 1)
    assert chain.flat_at_start
    assert float(dominant_curvature(chain.hypergradient, start).max()) == 0.0
