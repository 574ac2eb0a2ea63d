"""Every contract can fail: a sound component with one planted defect at a time."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest
import torch

from theory_check.bilevel import DirectOracle, HypergradientOracle, InnerPath, LowerOracle
from theory_check.catalogue import Catalogue
from theory_check.claims.rates import GeometricRate
from theory_check.errors import SampleBudgetExhausted
from theory_check.models import LinearReward, Tabular, TabularSoftmax
from theory_check.models.base import ModelInputs, RewardClass
from theory_check.problems import quadratic
from theory_check.problems.quadratic import QuadraticProblem
from theory_check.solvers.hpgd import HPGD
from theory_check.solvers.hpgd import METHOD as SOUND
from theory_check.solvers.method import Plan
from theory_check.solvers.states import SingleLowerState
from theory_check.testing import (
    Check,
    check_claim,
    check_class,
    check_problem,
    check_solver,
    failures,
)
from theory_check.testing.claims import (
    CLAIM_CONTRACTS,
    its_rates_read_columns_that_exist,
    planted_table,
    strengthened,
)
from theory_check.testing.components import CLASS_CONTRACTS, CLOSED_FORM_CONTRACTS
from theory_check.testing.components import PROBLEM_CONTRACTS as OF_PROBLEMS
from theory_check.testing.solvers import METHOD_CONTRACTS, PROBLEM_CONTRACTS

SETTINGS: dict[str, Any] = {
    "inner_steps": 2,
    "inner_step_size": 0.2,
    "step_size": 0.1,
    "trajectories": 20,
    "pairs": 20,
}
QUADRATIC = {"closed form": quadratic()}


def broken(checks: tuple[Check, ...]) -> dict[str, str]:
    """Return the names of the contracts that are broken, without the problem, and what is said."""
    return {check.name.split(",")[0]: check.detail for check in failures(checks)}


def of_method(**changes: Any) -> dict[str, str]:
    return broken(check_solver(replace(SOUND, **changes)))


def test_the_components_that_defects_are_planted_in_are_sound() -> None:
    assert broken(check_solver(SOUND)) == {}
    assert broken(check_solver(HPGD(**SETTINGS), QUADRATIC)) == {}
    assert broken(check_problem(Drawn(), {"seed": 3})) == {}
    for cls in (Sound, Tabular):
        assert broken(check_class(cls)) == {}


class Leaky(HPGD):
    """The estimate of a replicate is centred by those of the others."""

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        found = super().hypergradient_estimate(oracle, state)
        return found - 0.01 * found.mean(0)


class Spoiling(HPGD):
    """A replicate that is lost stops the others."""

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        found = super().hypergradient_estimate(oracle, state)
        return found if bool(torch.isfinite(found).all()) else 0 * found


class Elsewhere(HPGD):
    """Randomness that the oracle does not draw, and nobody counts."""

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        return super().hypergradient_estimate(oracle, state) + torch.randn_like(state.upper)


class Idle(HPGD):
    """It draws nothing."""

    def step(self, oracle: Any, state: Any) -> Any:
        return replace(state, upper=state.next_upper, next_upper=0.9 * state.next_upper)


class Copying(HPGD):
    """It draws from a copy of the oracle, which counts apart."""

    def step(self, oracle: Any, state: Any) -> Any:
        return super().step(copy.copy(oracle), state)


class Peeking(HPGD):
    """It reads the truth."""

    def hypergradient_estimate(self, oracle: HypergradientOracle, state: Any) -> Any:
        super().hypergradient_estimate(oracle, state)
        return oracle.problem.hypergradient(state.upper)  # type: ignore[attr-defined]


class Undeclared(HPGD):
    """It asks for more than it declares: its estimate is that of a solver for another kind of oracle."""

    def hypergradient_estimate(self, oracle: DirectOracle, state: Any) -> Any:
        return super().hypergradient_estimate(oracle, state)


class Untyped(HPGD):
    """It says nothing of its oracle."""

    def step(self, oracle: Any, state: Any) -> Any:
        return super().step(oracle, state)

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        return super().hypergradient_estimate(oracle, state)


class Elated(HPGD):
    """It takes another step where it is watched."""

    def step(self, oracle: LowerOracle, state: Any, path: InnerPath | None = None) -> Any:
        found = super().step(oracle, state, path)
        return found if path is None else replace(found, next_upper=found.upper)


class Silent(HPGD):
    """It takes a path and tells nothing."""

    def step(self, oracle: LowerOracle, state: Any, path: InnerPath | None = None) -> Any:
        return super().step(oracle, state)


class OracleOfDreams(LowerOracle, Protocol):
    """What nobody offers."""

    def optimum(self) -> Any: ...


class Dreaming(HPGD):
    """It asks for the solution."""

    def step(self, oracle: OracleOfDreams, state: Any) -> Any:
        return oracle.optimum()


class Insatiable(HPGD):
    """It goes on when its budget is spent."""

    def step(self, oracle: Any, state: Any) -> Any:
        try:
            return super().step(oracle, state)
        except SampleBudgetExhausted:
            return replace(state, upper=state.next_upper)


class Late(HPGD):
    """It forms its estimate where the iteration before did."""

    def step(self, oracle: Any, state: Any) -> Any:
        return replace(super().step(oracle, state), upper=state.upper)


class Divided(HPGD):
    """Not a number from the first step on."""

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        return super().hypergradient_estimate(oracle, state) / 0.0


@dataclass(frozen=True, eq=False)
class Remembered(SingleLowerState):
    """A state with a tensor that no annotation describes."""

    beside: Any = None


class Transposed(HPGD):
    """Replicates in the second dimension."""

    def init(self, upper: Any, lower: Any) -> Remembered:
        return replace(Remembered.start(upper, lower), beside=lower.T)


class Damped(HPGD):
    """The step takes another estimate than the one that the recorder asks for."""

    def step(self, oracle: Any, state: Any) -> Any:
        found = super().step(oracle, state)
        return replace(found, estimate=0.9 * found.estimate)


class Backwards(HPGD):
    """The response has the wrong sign, and it says that it estimates the hypergradient."""

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Any:
        found = oracle.total_gradient(state.upper, state.lower, 20, 20)
        return found.direct - found.response

    def surrogate_gradient(self, truth: Any, state: Any) -> Any:
        return truth.hypergradient(state.upper)


class Pretending(HPGD):
    """It samples, and says that it is exact; of what is exact it asks nothing."""

    information: ClassVar[Any] = "exact"

    def step(self, oracle: Any, state: Any) -> Any:
        return replace(state, upper=state.next_upper, next_upper=0.9 * state.next_upper)


@pytest.mark.parametrize(
    ("solver", "contract", "said"),
    [
        (Leaky, "replicates do not depend on their company", r"seed 1 alone .* reduce over no"),
        (Spoiling, "a lost replicate leaves the others alone", "seed 0 is not a number.*keep"),
        (Elsewhere, "seeds decide everything", "two runs of the same seeds.*through the oracle"),
        (Idle, "seeds decide everything", "two seeds give the same numbers"),
        (Idle, "what it uses is counted", "after 4 iterations no sample is counted"),
        (Pretending, "what it uses is counted", "it asks for no exact quantity"),
        (Copying, "it asks for nothing beside what it declares", "a copy"),
        (Peeking, "it asks for nothing beside what it declares", "asks the oracle for problem"),
        (
            Undeclared,
            "it asks for nothing beside what it declares",
            "asks the oracle for total_gradient, and declares LowerOracle, DirectOracle; give",
        ),
        (
            Untyped,
            "it asks for nothing beside what it declares",
            "asks the oracle for lower_gradient, and declares nothing; give the oracle of step a type",
        ),
        (Elated, "telling its inner path changes nothing", "next_upper.* changes where its path"),
        (Silent, "telling its inner path changes nothing", "append .y, y'. before every step"),
        (Insatiable, "its budget is kept", r"end as \['ok'\]; do not catch SampleBudget"),
        (Late, "its states are finite and have the shapes", "upper=state.next_upper"),
        (Divided, "its states are finite and have the shapes", "not finite in iteration 1"),
        (Transposed, "its states are finite and have the shapes", r"beside has shape \(6, 2\)"),
        (Damped, "its estimate is that of the state it returns", "both at the same iterates"),
        (
            Backwards,
            "its estimate tends to the gradient that it declares",
            "difference quotients of Phi; correct hypergradient_estimate",
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_defect_of_a_solver(solver: type[HPGD], contract: str, said: str) -> None:
    found = broken(check_solver(solver(**SETTINGS), QUADRATIC))
    assert contract in found
    assert re.search(said, found[contract]), found[contract]


def test_a_solver_that_is_no_record_of_settings() -> None:
    @dataclass
    class Mutable:
        name: ClassVar[str] = "mutable"
        information: ClassVar[str] = "samples"
        penalty: None = None

        def init(self, upper: Any, lower: Any) -> None: ...
        def step(self, oracle: Any, state: Any) -> None: ...
        def hypergradient_estimate(self, oracle: Any, state: Any) -> None: ...

    (check,) = check_solver(Mutable())
    assert check.detail.endswith("decorate the class with @dataclass(frozen=True)")
    (check,) = check_solver(object())
    assert check.detail.startswith("it has no name, information")


class OneKind(HPGD):
    """For closed forms alone."""

    checked_on: ClassVar[tuple[str, ...]] = ("closed form",)


def test_a_solver_is_checked_on_the_problems_that_it_is_for() -> None:
    names = [check.name for check in check_solver(OneKind(**SETTINGS))]
    assert any(name.endswith(", closed form") for name in names)
    assert not any(name.endswith(", tabular") for name in names)
    # A quadratic problem has no preferences to be kept.
    names = [check.name for check in check_solver(Catalogue.shipped().methods["offline"])]
    assert any(name.endswith(", tabular") for name in names)
    assert not any(name.endswith(", closed form") for name in names)
    # What no problem has is asked for in vain, and not left unchecked.
    assert (
        "theory_check.bilevel"
        in broken(check_solver(Dreaming(**SETTINGS)))["it asks for nothing beside what it declares"]
    )


def _shrinking(epsilon: float, constants: Any, scales: Any) -> Plan:
    sound = SOUND.plan(epsilon, constants, scales)
    return Plan(round(100 * epsilon), sound.solver)


def _deaf(epsilon: float, constants: Any, scales: Any) -> Plan:
    return SOUND.plan(epsilon, SOUND.grid[0], scales)


class Ascending(HPGD):
    """A step up."""

    def step(self, oracle: Any, state: Any) -> Any:
        found = super().step(oracle, state)
        return replace(found, next_upper=2 * found.upper - found.next_upper)


def _ascending(epsilon: float, constants: Any, scales: Any) -> Plan:
    plan = SOUND.plan(epsilon, constants, scales)
    return Plan(plan.iterations, Ascending(**dataclasses.asdict(plan.solver)))


def test_a_defect_of_a_method() -> None:
    assert "let iterations grow" in of_method(plan=_shrinking)["more accuracy takes more"]
    assert "use every constant" in of_method(plan=_deaf)["every setting of its grid is a plan"]
    found = of_method(plan=_ascending, solver=Ascending)
    assert "is the sign of the step right" in found["it descends on a quadratic"]
    found = of_method(plan=lambda *given: None)
    assert set(found) == {contract.__name__.replace("_", " ") for contract in METHOD_CONTRACTS}


class Drawn:
    """The family of quadratic problems, with some of its formulae replaced."""

    __name__ = "drawn"

    def __init__(self, **wrong: Any) -> None:
        self.wrong = wrong

    def __call__(self, *, seed: int = 0) -> QuadraticProblem:
        kind = type("Planted", (QuadraticProblem,), dict(self.wrong)) if self.wrong else None
        sound = quadratic(seed=seed)
        if kind is None:
            return sound
        # Found by name where it is loaded, as the classes of modules are.
        kind.__module__, kind.__qualname__ = __name__, "Planted"
        globals()["Planted"] = kind
        return kind(**{each.name: getattr(sound, each.name) for each in dataclasses.fields(sound)})


SOUND_PROBLEM = QuadraticProblem


def _scaled(name: str, factor: float = 1.001) -> dict[str, Callable[..., Any]]:
    def wrong(self: Any, *given: Any) -> Any:
        found = getattr(SOUND_PROBLEM, name)(self, *given)
        return (
            tuple(factor * part for part in found) if isinstance(found, tuple) else factor * found
        )

    return {name: wrong}


def _shifted_gap(self: Any, *given: Any) -> Any:
    return SOUND_PROBLEM.lower_gap(self, *given) + 1.0


@pytest.mark.parametrize(
    ("wrong", "contract"),
    [
        (_scaled("hypergradient"), "its hypergradient is the derivative of its hyperobjective"),
        (_scaled("hypergradient"), "its hypergradient follows the chain rule"),
        (_scaled("lower_gradients"), "its lower gradient is the derivative of its gap"),
        (_scaled("penalised_minimiser"), "its minimisers are stationary"),
        ({"lower_gap": _shifted_gap}, "its minimisers are stationary"),
        (_scaled("pull_back_through_minimiser"), "its pullbacks are adjoint to its maps"),
        (_scaled("implied_upper"), "its pullbacks are adjoint to its maps"),
        (_scaled("lower_curvature"), "its curvature is the derivative of its gradients"),
        ({"optimal_hyperobjective": 100.0}, "no point is below its declared optimum"),
        ({"optimal_hyperobjective": -1.0}, "no point is below its declared optimum"),
        (
            {"hyperobjective": lambda self, x: SOUND_PROBLEM.hyperobjective(self, x) / 0.0},
            "its numbers are finite and in double precision",
        ),
    ],
)
def test_a_defect_of_a_problem(wrong: dict[str, Any], contract: str) -> None:
    found = broken(check_problem(Drawn(**wrong), {"seed": 3}))
    assert contract in found
    assert found[contract]


def test_problems_that_are_not_what_their_arguments_say() -> None:
    calls = iter(range(100))
    found = broken(check_problem(lambda: quadratic(seed=next(calls)), name="restless"))
    assert "a generator of the seed alone" in found["the same arguments give the same problem"]

    def deaf(*, seed: int = 0) -> QuadraticProblem:
        return quadratic()

    found = broken(check_problem(deaf))
    assert "seeds 1 and 2 give one problem" in found["the same arguments give the same problem"]

    def anonymous() -> Any:
        class Local(QuadraticProblem):
            pass

        sound = quadratic()
        return Local(**{each.name: getattr(sound, each.name) for each in dataclasses.fields(sound)})

    assert set(broken(check_problem(anonymous))) == {"copies are the same"}
    found = broken(check_problem(lambda: "no problem", name="text"))
    assert "pass a problem" in found["it is a problem"]


def test_arguments_come_from_the_docstring() -> None:
    def documented(*, seed: int) -> QuadraticProblem:
        """Draw a problem.

        >>> problem = documented(seed=4)
        """
        return quadratic(seed=seed)

    assert broken(check_problem(documented)) == {}
    assert set(broken(check_problem(documented, {}))) == {"it is a problem"}


@dataclass(frozen=True)
class Sound(RewardClass):
    """Linear rewards, to be planted in."""

    name: ClassVar[str] = "sound"
    wrong: ClassVar[type[LinearReward]] = LinearReward

    def bind(self, inputs: ModelInputs) -> Any:
        return type(self).wrong(inputs.features)


class Overscaled(LinearReward):
    def pullback(self, phi: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
        return (1 + 1e-5) * super().pullback(phi, cotangent)


class Sociable(LinearReward):
    def table(self, phi: torch.Tensor) -> torch.Tensor:
        return super().table(phi - 0.1 * phi.mean(0))


class Forgetless(LinearReward):
    def table(self, phi: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "kept") or self.kept.shape[0] != phi.shape[0]:
            object.__setattr__(self, "kept", super().table(phi))
        return self.kept.clone()


class Restless(LinearReward):
    def initial(self, noise: torch.Tensor) -> torch.Tensor:
        return noise + torch.randn_like(noise)


class Boundless(LinearReward):
    def table(self, phi: torch.Tensor) -> torch.Tensor:
        return super().table(phi) / 0.0


@pytest.mark.parametrize(
    ("model", "contract"),
    [
        (Overscaled, "its pullback is adjoint to its table"),
        (Sociable, "a replicate alone is the same in a batch"),
        (Forgetless, "nothing is remembered of other parameters"),
        (Restless, "its start is a function of the noise"),
        (Boundless, "its tables have the shape and finite numbers"),
    ],
)
def test_a_defect_of_a_class(model: type[LinearReward], contract: str) -> None:
    planted = type("Planted", (Sound,), {"wrong": model, "__module__": __name__})
    globals()["Planted"] = planted
    assert contract in broken(check_class(planted))


@dataclass(frozen=True)
class Reckless(Tabular):
    """Takes actions that do not exist."""

    name: ClassVar[str] = "reckless"

    def bind(self, inputs: ModelInputs) -> TabularSoftmax:
        """Return logits that start at the reference policy where it is positive."""
        return TabularSoftmax(inputs.log_reference.clamp_min(-5.0))


def test_a_policy_that_takes_what_does_not_exist() -> None:
    said = broken(check_class(Reckless))["its tables have the shape and finite numbers"]
    assert said.startswith("actions that do not exist are taken; build the table")


def test_a_class_that_is_no_value_or_has_no_defaults() -> None:
    class Changing(Sound):
        settings: ClassVar[list[int]] = []

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return id(self)

    globals()["Changing"] = Changing
    Changing.__qualname__ = "Changing"
    assert set(broken(check_class(Changing))) == {"it is a value"}

    @dataclass(frozen=True)
    class Undecided(Sound):
        width: int = field(kw_only=True)

    assert "give every setting a default" in broken(check_class(Undecided))["it has defaults"]


def test_every_contract_of_a_component_is_tried_above() -> None:
    """So that a new contract comes with its planted defect."""
    text = Path(__file__).read_text(encoding="utf-8")
    every = (*PROBLEM_CONTRACTS, *METHOD_CONTRACTS, *OF_PROBLEMS, *CLOSED_FORM_CONTRACTS)
    every += (*CLASS_CONTRACTS, *CLAIM_CONTRACTS, its_rates_read_columns_that_exist)
    for contract in every:
        assert f'"{contract.__name__.replace("_", " ")}"' in text, contract.__name__


@pytest.mark.slow
def test_a_defect_of_a_claim() -> None:
    shipped = Catalogue.shipped()
    sound = shipped.claims["penalty-bias"]

    def found(measured: bool = False, **changes: Any) -> dict[str, str]:
        return broken(check_claim(replace(sound, **changes), shipped, measured=measured))

    assert found(measured=True) == {}
    missing = found(experiment="penalty-bia")
    assert "did you mean 'penalty-bias'" in missing["its experiment exists"]
    assert "did you mean" in found(audits=("outer-stp",))["its audits exist"]
    for changes, said in (
        ({"statement": " "}, "its statement is empty"),
        ({"source": ""}, "its source is empty"),
        ({"assumptions": ()}, "it names no assumption"),
        ({"provenance": "X"}, "provenance: received 'X'"),
    ):
        wrong = found(**changes)  # type: ignore[arg-type]
        assert set(wrong) == {"it says what it states and where that is from"}
        assert wrong.popitem()[1].startswith(said)
    first = sound.rates[0]
    wrong = found(measured=True, rates=(replace(first, y="gradient_bais"),))
    assert "did you mean 'gradient_bias'" in wrong["its rates read columns that exist"]
    # A decay of a thousand decades is never seen, whatever there is.
    endless = GeometricRate("endless", "sigma", "value_bias", 1000.0, "$x$", "$y$")
    assert set(found(rates=(endless,))) == {"it is kept by what it states"}
    # A band from -9 to 11 contains every exponent.
    wide = replace(first, exponent=1.0, resolution=10.0, rivals=(41.0,))
    lenient = found(rates=(wide,))
    assert set(lenient) == {"it can fail"}
    assert (
        "is found 'tight', not 'violated', by a table of a rate that is worse"
        in (lenient["it can fail"])
    )


def test_a_condition_that_no_cell_meets() -> None:
    shipped = Catalogue.shipped()
    claim = shipped.claims["gradient-noise"]
    rate = replace(claim.rates[0], where={**claim.rates[0].where, "coupling": "none"})
    found = broken(check_claim(replace(claim, rates=(rate,)), shipped))
    assert "which no cell has" in found["its rates read columns that exist"]


def test_an_exponent_that_is_changed_by_one_states_more() -> None:
    """Larger is better for a decay, smaller for what grows."""
    rate = Catalogue.shipped().claims["penalty-bias"].rates[0]
    assert strengthened(rate).exponent == rate.exponent + 1
    other = replace(rate, better="smaller")
    assert strengthened(other).exponent == rate.exponent - 1
    table = planted_table(Catalogue.shipped().claims["penalty-bias"])
    assert len(table) == 16 * 16
